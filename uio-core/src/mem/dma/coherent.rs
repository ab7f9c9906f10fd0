//! [`Coherent`]: memory that the CPU and the device reach at the same time.
//!
//! Each side sees what the other writes, in the order that [barriers](super::barrier) give. There is no reference
//! into it, for the device may write at any time: it is read and written by volatile accesses, a whole `T`, an
//! element, a field, or bytes. A field of 1, 2, 4 or 8 bytes goes in one access. None of them allocates, locks or
//! makes a system call: all may be used in a top half.
//!
//! What is read is what the device says, and no more to be believed than that: an index or a length that comes from
//! there is checked before it is used, and read once, since the next read may give another value. The `try_` forms
//! check an index, and say so; the others panic.
//!
//! ```
//! # use uio_core::mem::dma::{Coherent, CoherentBox, Domain, dma_rmb, dma_wmb};
//! # use uio_core::{dma_read, dma_write};
//! use zerocopy::{FromBytes, Immutable, IntoBytes};
//!
//! #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
//! #[repr(C)]
//! struct Descriptor { address: u64, len: u32, owned: u32 }
//!
//! fn post(ring: &Coherent<[Descriptor]>, at: usize, address: u64, len: u32) {
//!     ring.write_at(at, Descriptor { address, len, owned: 0 });
//!     dma_wmb(); // the device sees the descriptor before it sees that it owns it
//!     dma_write!(ring, [at].owned, 1);
//! }
//!
//! fn reap(ring: &Coherent<[Descriptor]>, at: usize) -> Option<u32> {
//!     if dma_read!(ring, [at].owned) != 0 {
//!         return None;
//!     }
//!     dma_rmb(); // the length was written before the ownership was given back
//!     Some(dma_read!(ring, [at].len))
//! }
//! ```
//!
//! Mirrors `dma_alloc_coherent` (`include/linux/dma-mapping.h`) and `rust/kernel/dma.rs`.
#![expect(unsafe_code, reason = "volatile accesses go through pointers")]

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

use super::mapped::Mapped;
use super::pool::Part;
use super::{CoherentBox, Domain, Iova, volatile};
use crate::error::Result;
use crate::io::AccessError;
use crate::mem::Plain;

/// A `T`, or with `[T]` several, that a device shares. See the [module](self).
///
/// The drop unmaps it. Before that, the driver has stopped the device from using it.
#[doc(alias("dma_alloc_coherent", "dma_free_coherent", "dma_alloc_attrs"))]
pub struct Coherent<T: ?Sized> {
    memory: Part,
    /// Elements; 1 if it is no slice.
    count: usize,
    data: PhantomData<fn() -> Box<T>>,
}

impl<T: ?Sized> Coherent<T> {
    pub(super) fn new(memory: Part, count: usize) -> Self {
        Self { memory, count, data: PhantomData }
    }

