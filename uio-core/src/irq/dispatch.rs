//! [`Dispatcher`]: one thread, one epoll loop, and the lines it serves.
//!
//! # The loop
//!
//! 1. Wait for lines (one system call, edge-triggered).
//! 2. For each line that fired, one round: take its count, walk its chain, unmask it.
//! 3. If kicked: run rounds that became due by an unmask.
//! 4. If lines are shut off and 100 ms are over: poll them.
//! 5. Run the after-hooks. If one says that work is left, the next wait does not block.
//!
//! # Why no kick is lost
//!
//! A kick stores its reason, sets `kicked`, and wakes the loop if `kicked` was clear. The loop clears
//! `kicked` (swap, acquire) before it looks for reasons (3, 5). A reason stored before the clearing is seen
//! by that pass; one stored after it finds `kicked` clear and wakes the loop again. The loom model holds this.

mod kick;
mod shared;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::flow::Line;
use super::hold;
use super::hold::DeliveryHeldGuard;
use super::spurious::POLL_INTERVAL;
use super::thread::{ThreadOptions, spawn};
use crate::cycles::Cycles;
use crate::error::{Error, Result};
pub(crate) use shared::Shared;
use shared::WAKER;

/// Events taken from the kernel at a time.
const BATCH: usize = 64;

/// How often the after-hooks run at the most once the loop has ended.
const LAST_ROUNDS: usize = 10;

/// Runs on the dispatcher after every round of lines.
pub trait AfterHook: Send + Sync {
    /// Does what is due, within a bound, and says whether work is left.
    fn run(&self) -> bool;
}

/// The thread that takes interrupts. Ends, and is waited for, on drop.
pub struct Dispatcher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Last: it goes when nobody can take the dispatcher for one that lives any more.
    left: Left,
}

/// Names a dispatcher that may end meanwhile.
#[derive(Clone)]
pub(crate) struct DispatcherHandle(pub(super) Weak<Shared>);

/// What is left in a dispatcher that ends. Drivers own what is in it, and it has to go where the dispatcher does,
/// not where somebody just holds delivery on all dispatchers and so has a share in this one.
#[derive(Default)]
struct Left {
    lines: Vec<(Token, Arc<Line>)>,
    hooks: Vec<Arc<dyn AfterHook>>,
}

impl Dispatcher {
    /// Starts a dispatcher whose thread is called `name` (the kernel shows 15 bytes of it).
    ///
    /// # Errors
    ///
    /// If the system has no descriptors or threads left.
    pub fn start(name: &str) -> Result<Self> {
        Self::start_with(name, &ThreadOptions::default())
    }

    /// As [`start`](Self::start), with a scheduling class and processors for the thread.
    ///
    /// # Errors
    ///
    /// Those of `start`; `EPERM` for a class that the caller may not use; `EINVAL` for a priority that is none
    /// or processors that are not there.
    pub fn start_with(name: &str, options: &ThreadOptions) -> Result<Self> {
        let mut core = Core::new()
            .map_err(|error| Error::from_io(&error, "cannot start interrupt dispatcher", name))?;
        let shared = Arc::clone(&core.shared);
        Cycles::calibrate();
        let thread = spawn(name, options, move || core.run())?;
        // The loop may be ahead of this; both write the same.
        let _ = shared.thread.set(thread.thread().id());
        hold::announce(&shared);
        Ok(Self { shared, thread: Some(thread), left: Left::default() })
    }

    /// The dispatcher's number: 0 for the first that the process started. The `N` of its `ksoftirqd/N`.
    pub fn number(&self) -> usize {
        self.shared.number
    }

    /// Holds delivery on this dispatcher; see [`hold_delivery`](super::hold_delivery).
    #[track_caller]
    pub fn hold_delivery(&self) -> DeliveryHeldGuard {
        DeliveryHeldGuard::on(Some(Arc::clone(&self.shared)))
    }

