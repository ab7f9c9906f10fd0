//! [`ask`]: information ioctls, whose answer may be longer than what was asked for.

use std::mem::offset_of;

use nix::errno::Errno;
use vfio_bindings::bindings::vfio::vfio_region_info;
use zerocopy::IntoBytes;

/// Longer than any answer that makes sense, in bytes.
const MOST: usize = 1 << 20;
/// How often an answer may grow while it is fetched.
const TRIES: usize = 4;

/// Calls an ioctl that takes `argsz`, flags and perhaps an index, and answers in place; again with more room, as
/// long as the kernel says that it has more to say. The words are the answer.
///
/// # Errors
///
/// What the ioctl says; `EOVERFLOW` if the answer never fits.
pub(super) fn ask(
    fixed: usize,
    index: u32,
    call: impl Fn(*mut u64) -> nix::Result<libc::c_int>,
) -> Result<Vec<u64>, Errno> {
    let mut size = fixed;
    for _ in 0..TRIES {
        let mut words = vec![0_u64; size.div_ceil(size_of::<u64>())];
        let bytes = words.as_mut_bytes();
        put(bytes, offset_of!(vfio_region_info, argsz), u32::try_from(size).unwrap_or(u32::MAX));
        put(bytes, offset_of!(vfio_region_info, index), index);
        call(words.as_mut_ptr())?;
        let wanted = u32_at(words.as_bytes(), offset_of!(vfio_region_info, argsz)).unwrap_or(0);
        // CAST: a u32 fits.
        match wanted as usize {
            wanted if wanted <= size => return Ok(words),
            wanted if wanted > MOST => break,
            wanted => size = wanted,
        }
    }
    Err(Errno::EOVERFLOW)
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
}

/// The four bytes at `at`, if they are there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let found = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(found.try_into().ok()?))
}

/// The eight bytes at `at`, if they are there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let found = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(found.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn an_answer_that_is_longer_is_fetched_again() {
        let calls = Cell::new(0);
        let words = ask(32, 7, |words| {
            calls.set(calls.get() + 1);
            // SAFETY: `ask` gives room for 32 bytes at least.
            let argsz = unsafe { words.cast::<u32>().read() };
            let third = words.cast::<u32>().wrapping_add(2);
            // SAFETY: as above.
            assert_eq!(unsafe { third.read() }, 7);
            if argsz < 64 {
                // SAFETY: as above.
                unsafe { words.cast::<u32>().write(64) };
            }
            Ok(0)
        });
        assert_eq!((words.unwrap().len(), calls.get()), (8, 2));
    }

    #[test]
    fn an_answer_that_never_fits_is_an_error() {
        let grow = |words: *mut u64| {
            // SAFETY: `ask` gives room for 32 bytes at least.
            let argsz = unsafe { words.cast::<u32>().read() };
            // SAFETY: as above.
            unsafe { words.cast::<u32>().write(argsz.saturating_add(8)) };
            Ok(0)
        };
        assert_eq!(ask(32, 0, grow), Err(Errno::EOVERFLOW));
        let huge = |words: *mut u64| {
            // SAFETY: as above.
            unsafe { words.cast::<u32>().write(u32::MAX) };
            Ok(0)
        };
        assert_eq!(ask(32, 0, huge), Err(Errno::EOVERFLOW));
        assert_eq!(ask(32, 0, |_| Err(Errno::EIO)), Err(Errno::EIO));
    }
}