    pub(super) fn memory(&self) -> &Mapped {
        self.memory.memory()
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Where the device has it: what goes into its registers. At a multiple of the size, rounded up to a power of
    /// two, as far as 2 MiB: what is no larger crosses no boundary of its own size. From a [`Pool`](super::Pool), at a
    /// multiple of its alignment.
    #[doc(alias = "dma_addr_t")]
    #[inline]
    pub fn iova(&self) -> Iova {
        // CAST: a usize has at most 64 bits on Linux.
        Iova(self.memory().iova().0 + self.memory.offset() as u64)
    }

    /// Whose addresses it uses.
    pub fn domain(&self) -> &Arc<Domain> {
        self.memory().domain()
    }

    /// Where `len` bytes at `offset` are, which is inside.
    #[inline(always)]
    fn pointer(&self, offset: usize, len: usize) -> NonNull<u8> {
        self.memory().pages().at(self.memory.offset() + offset, len)
    }

    /// Where `len` bytes at `offset` of a `size` are.
    #[inline(always)]
    fn at(&self, offset: usize, len: usize, size: usize) -> Result<NonNull<u8>, AccessError> {
        match offset.checked_add(len) {
            Some(end) if end <= size => Ok(self.pointer(offset, len)),
            _ => Err(AccessError::OutOfBounds { offset, width: len, size }),
        }
    }

    #[inline(always)]
    fn load<V: Plain>(&self, offset: usize) -> V {
        let from = self.pointer(offset, size_of::<V>());
        let mut value = V::new_zeroed();
        // SAFETY: the bytes are in the pages, which are mapped while `self` is, and which the device owns, so that
        // there is no reference to them.
        unsafe { volatile::load(from, value.as_mut_bytes()) };
        value
    }

    #[inline(always)]
    fn store<V: Plain>(&self, offset: usize, value: &V) {
        let to = self.pointer(offset, size_of::<V>());
        // SAFETY: as in `load`.
        unsafe { volatile::store(to, value.as_bytes()) };
    }

    fn load_bytes(&self, offset: usize, buf: &mut [u8], size: usize) -> Result<(), AccessError> {
        let from = self.at(offset, buf.len(), size)?;
        // SAFETY: as in `load`.
        unsafe { volatile::load(from, buf) };
        Ok(())
    }

    fn store_bytes(&self, offset: usize, data: &[u8], size: usize) -> Result<(), AccessError> {
        let to = self.at(offset, data.len(), size)?;
        // SAFETY: as in `load`.
        unsafe { volatile::store(to, data) };
        Ok(())
    }
}

impl<T: Plain> Coherent<T> {
    /// A zeroed `T`, mapped for `domain`'s device.
    ///
    /// # Errors
    ///
    /// As [`CoherentBox::zeroed`].
    pub fn zeroed(domain: &Arc<Domain>) -> Result<Self> {
        Ok(CoherentBox::<T>::zeroed(domain)?.into_coherent())
    }

    /// Reads all of it. A `T` of more than 8 bytes is read word by word, and the device may write in between.
    #[inline]
    pub fn read(&self) -> T {
        self.load(0)
    }

    /// Writes all of it.
    #[inline]
    pub fn write(&self, value: T) {
        self.store(0, &value);
    }

    /// Reads a field: `shared.read_field(|it| &it.status)`, or `dma_read!(shared, .status)`.
    ///
    /// # Panics
    ///
    /// If the closure returns something else than a field.
    #[inline]
    pub fn read_field<F: Plain>(&self, field: impl FnOnce(&T) -> &F) -> F {
        self.load(offset_of(field))
    }

    /// Writes a field: `dma_write!(shared, .status, 1)`.
    ///
    /// # Panics
    ///
    /// If the closure returns something else than a field.
    #[inline]
    pub fn write_field<F: Plain>(&self, field: impl FnOnce(&T) -> &F, value: F) {
        self.store(offset_of(field), &value);
    }

    /// Copies bytes out, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`] if they are not all inside.
    pub fn read_bytes(&self, offset: usize, buf: &mut [u8]) -> Result<(), AccessError> {
        self.load_bytes(offset, buf, size_of::<T>())
    }

