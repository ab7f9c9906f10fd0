//! BOTTOM HALF: see to the UART, unmask the line, wake who waits.
//!
//! Runs as a tasklet: after each interrupt, when a writer put bytes into the tx ring, when a reader made room that
//! was [wanted](crate::room), when a client changed something, and when the [alarm](crate::alarm) goes off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use uio_core::io::AccessError;
use uio_core::sync::{SpinLock, WaitQueue};

use crate::alarm::Clock;
use crate::hardware::{Hardware, News};
use crate::regs::Iir;
use crate::timeouts::Timeouts;
use crate::top_half::LineHold;

/// How often a run looks whether a message-signalled UART has more to say.
const PASSES: usize = 64;

/// What the bottom half and the node share.
pub(crate) struct Shared {
    pub(crate) hardware: SpinLock<Hardware>,
    pub(crate) hold: Arc<LineHold>,
    pub(crate) clock: Clock,
    pub(crate) timeouts: Mutex<Timeouts>,
    pub(crate) read_wait: WaitQueue,
    pub(crate) write_wait: WaitQueue,
}

/// The tasklet's function.
pub(crate) fn run(shared: &Shared) {
    let now = Instant::now();
    let serviced = shared.hardware.lock().service(now);
    // The device is gone: its node has been hung up, and its line takes no more.
    let Ok(mut news) = serviced else { return };
    shared.hold.unmask();
    let mut timeouts = shared.timeouts.lock().unwrap_or_else(PoisonError::into_inner);
    news.readable |= timeouts.expire(now);
    timeouts.next().into_iter().for_each(|at| news.at(at));
    drop(timeouts);
    if news.again {
        news.at(now);
    }
    if let Some(at) = news.deadline {
        shared.clock.set(at, now);
    }
    if news.readable {
        shared.read_wait.wake_all();
    }
    if news.writable {
        shared.write_wait.wake_all();
    }
}

impl Hardware {
    fn service(&mut self, now: Instant) -> Result<News, AccessError> {
        let mut news = News::default();
        for _ in 0..PASSES {
            let lsr = self.receive(&mut news)?;
            self.look_at_inputs(&mut news)?;
            self.transmit(lsr, now, &mut news)?;
            news.again = self.has_more()?;
            if !news.again {
                break;
            }
        }
        self.end_break(now, &mut news)?;
        self.end_closing(now, &mut news)?;
        Ok(news)
    }

    /// A level fires again by itself. A message comes once: what happened since must be found now.
    fn has_more(&self) -> Result<bool, AccessError> {
        if !self.parts.message_signalled {
            return Ok(false);
        }
        Ok(!self.parts.regs.read::<Iir>()?.get(Iir::NONE))
    }
}
