//! The handler itself: installed once, and what it does with a signal that is not ours.
//!
//! | action before us | a fault elsewhere | a signal that somebody sent |
//! | --- | --- | --- |
//! | a handler | it is called | it is called |
//! | `SIG_DFL` | restored: the access is made again, and ends the process | restored, and raised again |
//! | `SIG_IGN` | as `SIG_DFL`, for the kernel lets nobody ignore a fault | nothing |
//!
//! A program in Rust has a handler before us: the standard library's, which looks for an overflown stack. If it
//! finds none it restores the default for the access that is made again. For a signal that was sent there is no
//! such access, and the process would live on unprotected; so the signal is raised again.
//!
//! Mirrors `force_sig_info_to_task` and `SI_FROMUSER` (`kernel/signal.c`).

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use libc::{c_int, siginfo_t};
use nix::errno::Errno;

use super::absorb;

/// What was there before; set before our handler is installed, so that the handler finds it.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// What handlers with `SA_SIGINFO` are.
type InfoHandler = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
/// What handlers without it are.
type PlainHandler = unsafe extern "C" fn(c_int);

/// Installs the handler, once. Only one caller at a time.
///
/// # Errors
///
/// None that the kernel documents for these arguments.
pub(super) fn install() -> Result<(), Errno> {
    if PREVIOUS.get().is_some() {
        return Ok(());
    }
    let previous = current()?;
    PREVIOUS.get_or_init(|| previous);
    let mut action = default();
    let handler: InfoHandler = on_sigbus;
    action.sa_sigaction = handler as usize;
    // On the stack for signals, where there is one: the handler before us may look for an overflown stack.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    set(&action)
}

/// The default action.
pub(super) fn default() -> libc::sigaction {
    // SAFETY: all zeroes are an empty set of signals, no flags, no restorer, and `SIG_DFL`.
    unsafe { std::mem::zeroed() }
}

/// The action for SIGBUS at this moment.
fn current() -> Result<libc::sigaction, Errno> {
    let mut action = default();
    // SAFETY: the call writes one action, to a place for one.
    Errno::result(unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut action) })?;
    Ok(action)
}

/// Makes `action` the one for SIGBUS.
pub(super) fn set(action: &libc::sigaction) -> Result<(), Errno> {
    // SAFETY: the call reads one action; what it names is a handler of that form, or a constant.
    Errno::result(unsafe { libc::sigaction(libc::SIGBUS, action, ptr::null_mut()) }).map(drop)
}

/// The signal handler.
unsafe extern "C" fn on_sigbus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    // SAFETY: the kernel passes a valid record to a handler with `SA_SIGINFO`.
    let record = unsafe { &*info };
    // SAFETY: the field is read as an address, and used as one only if the signal is a fault, which has one.
    let address = unsafe { record.si_addr() }.addr();
    let is_fault = is_fault(record);
    if !(is_fault && absorb(address)) {
        // SAFETY: these are the arguments that the kernel passed.
        unsafe { chain(signal, info, context) };
        after_chain(is_fault);
    }
    Errno::set_raw(errno);
}

/// Whether an access of this thread raised the signal, which then has an address and comes again if nothing
/// changes. What a process sends has a code of zero or less; news of broken memory concern no access.
fn is_fault(record: &siginfo_t) -> bool {
    record.si_code > 0 && record.si_code != libc::BUS_MCEERR_AO
}

/// Has the previous action deal with the signal.
///
/// # Safety
///
/// The arguments are those of a handler with `SA_SIGINFO`.
unsafe fn chain(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(previous) = PREVIOUS.get() else { return restore_default() };
    match previous.sa_sigaction {
        libc::SIG_DFL => restore_default(),
        // SAFETY: by the caller's promise.
        libc::SIG_IGN if is_fault(unsafe { &*info }) => restore_default(),
        libc::SIG_IGN => {}
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: neither constant, so a function, and with this flag of this form.
            let handler = unsafe { std::mem::transmute::<usize, InfoHandler>(handler) };
            // SAFETY: by the caller's promise.
            unsafe { handler(signal, info, context) };
        }
        handler => {
            // SAFETY: neither constant, so a function, and without the flag of this form.
            let handler = unsafe { std::mem::transmute::<usize, PlainHandler>(handler) };
            // SAFETY: a handler may be called with its signal.
            unsafe { handler(signal) };
        }
    }
}

fn restore_default() {
    // The kernel has no reason to refuse; and a handler can tell nobody.
    let _ = set(&default());
}

/// A fault is made again when the handler returns. A signal that was sent is not: if the previous action left
/// the default in our place, it wants the process to end.
fn after_chain(is_fault: bool) {
    if !is_fault && current().is_ok_and(|action| action.sa_sigaction == libc::SIG_DFL) {
        // It is blocked while this handler runs, and comes in when it returns.
        // SAFETY: the call has no memory to get wrong.
        unsafe { libc::raise(libc::SIGBUS) };
    }
}
