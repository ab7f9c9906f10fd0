//! [`Pool`]: small pieces of coherent memory, many of them in one mapping.
//!
//! # Vocabulary
//!
//! - **chunk**: whole pages, mapped once.
//! - **slot**: the place of one `T` in a chunk; free, or held by a [`Coherent`] of the pool.
//!
//! A buffer of its own takes a page, a mapping of those that the kernel counts, and two granules of addresses at
//! least. A pool gives that to a chunk, and its slots away: for queue heads and descriptors that come and go one by
//! one. What it costs: the IOMMU cannot tell the slots of a chunk from each other.
//!
//! Chunks live until the pool and all that came from it are gone. A slot that comes back is free for the next, so the
//! driver has stopped the device from using it, as for every buffer.
//!
//! Mirrors `mm/dmapool.c`.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::mapped::Mapped;
use super::{Coherent, Direction, Domain};
use crate::error::{Error, Result};
use crate::mem::Plain;

/// Hands out coherent `T`s. See the [module](self).
#[doc(alias("dma_pool", "dma_pool_create", "dma_pool_destroy"))]
pub struct Pool<T> {
    shared: Arc<Shared>,
    data: PhantomData<fn() -> T>,
}

impl<T: Plain> Pool<T> {
    /// A pool without a chunk, for the device of `domain`, whose `T`s are at multiples of `align` bytes.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `align` is no power of two, or more than a page.
    pub fn new(domain: &Arc<Domain>, align: usize) -> Result<Self> {
        const { assert!(size_of::<T>() != 0, "there is nothing to share in a type of no size") };
        const { assert!(align_of::<T>() <= 4096, "memory is aligned to a page, and not to more") };
        if !align.is_power_of_two() || align > 4096 {
            let cause = "slots are aligned to a power of two, 4096 at most";
            return Err(Error::invalid("cannot make", format!("a pool aligned to {align}"), cause));
        }
        let stride = size_of::<T>().next_multiple_of(align.max(align_of::<T>()));
        let state = Mutex::new(State { free: Vec::new(), chunks: 0 });
        let shared = Shared { domain: Arc::clone(domain), stride, state };
        Ok(Self { shared: Arc::new(shared), data: PhantomData })
    }

    /// A zeroed `T`. Maps a chunk if no slot is free, and may sleep for that.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENOSPC` and what else the kernel says when it maps, with what to do about it.
    #[doc(alias("dma_pool_alloc", "dma_pool_zalloc", "dma_pool_free"))]
    pub fn alloc(&self) -> Result<Coherent<T>> {
        let place = self.shared.take()?;
        let coherent = Coherent::new(Part::slot(&self.shared, place), 1);
        coherent.write(T::new_zeroed());
        Ok(coherent)
    }

    /// How many chunks are mapped.
    pub fn chunks(&self) -> usize {
        self.shared.state().chunks
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state();
        f.debug_struct("Pool")
            .field("stride", &self.shared.stride)
            .field("chunks", &state.chunks)
            .field("free", &state.free.len())
            .finish_non_exhaustive()
    }
}

/// What the pool and all that came from it have in common.
struct Shared {
    domain: Arc<Domain>,
    /// From one slot to the next, in bytes.
    stride: usize,
    state: Mutex<State>,
}

struct State {
    /// With room for every slot there is, so that a drop does not allocate.
    free: Vec<Place>,
    chunks: usize,
}

/// A slot: its chunk, and where it begins there.
type Place = (Arc<Mapped>, usize);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Place> {
        let mut state = self.state();
        if let Some(place) = state.free.pop() {
            return Ok(place);
        }
        let pages = self.domain.pages(self.stride)?;
        let slots = pages.len() / self.stride;
        let chunk = Arc::new(self.domain.map(Arc::new(pages), Direction::Bidirectional)?);
        state.chunks += 1;
        let all = state.chunks * slots;
        state.free.reserve(all);
        state.free.extend((1..slots).rev().map(|slot| (Arc::clone(&chunk), slot * self.stride)));
        Ok((chunk, 0))
    }
}

/// A part of mapped pages: all of them, or a slot of a pool.
pub(super) struct Part {
    memory: Arc<Mapped>,
    offset: usize,
    pool: Option<Arc<Shared>>,
}

impl Part {
    /// All of them.
    pub(super) fn whole(memory: Mapped) -> Self {
        Self { memory: Arc::new(memory), offset: 0, pool: None }
    }

    fn slot(pool: &Arc<Shared>, (memory, offset): Place) -> Self {
        Self { memory, offset, pool: Some(Arc::clone(pool)) }
    }

    /// The pages that it is in.
    #[inline]
    pub(super) fn memory(&self) -> &Mapped {
        &self.memory
    }

    /// Where it begins in them, in bytes.
    #[inline]
    pub(super) fn offset(&self) -> usize {
        self.offset
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.state().free.push((Arc::clone(&self.memory), self.offset));
        }
    }
}
