//! The SIGBUS of a device that is gone: caught, and turned into ones.
//!
//! The kernel takes a device's pages away when the device is unplugged or reset, or when its memory decode is
//! switched off (`vfio_pci_zap_bars`, `drivers/vfio/pci/vfio_pci_core.c`), and an access then raises SIGBUS on
//! the thread that made it, whose default is the end of the process. On a bus the same access reads as ones.
//! So one handler for the process, installed before the first mapping of a device, does what a bus does:
//!
//! 1. it looks the address up in a [table](table) of all mappings of devices;
//! 2. it sets the flag of the device, its [`FaultMark`], from which on every checked access says `Gone`;
//! 3. it replaces the pages of the whole mapping by [ones](ones);
//! 4. it signals the mark's descriptor, at which the device's dispatcher runs the rest of the device's end;
//! 5. it returns, and the access is made again: a load yields ones, a store goes nowhere.
//!
//! An address that is in no slot is not ours: the action that was there before decides. The kernel does the
//! same for its own accesses with the exception table (`arch/x86/mm/extable.c`).
//!
//! # Once is for ever
//!
//! A fault need not be an unplugged device: memory decode may come back. The device stays gone all the same
//! until it is opened again; its state is unknown, and its driver has missed what happened meanwhile.
//!
//! # Why a signal handler may do this
//!
//! It runs between any two instructions of its thread, which may hold any lock and be inside `malloc`. It
//! takes no lock, allocates nothing and logs nothing: it loads atomics, and calls `mmap`, `write` and
//! `sigaction`, which are plain system calls on Linux. It saves and restores `errno`. What it reads was
//! complete before it was shared (`OnceLock`, the table's own argument), and what it writes are the flag of a
//! mark that the mapping keeps alive and pages that the mapping owns.
//!
//! Two things are up to the program: a handler for SIGBUS that it installs later calls the one that was there,
//! and no thread that touches a device blocks SIGBUS, for the kernel ends a process whose fault is blocked.
//!
//! Neighbours: [`mmap`](super::mmap) holds a [`Watch`] for each mapping of a device; `device` watches the mark.
//! No lock is taken while `WRITERS` is held, and no device is touched.
#![expect(unsafe_code, reason = "a signal handler gets pointers, and replaces mapped pages")]

mod handler;
mod mark;
mod ones;
mod table;

use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use crate::error::{Error, Result};
pub(crate) use mark::FaultMark;
use table::Table;

/// How many mappings of devices a process may have at a time. A device has one for each region, or for each
/// part of one.
pub(crate) const CAPACITY: usize = 1024;

#[cfg(not(loom))]
static TABLE: Table<FaultMark, CAPACITY> = Table::new();
#[cfg(loom)]
loom::lazy_static! {
    static ref TABLE: Table<FaultMark, CAPACITY> = Table::new();
}
/// Held by who changes the table, the handler or the ones; never by the handler.
static WRITERS: Mutex<()> = Mutex::new(());

fn writers() -> MutexGuard<'static, ()> {
    WRITERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pages of a device that the handler watches over, until the drop.
#[derive(Debug)]
pub(crate) struct Watch {
    slot: usize,
    /// Borrowed by the slot.
    _mark: Arc<FaultMark>,
}

impl Watch {
    /// Watches over the pages from `start` to `end`, of the mapping of `thing`, whose faults set `mark`.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if [`CAPACITY`] mappings are watched already; what the kernel says when it gives out memory.
    ///
    /// # Safety
    ///
    /// Both addresses are on a page. The pages belong to the caller until after the drop, no Rust reference
    /// leads there, and who accesses them keeps the `Watch` alive meanwhile.
    pub(crate) unsafe fn new(
        start: usize,
        end: usize,
        mark: &Arc<FaultMark>,
        thing: &dyn fmt::Display,
    ) -> Result<Self> {
        let _turn = writers();
        let failed =
            |errno| Error::new(errno, "cannot prepare", format_args!("for the loss of {thing}"));
        ones::prepare(end - start).map_err(failed)?;
        handler::install().map_err(failed)?;
        let slot = TABLE.insert(start, end, NonNull::from(&**mark)).ok_or_else(|| {
            Error::new(Errno::ENOSPC, "cannot map", thing)
                .with_cause(format!("this process has {CAPACITY} mappings of devices, the most"))
                .with_hint("run some of its devices in another process")
        })?;
        Ok(Self { slot, _mark: Arc::clone(mark) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _turn = writers();
        // Before the mark goes: the slot borrows it.
        TABLE.remove(self.slot);
    }
}

/// Replaces the pages from `start` to `end` by ones, as a fault there does.
///
/// # Errors
///
/// What the kernel says when it gives out memory or mappings.
///
/// # Safety
///
/// Both addresses are on a page, the pages belong to the caller, and no Rust reference leads there.
pub(crate) unsafe fn replace_by_ones(start: usize, end: usize) -> Result<(), Errno> {
    // Whoever has watched a mapping has made them ready; the lock is for memory that stands in for a device.
    if !ones::are_ready() {
        let _turn = writers();
        ones::prepare(end - start)?;
    }
    // SAFETY: by the caller's promise.
    unsafe { ones::replace(start, end) }
}

/// Deals with a fault at `address`; whether it was a device's. For a signal handler.
fn absorb(address: usize) -> bool {
    let Some(hit) = TABLE.find(address) else { return false };
    // SAFETY: the slot borrows the mark from a `Watch`, which the interrupted access keeps alive.
    let mark = unsafe { hit.mark.as_ref() };
    let first = mark.set();
    // SAFETY: the pages belong to the `Watch`, whose maker promised the rest.
    let replaced = unsafe { ones::replace(hit.start, hit.end) }.is_ok();
    if first {
        // Fails only if it has come up already.
        let _ = mark.signal();
    }
    replaced
}

#[cfg(all(test, not(loom)))]
mod tests;