    /// Copies bytes in, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`] if they are not all inside.
    pub fn write_bytes(&self, offset: usize, data: &[u8]) -> Result<(), AccessError> {
        self.store_bytes(offset, data, size_of::<T>())
    }
}

impl<T: Plain> Coherent<[T]> {
    /// `count` zeroed `T`s, mapped for `domain`'s device.
    ///
    /// # Errors
    ///
    /// As [`CoherentBox::zeroed_slice`].
    pub fn zeroed_slice(domain: &Arc<Domain>, count: usize) -> Result<Self> {
        Ok(CoherentBox::<[T]>::zeroed_slice(domain, count)?.into_coherent())
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Never: there is one at least.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Where the device has element `index`.
    ///
    /// # Panics
    ///
    /// If there is no such element.
    pub fn iova_at(&self, index: usize) -> Iova {
        // CAST: a usize has at most 64 bits on Linux.
        Iova(self.iova().0 + self.expect_element(index) as u64)
    }

    /// Reads element `index`. One of more than 8 bytes is read word by word, and the device may write in between.
    ///
    /// # Panics
    ///
    /// If there is no such element.
    #[inline]
    pub fn read_at(&self, index: usize) -> T {
        self.load(self.expect_element(index))
    }

    /// Writes element `index`.
    ///
    /// # Panics
    ///
    /// If there is no such element.
    #[inline]
    pub fn write_at(&self, index: usize, value: T) {
        self.store(self.expect_element(index), &value);
    }

    /// Reads element `index`, which may come from the device.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`] if there is no such element.
    #[inline]
    pub fn try_read_at(&self, index: usize) -> Result<T, AccessError> {
        Ok(self.load(self.element(index)?))
    }

    /// Writes element `index`, which may come from the device.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`] if there is no such element.
    #[inline]
    pub fn try_write_at(&self, index: usize, value: T) -> Result<(), AccessError> {
        self.store(self.element(index)?, &value);
        Ok(())
    }

    /// Reads a field of an element: `dma_read!(ring, [index].status)`.
    ///
    /// # Panics
    ///
    /// If there is no such element, or the closure returns something else than a field.
    #[inline]
    pub fn read_field_at<F: Plain>(&self, index: usize, field: impl FnOnce(&T) -> &F) -> F {
        self.load(self.expect_element(index) + offset_of(field))
    }

    /// Writes a field of an element: `dma_write!(ring, [index].status, 1)`.
    ///
    /// # Panics
    ///
    /// If there is no such element, or the closure returns something else than a field.
    #[inline]
    pub fn write_field_at<F: Plain>(&self, index: usize, field: impl FnOnce(&T) -> &F, value: F) {
        self.store(self.expect_element(index) + offset_of(field), &value);
    }

    /// Copies bytes out, from `offset` bytes on, whatever elements they are in.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`] if they are not all inside.
    pub fn read_bytes(&self, offset: usize, buf: &mut [u8]) -> Result<(), AccessError> {
        self.load_bytes(offset, buf, self.size())
    }

    /// Copies bytes in, from `offset` bytes on, whatever elements they are in.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`] if they are not all inside.
    pub fn write_bytes(&self, offset: usize, data: &[u8]) -> Result<(), AccessError> {
        self.store_bytes(offset, data, self.size())
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        self.count * size_of::<T>()
    }

    #[inline(always)]
    fn element(&self, index: usize) -> Result<usize, AccessError> {
        let width = size_of::<T>();
        if index < self.count {
            return Ok(index * width);
        }
        let offset = index.saturating_mul(width);
        Err(AccessError::OutOfBounds { offset, width, size: self.size() })
    }

    #[inline(always)]
    fn expect_element(&self, index: usize) -> usize {
        let count = self.count;
        assert!(index < count, "driver bug: element {index} of {count} in coherent memory");
        index * size_of::<T>()
    }
}

/// How many bytes into a `T` the field is that the closure returns.
#[inline(always)]
fn offset_of<T: Plain, F: Plain>(field: impl FnOnce(&T) -> &F) -> usize {
    let example = T::new_zeroed();
    let field = std::ptr::from_ref(field(&example)).addr();
    let offset = field.wrapping_sub(std::ptr::from_ref(&example).addr());
    let inside = offset.checked_add(size_of::<F>()).is_some_and(|end| end <= size_of::<T>());
    assert!(inside, "driver bug: that is no field of what is shared");
    offset
}

impl<T: ?Sized> fmt::Debug for Coherent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coherent")
            .field("iova", &format_args!("{}", self.iova()))
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// Reads a field of [`Coherent`] memory: `dma_read!(ring, [3].status)`, `dma_read!(shared, .head)`.
///
/// One access, if the field has 1, 2, 4 or 8 bytes. Nested fields work: `.header.status`.
#[macro_export]
macro_rules! dma_read {
    ($memory:expr, [$index:expr] $(.$field:ident)+) => {
        $memory.read_field_at($index, |it| &it$(.$field)+)
    };
    ($memory:expr, $(.$field:ident)+) => {
        $memory.read_field(|it| &it$(.$field)+)
    };
}

/// Writes a field of [`Coherent`] memory: `dma_write!(ring, [3].status, 1)`, `dma_write!(shared, .tail, 7)`.
///
/// One access, if the field has 1, 2, 4 or 8 bytes. Nested fields work: `.header.status`.
#[macro_export]
macro_rules! dma_write {
    ($memory:expr, [$index:expr] $(.$field:ident)+, $value:expr) => {
        $memory.write_field_at($index, |it| &it$(.$field)+, $value)
    };
    ($memory:expr, $(.$field:ident)+, $value:expr) => {
        $memory.write_field(|it| &it$(.$field)+, $value)
    };
}
