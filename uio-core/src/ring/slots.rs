//! The slots of a ring: memory that two threads share, each slot owned by one of them at a time.
//!
//! Who owns which slot is the business of [`spsc`](super::spsc); here are the copies and the slices.
#![expect(unsafe_code, reason = "slots are shared between two threads without a lock")]

#[cfg(not(loom))]
pub(super) use plain::Slots;

#[cfg(not(loom))]
mod plain {
    //! Slots as one run of memory, copied and borrowed in runs.

    use std::cell::UnsafeCell;

    /// The memory of a ring: a power of two of initialised elements.
    pub(in crate::ring) struct Slots<T>(Box<[UnsafeCell<T>]>);

    // SAFETY: the ring's protocol (P1..C3) gives each slot to one thread at a time.
    unsafe impl<T: Send> Send for Slots<T> {}
    // SAFETY: as above.
    unsafe impl<T: Send> Sync for Slots<T> {}

    impl<T> Slots<T> {
        pub(in crate::ring) fn capacity(&self) -> usize {
            self.0.len()
        }

        /// Where the run of `count` slots from `index` starts, and how many come before it wraps.
        fn run(&self, index: usize, count: usize) -> (usize, usize) {
            let start = index & (self.capacity() - 1);
            (start, count.min(self.capacity() - start))
        }

        fn pointer(&self) -> *mut T {
            UnsafeCell::raw_get(self.0.as_ptr())
        }
    }

    impl<T: Copy + Default> Slots<T> {
        pub(in crate::ring) fn new(capacity: usize) -> Self {
            Self((0..capacity).map(|_| UnsafeCell::new(T::default())).collect())
        }

        /// Where slot `index` lies.
        fn slot(&self, index: usize) -> *mut T {
            self.pointer().wrapping_add(index & (self.capacity() - 1))
        }

        /// # Safety
        ///
        /// The slot `index` must belong to the caller.
        #[inline]
        pub(in crate::ring) unsafe fn put(&self, index: usize, value: T) {
            // SAFETY: the masked index is below the capacity, and the slot is the caller's alone.
            unsafe { self.slot(index).write(value) };
        }

        /// # Safety
        ///
        /// The slot `index` must belong to the caller.
        #[inline]
        pub(in crate::ring) unsafe fn get(&self, index: usize) -> T {
            // SAFETY: the masked index is below the capacity, and nobody writes to the caller's slot.
            unsafe { self.slot(index).read() }
        }

        /// # Safety
        ///
        /// The `data.len()` slots from `index` on must belong to the caller, and be at most the capacity.
        pub(in crate::ring) unsafe fn write(&self, index: usize, data: &[T]) {
            // SAFETY: by the caller's promise.
            let (first, second) = unsafe { self.slices_mut(index, data.len()) };
            let (head, rest) = data.split_at(first.len());
            first.copy_from_slice(head);
            second.copy_from_slice(rest);
        }

        /// # Safety
        ///
        /// The `buf.len()` slots from `index` on must belong to the caller, and be at most the capacity.
        pub(in crate::ring) unsafe fn read(&self, index: usize, buf: &mut [T]) {
            // SAFETY: by the caller's promise.
            let (first, second) = unsafe { self.slices(index, buf.len()) };
            let (head, rest) = buf.split_at_mut(first.len());
            head.copy_from_slice(first);
            rest.copy_from_slice(second);
        }

        /// # Safety
        ///
        /// The `count` slots from `index` on must belong to the caller while the slices live, and be at most
        /// the capacity.
        pub(in crate::ring) unsafe fn slices(&self, index: usize, count: usize) -> (&[T], &[T]) {
            let (start, run) = self.run(index, count);
            let base = self.pointer().cast_const();
            // SAFETY: `start + run` is at most the capacity; the slots are the caller's.
            let first = unsafe { std::slice::from_raw_parts(base.wrapping_add(start), run) };
            // SAFETY: the rest lies at the front, `count - run` is at most `start`; the slots are the caller's.
            let second = unsafe { std::slice::from_raw_parts(base, count - run) };
            (first, second)
        }

        /// # Safety
        ///
        /// As [`slices`](Self::slices), and nobody else may read the slots either.
        #[expect(clippy::mut_from_ref, reason = "the slots are the caller's alone, by its promise")]
        pub(in crate::ring) unsafe fn slices_mut(
            &self,
            index: usize,
            count: usize,
        ) -> (&mut [T], &mut [T]) {
            let (start, run) = self.run(index, count);
            let base = self.pointer();
            // SAFETY: `start + run` is at most the capacity; the slots are the caller's alone.
            let first = unsafe { std::slice::from_raw_parts_mut(base.wrapping_add(start), run) };
            // SAFETY: the rest lies at the front and does not overlap the first run; the caller's alone.
            let second = unsafe { std::slice::from_raw_parts_mut(base, count - run) };
            (first, second)
        }
    }
}

#[cfg(loom)]
pub(super) use modelled::Slots;

#[cfg(loom)]
mod modelled {
    //! Slots one by one, each access checked by the model.

    use loom::cell::UnsafeCell;

    pub(in crate::ring) struct Slots<T>(Vec<UnsafeCell<T>>);

    // SAFETY: the model fails on any access that the protocol does not order.
    unsafe impl<T: Send> Send for Slots<T> {}
    // SAFETY: as above.
    unsafe impl<T: Send> Sync for Slots<T> {}

    impl<T> Slots<T> {
        pub(in crate::ring) fn capacity(&self) -> usize {
            self.0.len()
        }
    }

    impl<T: Copy + Default> Slots<T> {
        pub(in crate::ring) fn new(capacity: usize) -> Self {
            Self((0..capacity).map(|_| UnsafeCell::new(T::default())).collect())
        }

        fn slot(&self, index: usize) -> &UnsafeCell<T> {
            &self.0[index & (self.0.len() - 1)]
        }

        pub(in crate::ring) unsafe fn put(&self, index: usize, value: T) {
            // SAFETY: the model tracks this access.
            self.slot(index).with_mut(|slot| unsafe { *slot = value });
        }

        pub(in crate::ring) unsafe fn get(&self, index: usize) -> T {
            // SAFETY: the model tracks this access.
            self.slot(index).with(|slot| unsafe { *slot })
        }

        pub(in crate::ring) unsafe fn write(&self, index: usize, data: &[T]) {
            for (n, &value) in data.iter().enumerate() {
                // SAFETY: the model tracks this access.
                self.slot(index.wrapping_add(n)).with_mut(|slot| unsafe { *slot = value });
            }
        }

        pub(in crate::ring) unsafe fn read(&self, index: usize, buf: &mut [T]) {
            for (n, value) in buf.iter_mut().enumerate() {
                // SAFETY: the model tracks this access.
                *value = self.slot(index.wrapping_add(n)).with(|slot| unsafe { *slot });
            }
        }
    }
}
