//! `uioctl`: looks at the address space, the interrupts and the userspace-driven devices of this machine.
//!
//! It reads what the kernel publishes as text, and asks running daemons; looking opens no device, so it changes
//! nothing. `peek`, `poke` and `dump` go through the daemon that runs the device, and open it where none does. What
//! changes who drives a device is `bind` and `unbind` alone; [`kernel`] keeps them from waiting for ever. [`cli`] says
//! what can be asked, `cmd/` answers it with the parsers of `proc/` and the discovery of `uio_core::sys::sysfs`,
//! [`doctor`] knows what stands in the way of a device, and [`out`] prints the answer.
//!
//! Exit codes: 0 done, 1 failed, 2 misused. An error is one line on standard error; a reader that closes the
//! pipe has had what it wanted, which is no error.
#![forbid(unsafe_code)]

mod cli;
mod cmd;
mod control;
mod doctor;
mod failure;
mod kernel;
mod of_node;
mod out;
mod pci_caps;
mod pci_config;
mod pci_ids;
mod proc;
mod registers;
mod size;
mod source;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::{Cli, Command};
use failure::Failure;
use out::Out;

fn main() -> ExitCode {
    let done = match Cli::try_parse() {
        Ok(Cli { command: Command::Attribute(args), .. }) => return cmd::attribute::run(&args),
        Ok(cli) => {
            let mut out = Out::stdout(cli.color);
            run(&cli, &mut out).and_then(|()| Ok(out.flush()?))
        }
        Err(error) => return explain(&error),
    };
    match done {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(Failure::Because(error)) => {
            failure::complain(error);
            ExitCode::FAILURE
        }
        Err(Failure::Usage(error)) => {
            failure::complain(error);
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    match &cli.command {
        Command::Iomem(args) => cmd::resources::run("iomem", args, cli, out),
        Command::Ioports(args) => cmd::resources::run("ioports", args, cli, out),
        Command::Irq(args) => cmd::irq::run(args, cli, out),
        Command::Softirqs(args) => cmd::softirqs::run(args, cli, out),
        Command::Ls => cmd::ls::run(cli, out),
        Command::Doctor(args) => cmd::doctor::run(args, cli, out),
        Command::Peek(args) => cmd::registers::peek(args, cli, out),
        Command::Poke(args) => cmd::registers::poke(args, cli, out),
        Command::Dump(args) => cmd::registers::dump(args, cli, out),
        Command::Bind(args) => cmd::bind::bind(args, cli, out),
        Command::Unbind(args) => cmd::bind::unbind(args, cli, out),
        Command::Status(args) => cmd::status::run(args, cli, out),
        // It has no output of its own; see main.
        Command::Attribute(_) => Ok(()),
    }
}

/// Prints the help that was asked for, or says in one line how the command line is wrong.
fn explain(error: &clap::Error) -> ExitCode {
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let mut stdout = io::stdout().lock();
            match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    failure::complain(format_args!("cannot write the help: {error}"));
                    ExitCode::FAILURE
                }
                _ => ExitCode::SUCCESS,
            }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Nothing to be done where standard error itself is gone.
            let _ = write!(io::stderr(), "{text}");
            ExitCode::from(2)
        }
        _ => {
            failure::complain(cli::one_line(&text.to_string()));
            ExitCode::from(2)
        }
    }
}
