//! The hidden command `attribute`: one access to one attribute of sysfs, in a process of its own.
//!
//! An access may block, unkillable, for as long as somebody has a device open. A thread that does so keeps its process
//! from ending; a process that does so is left behind ([`crate::kernel`]).
//!
//! The exit code is the errno, and 0 for none. Nothing is written to standard error.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use uio_core::Errno;

#[derive(Debug, Args)]
pub(crate) struct AttributeArgs {
    #[command(subcommand)]
    access: Access,
}

#[derive(Debug, Subcommand)]
enum Access {
    /// Copies it to standard output
    Read { path: PathBuf },
    /// Writes it, in one piece
    Write { path: PathBuf, text: String },
}

pub(crate) fn run(args: &AttributeArgs) -> ExitCode {
    let done = match &args.access {
        Access::Read { path } => read(path),
        Access::Write { path, text } => write(path, text),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let errno = error.raw_os_error().and_then(|raw| u8::try_from(raw).ok());
            // CAST: EIO is 5.
            ExitCode::from(errno.unwrap_or(Errno::EIO as u8))
        }
    }
}

fn read(path: &Path) -> io::Result<()> {
    io::stdout().write_all(&fs::read(path)?)
}

/// Neither makes a file nor empties one: an attribute is there, and takes what comes in one write.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    match file.write(text.as_bytes())? {
        written if written == text.len() => Ok(()),
        _ => Err(Errno::EIO.into()),
    }
}
