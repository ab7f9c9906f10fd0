//! Copies between memory that a device shares and memory that it does not, by volatile accesses.
//!
//! A piece of 1, 2, 4 or 8 bytes that is aligned to as much goes in one access: a device sees, or has written,
//! all of it or nothing. Of longer pieces each aligned word does, from the first to the last.
#![expect(unsafe_code, reason = "volatile accesses go through pointers")]

use std::ptr::NonNull;

/// How much one access at `address` moves, with `left` bytes to go.
#[inline(always)]
fn width(address: usize, left: usize) -> usize {
    if address.is_multiple_of(8) && left >= 8 {
        8
    } else if address.is_multiple_of(4) && left >= 4 {
        4
    } else if address.is_multiple_of(2) && left >= 2 {
        2
    } else {
        1
    }
}

/// Copies out of shared memory.
///
/// # Safety
///
/// As many bytes as `into` has are mapped and readable from `from` on, and no reference to them exists.
#[inline(always)]
pub(super) unsafe fn load(from: NonNull<u8>, into: &mut [u8]) {
    let mut done = 0;
    while done < into.len() {
        // SAFETY: fewer than `into.len()` bytes further, which the caller has mapped.
        let at = unsafe { from.add(done) };
        let width = width(at.as_ptr().addr(), into.len() - done);
        let into = &mut into[done..done + width];
        match width {
            // SAFETY: 8 bytes of the caller's, aligned, as `width` saw.
            8 => into.copy_from_slice(&unsafe { at.cast::<u64>().read_volatile() }.to_ne_bytes()),
            // SAFETY: 4 bytes of the caller's, aligned, as `width` saw.
            4 => into.copy_from_slice(&unsafe { at.cast::<u32>().read_volatile() }.to_ne_bytes()),
            // SAFETY: 2 bytes of the caller's, aligned, as `width` saw.
            2 => into.copy_from_slice(&unsafe { at.cast::<u16>().read_volatile() }.to_ne_bytes()),
            // SAFETY: a byte of the caller's.
            _ => into[0] = unsafe { at.read_volatile() },
        }
        done += width;
    }
}

/// Copies into shared memory.
///
/// # Safety
///
/// As many bytes as `data` has are mapped and writable from `to` on, and no reference to them exists.
#[inline(always)]
pub(super) unsafe fn store(to: NonNull<u8>, data: &[u8]) {
    let mut done = 0;
    while done < data.len() {
        // SAFETY: fewer than `data.len()` bytes further, which the caller has mapped.
        let at = unsafe { to.add(done) };
        let width = width(at.as_ptr().addr(), data.len() - done);
        let data = &data[done..done + width];
        match width {
            // SAFETY: 8 bytes of the caller's, aligned, as `width` saw.
            8 => unsafe { at.cast::<u64>().write_volatile(u64::from_ne_bytes(word(data))) },
            // SAFETY: 4 bytes of the caller's, aligned, as `width` saw.
            4 => unsafe { at.cast::<u32>().write_volatile(u32::from_ne_bytes(word(data))) },
            // SAFETY: 2 bytes of the caller's, aligned, as `width` saw.
            2 => unsafe { at.cast::<u16>().write_volatile(u16::from_ne_bytes(word(data))) },
            // SAFETY: a byte of the caller's.
            _ => unsafe { at.write_volatile(data[0]) },
        }
        done += width;
    }
}

#[inline(always)]
fn word<const N: usize>(data: &[u8]) -> [u8; N] {
    let mut word = [0; N];
    word.copy_from_slice(data);
    word
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_length_at_every_offset_is_copied_whole() {
        for offset in 0..9 {
            for len in 0..40 {
                let data: Vec<u8> = (0..len).map(|byte| byte as u8 + 1).collect();
                let mut memory = [0_u64; 8];
                let base = NonNull::from(&mut memory).cast::<u8>();
                let mut back = vec![0; len];
                // SAFETY: at most 8 + 39 of 64 bytes, to which no reference is used meanwhile.
                let at = unsafe { base.add(offset) };
                // SAFETY: as above.
                unsafe { store(at, &data) };
                // SAFETY: as above.
                unsafe { load(at, &mut back) };
                assert_eq!(back, data, "{len} bytes at {offset}");
                let bytes: Vec<u8> = memory.iter().flat_map(|word| word.to_ne_bytes()).collect();
                assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), len, "and no other");
            }
        }
    }

    #[test]
    fn an_aligned_word_is_one_access() {
        assert_eq!([0, 1, 2, 3, 4, 6, 8].map(|address| width(address, 8)), [8, 1, 2, 1, 4, 2, 8]);
        assert_eq!([1, 2, 3, 4, 7, 8, 9].map(|left| width(16, left)), [1, 2, 2, 4, 4, 8, 8]);
    }
}
