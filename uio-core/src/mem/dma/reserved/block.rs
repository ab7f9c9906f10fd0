//! [`Block`], [`DeviceOwned`], [`Shared`]: a part of a memory, by who may touch it.
//!
//! While the device owns a block there is no way to its bytes: not because a check fails, but because there is no
//! method.
//!
//! ```compile_fail
//! # fn f(block: uio_core::mem::dma::DeviceOwned) {
//! let word = block.read32(0);
//! # }
//! ```
//!
//! ```compile_fail
//! # fn f(block: uio_core::mem::dma::Block) {
//! let device = block.for_device(uio_core::mem::dma::Direction::ToDevice);
//! let word = block.read32(0); // the device has it
//! # }
//! ```

use std::fmt;

use nix::errno::Errno;
use zerocopy::IntoBytes;

use super::{Coherence, ReservedMemory};
use crate::error::{Error, Result};
use crate::io::{AccessError, Io};
use crate::mem::Plain;
use crate::mem::dma::{Direction, Iova};

/// A part of a memory, given back by the drop.
struct Piece {
    memory: ReservedMemory,
    offset: usize,
    len: usize,
}

impl Piece {
    fn iova(&self) -> Iova {
        // CAST: a usize has at most 64 bits on Linux. Does not overflow: the memory's end does not.
        Iova(self.memory.bus_address().0 + self.offset as u64)
    }

    /// Where `len` bytes at `offset` of this piece are in the memory.
    #[inline]
    fn place(&self, offset: usize, len: usize) -> Result<usize, AccessError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(self.offset + offset),
            _ => Err(AccessError::OutOfBounds { offset, width: len, size: self.len }),
        }
    }

    /// As `place`, of one access.
    #[inline]
    fn word(&self, offset: usize, width: usize) -> Result<usize, AccessError> {
        if !offset.is_multiple_of(width) {
            return Err(AccessError::Misaligned { offset, width });
        }
        self.place(offset, width)
    }

    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("memory", &self.memory.name())
            .field("iova", &format_args!("{}", self.iova()))
            .field("len", &self.len)
            .finish()
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.memory.give_back(self.offset, self.len);
    }
}

/// The accessors of those that the CPU may touch. All are volatile and aligned, and none makes a reference.
macro_rules! accessors {
    ($($int:ty: $read:ident $write:ident $try_read:ident $try_write:ident;)*) => {
        $(
            #[doc = concat!("Reads a little-endian `", stringify!($int), "` in one access.")]
            ///
            /// # Errors
            ///
            /// `OutOfBounds`, `Misaligned`; `Gone` when the device is.
            #[inline]
            pub fn $read(&self, offset: usize) -> Result<$int, AccessError> {
                let at = self.piece.word(offset, size_of::<$int>())?;
                self.piece.memory.region().$try_read(at)
            }

            #[doc = concat!("Writes a little-endian `", stringify!($int), "` in one access.")]
            ///
            /// # Errors
            ///
            /// `OutOfBounds`, `Misaligned`; `Gone` when the device is.
            #[inline]
            pub fn $write(&self, offset: usize, value: $int) -> Result<(), AccessError> {
                let at = self.piece.word(offset, size_of::<$int>())?;
                self.piece.memory.region().$try_write(at, value)
            }
        )*

        /// Copies bytes out, from `offset` on: words where they are aligned, bytes at the ends.
        ///
        /// # Errors
        ///
        /// `OutOfBounds`; `Gone` when the device is.
        pub fn read_bytes(&self, offset: usize, buf: &mut [u8]) -> Result<(), AccessError> {
            let at = self.piece.place(offset, buf.len())?;
            self.piece.memory.region().memcpy_fromio(at, buf)
        }

        /// Copies bytes in, from `offset` on: words where they are aligned, bytes at the ends.
        ///
        /// # Errors
        ///
        /// `OutOfBounds`; `Gone` when the device is.
        pub fn write_bytes(&self, offset: usize, data: &[u8]) -> Result<(), AccessError> {
            let at = self.piece.place(offset, data.len())?;
            self.piece.memory.region().memcpy_toio(at, data)
        }

        /// Has `len` bytes from `offset` on be `value`.
        ///
        /// # Errors
        ///
        /// `OutOfBounds`; `Gone` when the device is.
        pub fn fill(&self, offset: usize, value: u8, len: usize) -> Result<(), AccessError> {
            let at = self.piece.place(offset, len)?;
            self.piece.memory.region().memset_io(at, value, len)
        }

        /// Reads a `T`, a descriptor for one, in as many accesses as it takes.
        ///
        /// # Errors
        ///
        /// `OutOfBounds`; `Gone` when the device is.
        pub fn read<T: Plain>(&self, offset: usize) -> Result<T, AccessError> {
            let mut value = T::new_zeroed();
            self.read_bytes(offset, value.as_mut_bytes())?;
            Ok(value)
        }

        /// Writes a `T` in as many accesses as it takes.
        ///
        /// # Errors
        ///
        /// `OutOfBounds`; `Gone` when the device is.
        pub fn write<T: Plain>(&self, offset: usize, value: &T) -> Result<(), AccessError> {
            self.write_bytes(offset, value.as_bytes())
        }

        /// Reads as many `T`s as `into` has.
        ///
        /// # Errors
        ///
        /// `OutOfBounds`; `Gone` when the device is.
        pub fn read_slice<T: Plain>(
            &self,
            offset: usize,
            into: &mut [T],
        ) -> Result<(), AccessError> {
            self.read_bytes(offset, into.as_mut_bytes())
        }

        /// Writes all of `values`.
        ///
        /// # Errors
        ///
        /// `OutOfBounds`; `Gone` when the device is.
        pub fn write_slice<T: Plain>(&self, offset: usize, values: &[T]) -> Result<(), AccessError> {
            self.write_bytes(offset, values.as_bytes())
        }
    };
}

