//! Taking a device from one kernel driver and giving it to another, as a transaction: a PCI function, or a platform device.
//!
//! A [`Plan`] is a list of [`Step`]s for some devices; [`Plan::apply`] does them in order, looks after each whether
//! the kernel really did it, and takes everything back when one fails ([`Failed`]).
//!
//! The way is `driver_override` and never `new_id`: the first speaks of one device, the second of all cards of a
//! kind, for ever. It is the same on all buses that have it ([`Bus`](super::Bus)).
//!
//! # Vocabulary
//!
//! - The **override** is the attribute `driver_override`: while it names a driver, no other may have the device, and
//!   that one takes it whatever its ID table says. An empty write does nothing; a line end clears it.
//! - A device is **driverless** when it is bound to nothing. It stays so until somebody asks, or a module comes.
//! - To **probe** is to have the kernel look for a driver (`drivers_probe`). The write succeeds even if none is found.
//!
//! # States of a device in a transaction
//!
//! ```text
//! bound to OLD ──unbind──▶ driverless ──override──▶ reserved for NEW ──bind──▶ bound to NEW
//!      ▲                        │                          │                      │
//!      └────────────────────────┴───────── roll back ──────┴──────────────────────┘
//! ```
//!
//! # What may take its time
//!
//! `unbind` of a function of `vfio-pci` returns when its user has closed it, which may be never, and holds the lock of
//! the device until then: every access to most of its attributes waits as well, unkillable. So all such accesses go
//! through a [`Kernel`], whose implementation gives up on time and leaves the access to end by itself. What times out is
//! not rolled back, for it is not over.
//!
//! The neighbours: [`usage`](super::usage) says what a device is in use for, [`rule`](super::rule) has the udev rule
//! that does the same at every boot. Mirrors `drivers/base/bus.c`, `drivers/pci/pci-driver.c` and
//! `drivers/base/platform.c`.

mod apply;
mod plan;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

pub use apply::{Failed, Outcome, Returned, is_for_userspace};
pub use plan::{Change, Goal, Plan, Step};

use crate::error::Result;

/// The requests that the kernel may take its time for.
pub trait Kernel {
    /// The text of an attribute, without its line end.
    ///
    /// # Errors
    ///
    /// What the kernel says; `TimedOut` when it says nothing in time.
    fn read(&self, attribute: &Path) -> io::Result<String>;

    /// Writes `text` to an attribute, in one piece.
    ///
    /// # Errors
    ///
    /// What the kernel says; `TimedOut` when it says nothing in time. The write then goes on and may still succeed.
    fn write(&self, attribute: &Path, text: &str) -> io::Result<()>;

    /// Loads a module by its name, or by an alias such as `pci:v00001234...`.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be loaded.
    fn load_module(&self, name: &str) -> Result<()>;
}

/// The driver that an override names; the kernel says `(null)` for none, or nothing.
pub fn parse_override(text: &str) -> Option<String> {
    let name = text.trim();
    (!name.is_empty() && name != "(null)").then(|| name.to_owned())
}
