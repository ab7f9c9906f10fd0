//! [`Registration`]: a handler's claim on a line. The kernel's `request_irq` and `free_irq`.

use std::fmt;
use std::sync::Arc;

use nix::errno::Errno;

use super::action::Action;
use super::dispatch::Shared;
use super::flow::Line;
use super::handler::{Flags, Handler};
use super::line::IrqLine;
use super::state::{MAX_THREADS, Owed};
use crate::error::{Error, Result};
use crate::sync::facade::atomic::{Ordering, fence};

const ACT: &str = "cannot request interrupt line";

/// A handler on the chain of a line, from its construction until its drop.
///
/// # Guarantees
///
/// When the drop returns, the handler neither runs nor will run again, and may free what it used. The one
/// exception is a drop on the dispatcher's own thread, inside a handler, which cannot wait for itself: then
/// the handler is off the chain, not called any more in this round either, and only the one that makes the
/// drop may still be running. (The kernel has no exception: there `free_irq` in a handler is a bug.)
///
/// # Panics
///
/// In debug builds, a drop or [`synchronize`](Self::synchronize) where nothing may sleep: in a handler or
/// bottom half of another dispatcher.
pub struct Registration {
    claim: Claim,
}

impl Registration {
    /// Puts `handler` at the end of the line's chain, and lets the line fire if it is the first.
    ///
    /// # Errors
    ///
    /// - `EBUSY` if the line has a handler and not all of them, this one included, are
    ///   [`SHARED`](Flags::SHARED), or not all or none are [`ONESHOT`](Flags::ONESHOT);
    /// - `EINVAL` if `flags` has both `SHARED` and [`NO_AUTOEN`](Flags::NO_AUTOEN);
    /// - `ENODEV` if the device is gone or its dispatcher has ended;
    /// - what the kernel says when the line is watched or unmasked.
    #[doc(alias = "request_irq")]
    #[track_caller]
    pub fn request(
        line: &IrqLine,
        flags: Flags,
        name: impl Into<String>,
        handler: Arc<dyn Handler>,
    ) -> Result<Self> {
        let action = Action::primary(name.into(), flags, handler);
        Ok(Self { claim: Claim::request(line, action)? })
    }

    /// Waits until no handler of the line runs, nor a thread function. What fires afterwards is not waited for.
    ///
    /// On the dispatcher's own thread it returns at once.
    #[doc(alias = "synchronize_irq")]
    #[track_caller]
    pub fn synchronize(&self) {
        self.claim.line.line.synchronize();
    }

    /// Takes the handler off the chain and waits for it, as the drop does.
    #[doc(alias = "free_irq")]
    #[track_caller]
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.claim.leave();
        // Pairs with the compare-and-swap in `State::fired`: either that round finds the shorter chain, or
        // `synchronize_handlers` finds that round.
        fence(Ordering::SeqCst);
        self.claim.line.line.synchronize_handlers();
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.claim.fmt(f)
    }
}

/// An action's place on the chain of a line.
pub(super) struct Claim {
    pub(super) line: IrqLine,
    action: Arc<Action>,
}

impl Claim {
    pub(super) fn request(line: &IrqLine, action: Arc<Action>) -> Result<Self> {
        if action.flags.contains(Flags::SHARED | Flags::NO_AUTOEN) {
            return Err(Error::invalid(
                ACT,
                line.name(),
                "NO_AUTOEN and SHARED exclude each other",
            )
            .with_hint("those who share the line would find it disabled"));
        }
        let turn = line.line.turn_of_requests();
        let gone = || Error::new(Errno::ENODEV, ACT, line.name());
        let dispatcher = line.line.dispatcher().ok_or_else(gone)?;
        if line.line.state.is_dead() {
            return Err(gone());
        }
        if join_chain(line, &action)? {
            if let Err(error) = start_up(&line.line, action.flags, &dispatcher) {
                line.line.chain.update(Vec::clear);
                return Err(error);
            }
        } else {
            // Before what follows: it may find the device gone, and then whoever is told releases its handlers.
            drop(turn);
            // A new handler gives a line that was shut off another chance.
            line.line.reenable();
        }
        Ok(Self { line: line.clone(), action })
    }

    /// Off the chain; the last one closes the line. Waits for nothing.
    pub(super) fn leave(&self) {
        let line = &self.line.line;
        let _turn = line.turn_of_requests();
        self.action.leave();
        line.chain.update(|chain| chain.retain(|action| !Arc::ptr_eq(action, &self.action)));
        if line.chain.read(<[_]>::is_empty) && !line.state.is_dead() {
            shut_down(line);
        }
    }
}

/// Whether the action is the first.
fn join_chain(line: &IrqLine, action: &Arc<Action>) -> Result<bool> {
    let others = line.line.chain.read(<[Arc<Action>]>::to_vec);
    let busy = |cause: String| Error::new(Errno::EBUSY, ACT, line.name()).with_cause(cause);
    let owners = || line.handlers().join(", ");
    let all = |flag| others.iter().chain([action]).all(|action| action.flags.contains(flag));
    let none = |flag| !others.iter().chain([action]).any(|action| action.flags.contains(flag));
    if !others.is_empty() && !all(Flags::SHARED) {
        return Err(busy(format!("{} has it, and not everybody agrees to share", owners()))
            .with_hint("request it with Flags::SHARED everywhere"));
    }
    if !others.is_empty() && !all(Flags::ONESHOT) && !none(Flags::ONESHOT) {
        return Err(busy(format!("{} has it, and they differ on ONESHOT", owners()))
            .with_hint("request it with Flags::ONESHOT everywhere or nowhere"));
    }
    if others.len() >= MAX_THREADS {
        return Err(busy(format!("it has {MAX_THREADS} handlers")));
    }
    line.line.chain.update(|chain| chain.push(Arc::clone(action)));
    Ok(others.is_empty())
}

fn start_up(line: &Arc<Line>, flags: Flags, dispatcher: &Shared) -> Result<()> {
    dispatcher.watch(line)?;
    match line.state.open(!flags.contains(Flags::NO_AUTOEN)) {
        Owed::Unmask => line.source.unmask().map_err(|errno| {
            line.state.close();
            dispatcher.forget(line);
            Error::new(errno, "cannot unmask interrupt line", &line.name)
        }),
        owed => {
            line.settle(owed);
            Ok(())
        }
    }
}

fn shut_down(line: &Line) {
    line.state.close();
    // A device that is gone needs no masking.
    let _ = line.source.mask();
    if let Some(dispatcher) = line.dispatcher() {
        dispatcher.forget(line);
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("line", &self.line.name())
            .field("name", &self.action.name)
            .field("flags", &self.action.flags)
            .finish_non_exhaustive()
    }
}
