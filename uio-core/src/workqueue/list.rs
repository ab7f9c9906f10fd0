//! The list of items that wait: linked through the items, so that queueing never allocates.
//!
//! # Locking
//!
//! A list, and the links of the items on it, change only under the lock of their pool. The links have a lock
//! of their own for the compiler's sake; it is never contended, and a leaf.

use std::sync::{Arc, Weak};

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
    prev: Weak<Inner>,
}

/// First in, first out, unless taken from the middle.
#[derive(Default)]
pub(super) struct List {
    head: Option<Arc<Inner>>,
    tail: Weak<Inner>,
}

impl List {
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    pub(super) fn push_back(&mut self, item: &Arc<Inner>, on: On) {
        let tail = std::mem::replace(&mut self.tail, Arc::downgrade(item));
        match tail.upgrade() {
            Some(last) => last.links().next = Some(Arc::clone(item)),
            None => self.head = Some(Arc::clone(item)),
        }
        *item.links() = Links { on, next: None, prev: tail };
    }

    pub(super) fn push_front(&mut self, item: &Arc<Inner>, on: On) {
        let next = self.head.replace(Arc::clone(item));
        match &next {
            Some(first) => first.links().prev = Arc::downgrade(item),
            None => self.tail = Arc::downgrade(item),
        }
        *item.links() = Links { on, next, prev: Weak::new() };
    }

    pub(super) fn pop_front(&mut self) -> Option<Arc<Inner>> {
        let first = self.head.clone()?;
        self.remove(&first);
        Some(first)
    }

    /// Takes `item` off. It must be on this list.
    pub(super) fn remove(&mut self, item: &Arc<Inner>) {
        let Links { next, prev, .. } = std::mem::take(&mut *item.links());
        match &next {
            Some(after) => after.links().prev = Weak::clone(&prev),
            None => self.tail = Weak::clone(&prev),
        }
        match prev.upgrade() {
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
        // One by one: items that own each other in a chain would be freed by recursion.
        while self.pop_front().is_some() {}
    }
}
