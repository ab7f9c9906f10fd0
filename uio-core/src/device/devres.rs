//! [`Devres`]: what a driver holds of a device, released when the device goes. The kernel's `devm_*`.
//!
//! # Vocabulary
//!
//! - **managed**: held by the device on the driver's behalf, from [`Device::manage`] on.
//! - **revoked**: no access is given any more; those that were given end in their own time.
//! - **released**: dropped. In the reverse order of being managed, after the last access has ended.
//!
//! # States
//!
//! ```text
//!           Device::manage            device unbound, gone, dropped            last access ends
//!   value ────────────────▶ managed ───────────────────────────────▶ revoked ───────────────────▶ released
//!                              │                drop of the Devres      ▲
//!                              └────────────────────────────────────────┘
//! ```
//!
//! # Order
//!
//! Everything is revoked first; so when the first value is released, none can be reached any more. Then they
//! are released, the latest first: an interrupt [`Registration`](crate::irq::Registration) that was managed
//! after the region its handler reads is gone before the region is. Each release waits for accesses, except
//! where the device goes away by itself: that is on the dispatcher, which must not wait, and whoever ends the
//! last access releases the value.
//!
//! Mirrors `drivers/base/devres.c` and `rust/kernel/devres.rs`.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nix::errno::Errno;

use super::Device;
use crate::error::{Error, Result};
use crate::sync::WaitQueue;

/// What the device knows of a managed value, whatever its type.
trait Managed: Send + Sync {
    /// Gives no access any more.
    fn revoke(&self);
    /// Drops the value; with `wait`, after the last access.
    fn release(&self, wait: bool);
}

/// A value, until it is revoked, and then until it is released.
struct Cell<T> {
    slot: Mutex<Slot<T>>,
    /// Woken when an access ends.
    unused: WaitQueue,
}

struct Slot<T> {
    value: Option<Arc<T>>,
    revoked: bool,
}

impl<T: Send + Sync> Cell<T> {
    fn slot(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_used(&self) -> bool {
        self.slot().value.as_ref().is_some_and(|value| Arc::strong_count(value) > 1)
    }
}

impl<T: Send + Sync> Managed for Cell<T> {
    fn revoke(&self) {
        self.slot().revoked = true;
    }

    fn release(&self, wait: bool) {
        if wait {
            self.unused.wait_until(|| !self.is_used());
        }
        // Dropped without the lock: the value may be anything.
        let value = self.slot().value.take();
        drop(value);
    }
}

/// The managed values of a device, in the order in which they came.
#[derive(Default)]
pub(super) struct Stack {
    values: Mutex<Option<Vec<Arc<dyn Managed>>>>,
    closed: std::sync::atomic::AtomicBool,
}

impl Stack {
    fn values(&self) -> MutexGuard<'_, Option<Vec<Arc<dyn Managed>>>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `false` if the device is gone.
    fn push(&self, value: Arc<dyn Managed>) -> bool {
        let mut values = self.values();
        if self.closed.load(std::sync::atomic::Ordering::Relaxed) {
            return false;
        }
        values.get_or_insert_default().push(value);
        true
    }

    /// Takes a value off before its time; `false` if it is being released with the others.
    fn remove(&self, cell: *const ()) -> bool {
        let mut values = self.values();
        let Some(values) = values.as_mut() else { return false };
        let before = values.len();
        values.retain(|value| !std::ptr::eq(Arc::as_ptr(value).cast(), cell));
        values.len() < before
    }

    /// Releases everything; `last`: nothing is managed any more afterwards.
    pub(super) fn release_all(&self, wait: bool, last: bool) {
        let values = {
            let mut values = self.values();
            // Under the lock, so that `push` sees it.
            self.closed.fetch_or(last, std::sync::atomic::Ordering::Relaxed);
            values.take().unwrap_or_default()
        };
        values.iter().for_each(|value| value.revoke());
        values.iter().rev().for_each(|value| value.release(wait));
    }
}

/// A value that is released with its device, or when this handle is dropped, if that is earlier.
///
/// The value must not own the device, or neither is ever freed.
pub struct Devres<T: Send + Sync + 'static> {
    cell: Arc<Cell<T>>,
    device: Weak<Device>,
}

impl<T: Send + Sync + 'static> Devres<T> {
    /// Has `device` manage `value`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the device is gone; the value is dropped.
    pub fn new(device: &Arc<Device>, value: T) -> Result<Self> {
        let slot = Mutex::new(Slot { value: Some(Arc::new(value)), revoked: false });
        let cell = Arc::new(Cell { slot, unused: WaitQueue::new() });
        if !device.managed.push(Arc::clone(&cell) as Arc<dyn Managed>) {
            return Err(Error::new(Errno::ENODEV, "cannot manage resources of", device.name()));
        }
        Ok(Self { cell, device: Arc::downgrade(device) })
    }

    /// Access to the value, if it has not been revoked. Never blocks. Held for a short time only: a device
    /// that is unbound waits for it.
    pub fn try_access(&self) -> Option<DevresGuard<'_, T>> {
        let slot = self.cell.slot();
        if slot.revoked {
            return None;
        }
        Some(DevresGuard { value: slot.value.clone(), cell: &self.cell })
    }

    /// Whether access is still given.
    pub fn is_available(&self) -> bool {
        !self.cell.slot().revoked
    }
}

impl<T: Send + Sync + 'static> Drop for Devres<T> {
    fn drop(&mut self) {
        let own: *const Cell<T> = Arc::as_ptr(&self.cell);
        let removed = self.device.upgrade().is_some_and(|device| device.managed.remove(own.cast()));
        if removed {
            self.cell.revoke();
            // Nobody has access: a guard borrows this handle.
            self.cell.release(false);
        }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Devres<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Devres").field("available", &self.is_available()).finish_non_exhaustive()
    }
}

/// Access to a managed value; see [`Devres::try_access`].
pub struct DevresGuard<'a, T: Send + Sync + 'static> {
    /// `Some` until the drop.
    value: Option<Arc<T>>,
    cell: &'a Cell<T>,
}

impl<T: Send + Sync + 'static> Deref for DevresGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // PANIC: not reached; it is taken by the drop alone.
        self.value.as_ref().expect("the value of a guard that lives")
    }
}

impl<T: Send + Sync + 'static> Drop for DevresGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        self.cell.unused.wake_all();
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for DevresGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
