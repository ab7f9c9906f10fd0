//! [`CoherentBox`]: coherent memory that the CPU still has for itself.
//!
//! ```text
//!   CoherentBox ───── into_coherent ────▶ Coherent
//!   plain &mut access, the device         volatile access, the device reads and
//!   does not know the address             writes as it likes
//! ```
//!
//! A table or a ring is filled in here, as any other value, and then shared. There is no way back: that the device
//! has stopped using it, nobody but the device knows.
//!
//! Mirrors `CoherentBox` of `rust/kernel/dma.rs`.
#![expect(unsafe_code, reason = "references into pages are made of pointers")]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use nix::errno::Errno;

use super::barrier::dma_wmb;
use super::pool::Part;
use super::{Coherent, Direction, Domain, Iova, Pages};
use crate::error::{Error, Result};
use crate::mem::Plain;

/// A `T`, or with `[T]` several, mapped for a device that has not been told. See the [module](self).
///
/// A device that guesses the address is a device that does not work; one that is a model is kept out
/// ([`Pages::read`]).
pub struct CoherentBox<T: ?Sized> {
    memory: Coherent<T>,
    data: PhantomData<T>,
}

impl<T: Plain> CoherentBox<T> {
    /// A zeroed `T`, mapped for `domain`'s device, in pages of its own.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENOSPC` and what else the kernel says when it maps, with what to do about it.
    pub fn zeroed(domain: &Arc<Domain>) -> Result<Self> {
        let pages = domain.pages(size_of_all::<T>(1)?)?;
        Self::over(domain, pages, 1)
    }
}

impl<T: Plain> CoherentBox<[T]> {
    /// `count` zeroed `T`s, mapped for `domain`'s device, in pages of their own.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `count` is 0;
    /// - `ENOMEM`, `ENOSPC` and what else the kernel says when it maps, with what to do about it.
    pub fn zeroed_slice(domain: &Arc<Domain>, count: usize) -> Result<Self> {
        let pages = domain.pages(size_of_all::<T>(count)?)?;
        Self::over(domain, pages, count)
    }

    /// As [`zeroed_slice`](Self::zeroed_slice), in huge pages.
    ///
    /// # Errors
    ///
    /// As [`zeroed_slice`](Self::zeroed_slice); and as [`Pages::huge`].
    pub fn huge_slice(domain: &Arc<Domain>, count: usize) -> Result<Self> {
        let pages = Pages::huge(size_of_all::<T>(count)?)?;
        Self::over(domain, pages, count)
    }
}

impl<T: ?Sized> CoherentBox<T> {
    fn over(domain: &Arc<Domain>, pages: Pages, count: usize) -> Result<Self> {
        pages.give_to_cpu();
        let memory = domain.map(Arc::new(pages), Direction::Bidirectional)?;
        Ok(Self { memory: Coherent::new(Part::whole(memory), count), data: PhantomData })
    }

    /// Shares it with the device, which sees all that was written before. Now its address may be told.
    pub fn into_coherent(self) -> Coherent<T> {
        self.memory.memory().pages().give_to_device();
        dma_wmb();
        self.memory
    }

    /// Where the device will have it: for tables that point at each other.
    pub fn iova(&self) -> Iova {
        self.memory.iova()
    }
}

/// Size of `count` times `T` in bytes.
fn size_of_all<T: Plain>(count: usize) -> Result<usize> {
    const { assert!(size_of::<T>() != 0, "there is nothing to share in a type of no size") };
    const { assert!(align_of::<T>() <= 4096, "memory is aligned to a page, and not to more") };
    match size_of::<T>().checked_mul(count) {
        Some(0) => Err(Error::invalid("cannot allocate", "coherent memory", "it has no elements")),
        Some(size) => Ok(size),
        None => {
            let thing = format!("{count} elements of {} bytes of coherent memory", size_of::<T>());
            Err(Error::new(Errno::ENOMEM, "cannot allocate", thing))
        }
    }
}

impl<T: Plain> Deref for CoherentBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let at = self.memory.memory().pages().at(0, size_of::<T>());
        // SAFETY: the pages have room for a `T`, aligned to a page, any bytes make one, and the CPU owns them: the
        // only way to them is this box, which is borrowed.
        unsafe { at.cast().as_ref() }
    }
}

impl<T: Plain> DerefMut for CoherentBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        let at = self.memory.memory().pages().at(0, size_of::<T>());
        // SAFETY: as in `deref`; this box is borrowed alone.
        unsafe { at.cast().as_mut() }
    }
}

impl<T: Plain> Deref for CoherentBox<[T]> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let count = self.memory.count();
        let at = self.memory.memory().pages().at(0, count * size_of::<T>());
        let slice = std::ptr::NonNull::slice_from_raw_parts(at.cast::<T>(), count);
        // SAFETY: the pages have room for `count`, aligned to a page, any bytes make them, and the CPU owns them:
        // the only way to them is this box, which is borrowed.
        unsafe { slice.as_ref() }
    }
}

impl<T: Plain> DerefMut for CoherentBox<[T]> {
    fn deref_mut(&mut self) -> &mut [T] {
        let count = self.memory.count();
        let at = self.memory.memory().pages().at(0, count * size_of::<T>());
        let mut slice = std::ptr::NonNull::slice_from_raw_parts(at.cast::<T>(), count);
        // SAFETY: as in `deref`; this box is borrowed alone.
        unsafe { slice.as_mut() }
    }
}

impl<T: ?Sized> fmt::Debug for CoherentBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoherentBox").field("memory", &self.memory).finish_non_exhaustive()
    }
}