/// What all three have.
macro_rules! described {
    ($($name:ident)*) => {$(
        impl $name {
            /// Where the device has it: what goes into its registers.
            #[doc(alias = "dma_addr_t")]
            pub fn iova(&self) -> Iova {
                self.piece.iova()
            }

            /// Size in bytes, as it was asked for.
            #[expect(clippy::len_without_is_empty, reason = "a block has a byte at least")]
            pub fn len(&self) -> usize {
                self.piece.len
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.piece.debug(stringify!($name), f)
            }
        }
    )*};
}

described! { Block DeviceOwned Shared }

/// A block that the CPU owns. See the [parent](super).
pub struct Block {
    piece: Piece,
}

impl Block {
    pub(super) fn new(memory: ReservedMemory, offset: usize, len: usize) -> Self {
        Self { piece: Piece { memory, offset, len } }
    }

    accessors! {
        u8: read8 write8 try_read8 try_write8;
        u16: read16 write16 try_read16 try_write16;
        u32: read32 write32 try_read32 try_write32;
        u64: read64 write64 try_read64 try_write64;
    }

    /// Hands the block to the device, which sees all that was written to it before.
    ///
    /// # Errors
    ///
    /// What the kernel says when it cannot sync the caches; the block is given back to the memory.
    #[doc(alias("dma_map_single", "dma_sync_single_for_device"))]
    pub fn for_device(self, direction: Direction) -> Result<DeviceOwned> {
        let Piece { memory, offset, len } = &self.piece;
        memory.sync().for_device(*offset, *len, direction)?;
        Ok(DeviceOwned { piece: self.piece, direction })
    }

    /// Lets both touch it at any time, in the order that [barriers](crate::mem::dma::barrier) give.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` where the caches are synced by hand: neither would see what the other writes.
    pub fn into_shared(self) -> Result<Shared> {
        if self.piece.memory.coherence() == Coherence::ByHand {
            return Err(Error::new(Errno::EOPNOTSUPP, "cannot share", self.piece.memory.name())
                .with_cause("the device does not see the CPU's caches, nor the CPU what the device writes")
                .with_hint("use a carve-out, which is not cached; or hand blocks over with for_device and for_cpu"));
        }
        Ok(Shared { piece: self.piece })
    }
}

/// A block that the device owns. See the [parent](super).
///
/// The drop gives it back to the memory. Before that, the driver has stopped the device from using it.
pub struct DeviceOwned {
    piece: Piece,
    direction: Direction,
}

impl DeviceOwned {
    /// Which way data goes.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Takes the block back; the CPU sees all that the device has written. The driver knows from the device that it is
    /// done with it.
    ///
    /// # Errors
    ///
    /// What the kernel says when it cannot sync the caches; the block is given back to the memory.
    #[doc(alias("dma_unmap_single", "dma_sync_single_for_cpu"))]
    pub fn for_cpu(self) -> Result<Block> {
        let Piece { memory, offset, len } = &self.piece;
        memory.sync().for_cpu(*offset, *len, self.direction)?;
        Ok(Block { piece: self.piece })
    }
}

/// A block that both touch at any time. See the [parent](super).
///
/// The drop gives it back to the memory. Before that, the driver has stopped the device from using it.
pub struct Shared {
    piece: Piece,
}

impl Shared {
    accessors! {
        u8: read8 write8 try_read8 try_write8;
        u16: read16 write16 try_read16 try_write16;
        u32: read32 write32 try_read32 try_write32;
        u64: read64 write64 try_read64 try_write64;
    }
}
