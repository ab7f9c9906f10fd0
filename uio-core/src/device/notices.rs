//! What the bus says of a device beside its interrupts: that the kernel wants it back, that an error was noticed.
//!
//! Hooks are called on threads of their own, which may sleep: a driver that hangs in one holds up nobody. The one
//! for removal has [`QUIESCE`] time; then the device goes, whether its driver is ready or not.

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;

use super::Device;
use super::backend::BusEvents;
use crate::error::Result;

/// How long a driver has to stop a device that the kernel wants back. With what follows it is within a second.
const QUIESCE: Duration = Duration::from_millis(700);

type Hook = Arc<dyn Fn() + Send + Sync>;

/// The hooks of a device.
#[derive(Default)]
pub(super) struct Notices {
    removal: Mutex<Vec<Hook>>,
    error: Mutex<Vec<Hook>>,
}

fn locked(hooks: &Mutex<Vec<Hook>>) -> MutexGuard<'_, Vec<Hook>> {
    hooks.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    /// Calls `hook` once, on a thread that may sleep, when the kernel wants the device back, before the device is
    /// gone: the moment to stop it. The device goes when the hook returns, after 700 ms at most.
    pub fn on_remove_requested(&self, hook: impl Fn() + Send + Sync + 'static) {
        locked(&self.notices.removal).push(Arc::new(hook));
    }

    /// Calls `hook`, on a thread that may sleep, each time that the bus notices an error of the device (AER).
    pub fn on_error(&self, hook: impl Fn() + Send + Sync + 'static) {
        locked(&self.notices.error).push(Arc::new(hook));
    }

    /// Hears what the bus says, from now on.
    pub(super) fn listen(self: &Arc<Self>) -> Result<()> {
        self.backend.listen(Arc::new(Listener(Arc::downgrade(self))))
    }

    fn remove_requested(&self) {
        tracing::info!(device = %self.name(), "the kernel wants the device back");
        let hooks = std::mem::take(&mut *locked(&self.notices.removal));
        let (done, waiting) = channel();
        let started = call_all(format!("quiesce/{}", self.name()), hooks, move || {
            // Nobody waits any more if it took too long.
            let _ = done.send(());
        });
        if started && waiting.recv_timeout(QUIESCE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(device = %self.name(), "its driver did not stop it in time; it goes all the same");
        }
        self.mark_gone(Errno::ENODEV);
    }

    fn error_detected(&self) {
        tracing::error!(device = %self.name(), "the bus noticed an error of the device");
        let hooks = locked(&self.notices.error).clone();
        call_all(format!("error/{}", self.name()), hooks, || {});
    }
}

/// Calls the hooks, and then `after`, on a thread of their own. Whether there was one to be had.
fn call_all(name: String, hooks: Vec<Hook>, after: impl FnOnce() + Send + 'static) -> bool {
    let spawned = thread::Builder::new().name(name).spawn(move || {
        hooks.iter().for_each(|hook| hook());
        after();
    });
    spawned.inspect_err(|error| tracing::error!(%error, "cannot tell a driver")).is_ok()
}

/// Hears for a device, as long as it is there.
struct Listener(Weak<Device>);

impl BusEvents for Listener {
    fn remove_requested(&self) {
        if let Some(device) = self.0.upgrade() {
            device.remove_requested();
        }
    }

    fn error_detected(&self) {
        if let Some(device) = self.0.upgrade() {
            device.error_detected();
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}
