//! The list of items that wait: linked through the items, so that queueing never allocates.
//!
//! # Locking
//!
//! A list, and the links of the items on it, change only under the lock of their pool. The links have a lock
//! of their own for the compiler's sake; it is never contended, and a leaf.
//!
//! Neighbours own each other: an item that is taken off lets go of both, and a list that is dropped takes off
//! all of its items.

use std::sync::Arc;

use super::work::Inner;

/// Which list of its lane or pool an item is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum On {
    /// None.
    #[default]
    Off,
    /// The pool's: the next free worker takes it.
    Worklist,
    /// Its lane's: `max_active` items of the queue are under way.
    Inactive,
    /// None, and whoever runs it puts it back on the pool's.
    SetAside,
}

#[derive(Default)]
pub(super) struct Links {
    pub(super) on: On,
    next: Option<Arc<Inner>>,
    prev: Option<Arc<Inner>>,
}

/// First in, first out, unless taken from the middle.
#[derive(Default)]
pub(super) struct List {
    head: Option<Arc<Inner>>,
    tail: Option<Arc<Inner>>,
}

impl List {
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    pub(super) fn push_back(&mut self, item: &Arc<Inner>, on: On) {
        let prev = self.tail.replace(Arc::clone(item));
        match &prev {
            Some(last) => last.links().next = Some(Arc::clone(item)),
            None => self.head = Some(Arc::clone(item)),
        }
        *item.links() = Links { on, next: None, prev };
    }

    pub(super) fn push_front(&mut self, item: &Arc<Inner>, on: On) {
        let next = self.head.replace(Arc::clone(item));
        match &next {
            Some(first) => first.links().prev = Some(Arc::clone(item)),
            None => self.tail = Some(Arc::clone(item)),
        }
        *item.links() = Links { on, next, prev: None };
    }

    pub(super) fn pop_front(&mut self) -> Option<Arc<Inner>> {
        let first = self.head.take()?;
        let Links { next, .. } = std::mem::take(&mut *first.links());
        match &next {
            Some(second) => second.links().prev = None,
            None => self.tail = None,
        }
        self.head = next;
        Some(first)
    }

    /// Takes `item` off. It must be on this list.
    pub(super) fn remove(&mut self, item: &Arc<Inner>) {
        let Links { next, prev, .. } = std::mem::take(&mut *item.links());
        match &next {
            Some(after) => after.links().prev.clone_from(&prev),
            None => self.tail.clone_from(&prev),
        }
        match &prev {
            Some(before) => before.links().next = next,
            None => self.head = next,
        }
    }

    /// Calls `look` with each item from the front until it returns `true`, and returns that item.
    pub(super) fn find(&self, mut look: impl FnMut(&Arc<Inner>) -> bool) -> Option<Arc<Inner>> {
        let mut at = self.head.clone();
        while let Some(item) = at {
            if look(&item) {
                return Some(item);
            }
            at = item.links().next.clone();
        }
        None
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // One by one: items that own each other would never be freed, or by recursion.
        while self.pop_front().is_some() {}
    }
}
