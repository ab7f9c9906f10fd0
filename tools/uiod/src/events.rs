//! From start to end: signals, devices that go away, and the order of shutdown.
//!
//! The first SIGINT or SIGTERM ends the daemon cleanly: blocked clients are answered, nodes go, devices are
//! left quiet. A second one ends it at once. A device that goes away ends with a message; its node answers
//! `ENODEV` for a moment more, so that clients see why, and then goes. With the last device the daemon ends.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use uio_core::Result;
use uio_core::error::{Errno, Error};

use crate::control::{Control, World};
use crate::daemon::{Daemon, Gone};
use crate::settings::Settings;
use crate::{Program, banner, run_dir};

/// How long the node of a device that is gone goes on to answer `ENODEV`.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a clean end may take.
const CLEAN_END: Duration = Duration::from_secs(10);

/// SIGINT and SIGTERM, from the first moment on.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let failed =
            |error: std::io::Error| Error::from_io(&error, "cannot catch", "SIGINT and SIGTERM");
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Waits for the next one, and tells its number.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => libc::SIGINT,
            _ = self.terminate.recv() => libc::SIGTERM,
        }
    }
}

/// Runs the daemon until it ends.
pub(crate) fn run(settings: &Settings, program: &Program) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Error::from_io(&error, "cannot start", "the control plane"))?;
    let code = runtime.block_on(live(settings, program));
    // A clean end that hangs was reported; its thread is not waited for.
    runtime.shutdown_background();
    code
}

async fn live(settings: &Settings, program: &Program) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    run_dir::prepare(&settings.run_dir)?;
    let control = Control::bind(&settings.run_dir)?;
    let (sender, mut gone) = unbounded_channel();
    let daemon = Daemon::start(settings, program, &sender)?;
    let usual_place = settings.run_dir == uio_core::default_run_dir();
    eprint!("{}", banner::text(&daemon, (!usual_place).then_some(&settings.run_dir)));
    let world = Arc::new(World { daemon: Mutex::new(Some(daemon)), started: Instant::now() });
    let code = tokio::select! {
        code = watch(&mut signals, &mut gone, &world) => code,
        () = control.serve(&world) => ExitCode::FAILURE,
    };
    end(&mut signals, &world).await?;
    Ok(code)
}

/// Waits for the reason to end.
async fn watch(
    signals: &mut Signals,
    gone: &mut UnboundedReceiver<Gone>,
    world: &Arc<World>,
) -> ExitCode {
    loop {
        tokio::select! {
            number = signals.next() => {
                tracing::info!(signal = number, "ending");
                return ExitCode::SUCCESS;
            }
            Some(gone) = gone.recv() => {
                report(&gone, world);
                tokio::time::sleep(LAST_WORDS).await;
                if !release(gone.unit, world).await {
                    tracing::error!("no device is left; ending");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
}

fn report(gone: &Gone, world: &World) {
    let daemon = world.daemon.lock().unwrap_or_else(PoisonError::into_inner);
    let unit = daemon.as_ref().and_then(|daemon| daemon.units[gone.unit].as_ref());
    let name = unit.map_or("a device", |unit| unit.device.name());
    let cause = match gone.errno {
        Errno::ENODEV => "it was unbound or unplugged",
        _ => "it failed",
    };
    tracing::error!(
        "{name} is gone: {cause} ({}); its clients get ENODEV. Bind it again and start uiod again",
        gone.errno
    );
}

/// Lets go of a unit. `false` if it was the last.
async fn release(unit: usize, world: &World) -> bool {
    let (unit, left) = {
        let mut daemon = world.daemon.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(daemon) = &mut *daemon else { return false };
        (daemon.units[unit].take(), daemon.running().count())
    };
    // The release waits for handlers and threads: not here.
    let _ = tokio::task::spawn_blocking(move || drop(unit)).await;
    left > 0
}

/// Ends everything, unless another signal or the time says to leave it.
async fn end(signals: &mut Signals, world: &World) -> Result<()> {
    let daemon = world.daemon.lock().unwrap_or_else(PoisonError::into_inner).take();
    let released = tokio::task::spawn_blocking(move || drop(daemon));
    tokio::select! {
        _ = released => Ok(()),
        number = signals.next() => {
            tracing::warn!(signal = number, "ending at once");
            std::process::exit(128 + number)
        }
        () = tokio::time::sleep(CLEAN_END) => {
            Err(Error::new(Errno::ETIMEDOUT, "cannot end", "cleanly")
                .with_cause(format!("something still runs after {} s", CLEAN_END.as_secs())))
        }
    }
}
