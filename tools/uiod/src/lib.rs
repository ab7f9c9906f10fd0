//! `uiod`: runs userspace drivers and serves their nodes.
//!
//! The program of that name is [`Program`] with the drivers of this repository. Whoever writes drivers elsewhere makes
//! a program of their own of it, with the same command line, control socket and nodes:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use uio_core::device::sim::Models;
//! use uio_core::driver::Registry;
//!
//! fn main() -> ExitCode {
//!     let drivers = Registry::new(); // .with::<MyDriver>()
//!     let models = Models::new(); // .with("my_device", MyModel::new)
//!     uiod::Program::new(drivers, models).main()
//! }
//! ```
//!
//! Where to find what:
//!
//! - `args`: the command line, as clap sees it;
//! - `config`: the same as a TOML file;
//! - `settings`: both made into what the daemon runs;
//! - `daemon`: devices opened, drivers bound, and their end;
//! - `events`: signals, devices that go away, and the order of shutdown;
//! - `control`, `status`, `registers`: the control socket and what it answers;
//! - `run_dir`: the directory of sockets;
//! - `banner`: what is printed at the start.
//!
//! Exit codes: 0 ended as asked, 1 failed, 2 wrong usage.
#![forbid(unsafe_code)]

mod args;
mod banner;
mod config;
mod control;
mod daemon;
mod events;
mod registers;
mod run_dir;
mod settings;
mod status;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;
use uio_core::device::sim::Models;
use uio_core::driver::Registry;

use crate::settings::Settings;

/// A daemon: its drivers, the devices that it simulates, and what it runs when it is told nothing.
#[derive(Debug)]
pub struct Program {
    drivers: Registry,
    models: Models,
    embedded: Option<&'static str>,
}

impl Program {
    /// A daemon with these drivers and models.
    #[must_use]
    pub fn new(drivers: Registry, models: Models) -> Self {
        Self { drivers, models, embedded: None }
    }

    /// The device that it runs when it is given no command, such as `sim:uio_dummy`.
    #[must_use]
    pub fn embedded(mut self, device: &'static str) -> Self {
        self.embedded = Some(device);
        self
    }

    /// Does what the command line says, until it ends.
    #[must_use]
    pub fn main(&self) -> ExitCode {
        let cli = match args::Cli::try_parse() {
            Ok(cli) => cli,
            Err(error) => return usage(&error),
        };
        let settings = match Settings::from_cli(&cli, self.embedded) {
            Ok(settings) => settings,
            Err(error) => return fail(&error, 2),
        };
        start_log(&settings.log);
        match events::run(&settings, self) {
            Ok(code) => code,
            Err(error) => fail(&error, 1),
        }
    }
}

/// A value that is not usable explains itself on one line; the rest is clap's to explain.
fn usage(error: &clap::Error) -> ExitCode {
    match (error.kind(), std::error::Error::source(error)) {
        (ErrorKind::ValueValidation, Some(cause)) => {
            eprintln!("uiod: {cause}");
            ExitCode::from(2)
        }
        _ => error.exit(),
    }
}

fn fail(error: &uio_core::Error, code: u8) -> ExitCode {
    eprintln!("uiod: {error}");
    ExitCode::from(code)
}

/// Logs to standard error. The filter was checked when the settings were made.
fn start_log(filter: &str) {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
