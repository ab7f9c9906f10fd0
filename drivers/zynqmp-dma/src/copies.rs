//! [`Limits`]: which copies the channel is given. Pure: nothing here touches the device.
//!
//! The engine itself takes any alignment and up to 2^30 - 1 bytes (UG1085, "DMA Controller Functional Description"), and
//! would write wherever it is told to. What is refused here never reaches it.
//!
//! **Alignment.** Offsets and lengths are multiples of a beat of the engine's bus (`xlnx,bus-width`: 8 or 16 bytes). A
//! copy that begins or ends inside a beat has it read beyond what was asked for, up to the end of the memory and further,
//! and is slower; and a beat that is half written by the engine, half by the CPU, is nobody's.

use uio_core::error::Errno;

use crate::regs::SIZE_BITS;

/// What a client asks for: offsets in the memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) src: u64,
    pub(crate) dst: u64,
    pub(crate) len: u64,
    /// The client's own, handed back with the result.
    pub(crate) cookie: u64,
}

/// Bytes of `struct zdma_copy`.
pub(crate) const COPY_BYTES: usize = 32;

impl Copy {
    /// Of the client's bytes: four numbers of the machine's byte order.
    pub(crate) fn parse(bytes: &[u8; COPY_BYTES]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let [src, dst, len, cookie] = [0, 1, 2, 3].map(|index| u64::from_ne_bytes(words[index]));
        Self { src, dst, len, cookie }
    }
}

/// What copies are held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of the memory.
    pub(crate) bytes: u64,
    /// Bytes of a beat, a power of two.
    pub(crate) align: u64,
}

impl Limits {
    /// The longest copy that the channel can say, in whole beats.
    pub(crate) fn longest(&self) -> u64 {
        (1 << SIZE_BITS) - self.align
    }

    /// Whether the channel may be given this copy.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if it has no bytes, or more than [`longest`](Self::longest); if an offset or the length is no
    ///   multiple of a beat; if source and destination overlap;
    /// - `ERANGE` if it leaves the memory.
    pub(crate) fn check(&self, copy: &Copy) -> Result<(), Errno> {
        let whole_beats = (copy.src | copy.dst | copy.len) & (self.align - 1) == 0;
        if copy.len == 0 || !whole_beats {
            return Err(Errno::EINVAL);
        }
        let src_end = self.end(copy.src, copy.len)?;
        let dst_end = self.end(copy.dst, copy.len)?;
        let overlaps = copy.src < dst_end && copy.dst < src_end;
        if overlaps || copy.len > self.longest() {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    fn end(&self, offset: u64, len: u64) -> Result<u64, Errno> {
        offset.checked_add(len).filter(|end| *end <= self.bytes).ok_or(Errno::ERANGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn check(limits: Limits, src: u64, dst: u64, len: u64) -> Result<(), Errno> {
        limits.check(&Copy { src, dst, len, cookie: 0 })
    }

    #[test]
    fn copies_inside_the_memory_are_taken() {
        let limits = Limits { bytes: MIB, align: 8 };
        for (src, dst, len) in
            [(0, 8, 8), (0, MIB / 2, MIB / 2), (MIB / 2, 0, MIB / 2), (MIB - 8, 0, 8), (8, 16, 8)]
        {
            assert_eq!(check(limits, src, dst, len), Ok(()), "{src} {dst} {len}");
        }
    }

    #[test]
    fn a_wrong_length_is_refused() {
        let limits = Limits { bytes: 1 << 33, align: 16 };
        assert_eq!(limits.longest(), (1 << 30) - 16);
        assert_eq!(check(limits, 0, 1 << 31, 0), Err(Errno::EINVAL));
        assert_eq!(check(limits, 0, 1 << 31, limits.longest()), Ok(()));
        assert_eq!(check(limits, 0, 1 << 31, limits.longest() + 16), Err(Errno::EINVAL));
    }

    #[test]
    fn what_is_no_multiple_of_a_beat_is_refused() {
        for align in [8, 16] {
            let limits = Limits { bytes: MIB, align };
            assert_eq!(check(limits, align, MIB / 2, align), Ok(()));
            for odd in [1, 2, 4, align - 1, align / 2] {
                assert_eq!(check(limits, odd, MIB / 2, align), Err(Errno::EINVAL), "{odd}");
                assert_eq!(check(limits, 0, MIB / 2 + odd, align), Err(Errno::EINVAL), "{odd}");
                assert_eq!(check(limits, 0, MIB / 2, align + odd), Err(Errno::EINVAL), "{odd}");
            }
        }
    }

    #[test]
    fn what_leaves_the_memory_is_refused_also_where_the_sum_overflows() {
        let limits = Limits { bytes: MIB, align: 8 };
        for (src, dst, len) in [
            (MIB, 0, 8),
            (0, MIB, 8),
            (MIB - 8, 0, 16),
            (0, MIB - 8, 16),
            (0, 0, MIB + 8),
            (u64::MAX - 7, 0, 8),
            (0, u64::MAX - 7, 16),
            (8, 16, u64::MAX - 7),
        ] {
            assert_eq!(check(limits, src, dst, len), Err(Errno::ERANGE), "{src} {dst} {len}");
        }
    }

    #[test]
    fn a_copy_onto_itself_is_refused() {
        let limits = Limits { bytes: MIB, align: 8 };
        for (src, dst) in [(0, 0), (0, 8), (8, 0), (0, 56), (56, 0), (24, 64)] {
            assert_eq!(check(limits, src, dst, 64), Err(Errno::EINVAL), "{src} {dst}");
        }
        assert_eq!(check(limits, 64, 0, 64), Ok(()), "they touch, and no more");
    }

    #[test]
    fn the_clients_bytes_are_four_numbers() {
        let mut bytes = [0; COPY_BYTES];
        for (index, number) in [1_u64, 2, 3, u64::MAX].iter().enumerate() {
            bytes[index * 8..][..8].copy_from_slice(&number.to_ne_bytes());
        }
        assert_eq!(Copy::parse(&bytes), Copy { src: 1, dst: 2, len: 3, cookie: u64::MAX });
    }
}