    /// Adds what runs after every round, on the dispatcher's thread.
    pub fn add_after_hook(&self, hook: &Arc<dyn AfterHook>) {
        self.shared.hooks.update(|hooks| hooks.push(Arc::clone(hook)));
    }

    /// Names the dispatcher without owning it.
    pub(crate) fn handle(&self) -> DispatcherHandle {
        DispatcherHandle(Arc::downgrade(&self.shared))
    }

    /// A handle for those who only need to wake the loop.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.kick();
        if let Some(thread) = self.thread.take() {
            // A loop that panicked has said so already.
            let _ = thread.join();
        }
        let Left { lines, hooks } = &mut self.left;
        self.shared.lines.update(|own| *lines = std::mem::take(own));
        self.shared.hooks.update(|own| *hooks = std::mem::take(own));
    }
}

/// The loop's own side.
struct Core {
    poll: Poll,
    events: Events,
    shared: Arc<Shared>,
    busy: bool,
    /// When lines that are shut off are polled next, if there are any.
    next_poll: Option<Instant>,
}

impl Core {
    fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let shared = Arc::new(Shared::new(poll.registry())?);
        let events = Events::with_capacity(BATCH);
        Ok(Self { poll, events, shared, busy: false, next_poll: None })
    }

    fn run(&mut self) {
        let _ = self.shared.thread.set(thread::current().id());
        hold::belong_to(&Arc::downgrade(&self.shared));
        while !self.shared.stop.load(Ordering::Acquire) {
            self.turn();
        }
        // What was scheduled runs, so that whoever waits for it gets on; what reschedules itself ends here.
        let _ = (0..LAST_ROUNDS).all(|_| self.shared.hooks.read(run_hooks));
    }

    /// How long the next wait may be.
    fn timeout(&self) -> Option<Duration> {
        if self.busy {
            return Some(Duration::ZERO);
        }
        self.next_poll.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// One round: wait, serve the lines that fired, run the hooks.
    fn turn(&mut self) {
        let timeout = self.timeout();
        if let Err(error) = self.poll.poll(&mut self.events, timeout) {
            // Anything but a signal would be a bug here; without events the hooks still run.
            debug_assert_eq!(error.kind(), io::ErrorKind::Interrupted);
            self.events.clear();
        }
        let shared = &self.shared;
        for event in self.events.iter().filter(|event| event.token() != WAKER) {
            shared.lines.read(|lines| {
                if let Some((_, line)) = lines.iter().find(|(token, _)| *token == event.token()) {
                    line.service(shared, event.is_error());
                }
            });
        }
        // Reasons stored before a kick that this takes are seen from here on.
        shared.kicked.take();
        if shared.resend.swap(false, Ordering::AcqRel) {
            shared.lines.read(|lines| lines.iter().for_each(|(_, line)| line.resend(shared)));
        }
        if shared.some_shut_off.load(Ordering::Relaxed) {
            self.poll_lines();
        }
        let shared = &self.shared;
        self.busy = shared.hooks.read(run_hooks) || shared.kicked.is_asked();
    }

    /// Polls the lines that are shut off, if it is time.
    fn poll_lines(&mut self) {
        let now = Instant::now();
        let due = *self.next_poll.get_or_insert(now + POLL_INTERVAL);
        if due > now {
            return;
        }
        let shared = &self.shared;
        let left = shared
            .lines
            .read(|lines| lines.iter().fold(false, |left, (_, line)| left | line.poll(shared)));
        shared.some_shut_off.store(left, Ordering::Relaxed);
        self.next_poll = left.then(|| now + POLL_INTERVAL);
    }
}

fn run_hooks(hooks: &[Arc<dyn AfterHook>]) -> bool {
    hooks.iter().fold(false, |left, hook| left | hook.run())
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: HashMap<usize, String> = self
            .shared
            .lines
            .read(|lines| lines.iter().map(|(token, line)| (token.0, line.name.clone())).collect());
        f.debug_struct("Dispatcher").field("lines", &names).finish_non_exhaustive()
    }
}
