//! `cargo xtask vm`: boot the bench and run a command in it.
//!
//! The guest is one initramfs: a base archive that is kept ([`image`]: busybox, strace, kernel modules) and
//! a small one that is made for each run (the binaries, the uio_dummy module, what `--add` names). It
//! has no disk and no network. QEMU ([`qemu`]) carries COMMAND's streams over virtio ports, so they are
//! byte-exact and stay apart from the console, which goes to a log that is searched for kernel warnings
//! ([`console`]). What hardware it finds, [`mod@machine`] says: a PC ([`pc`]), or a board ([`board`]) with a device tree
//! ([`tree`]); its root may plug devices and press the power button ([`monitor`]).

mod archive;
mod board;
mod console;
mod elf;
mod image;
mod machine;
mod modules;
mod monitor;
mod options;
mod pc;
mod python;
mod qemu;
pub(crate) mod tree;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{Failure, Result, bench, emulator_died};
use crate::kernels::Kernel;
use crate::paths::RunDir;
use crate::process::SharedWriter;
use crate::programs;
use crate::setup::{self, Scope};

pub(crate) use board::Board;
pub(crate) use machine::{MACHINES, Machine};

/// How often a guest is started that dies before it has run anything.
const ATTEMPTS: u32 = 3;

/// What a guest is to do.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) kernel: Kernel,
    pub(crate) machine: Machine,
    /// The overlays that are applied to the machine's device tree.
    pub(crate) dts: Vec<PathBuf>,
    /// Files and directories of this machine, each to appear as `/add/NAME`.
    pub(crate) add: Vec<PathBuf>,
    pub(crate) timeout: Duration,
    /// Run by `sh` in the guest.
    pub(crate) command: String,
}

pub(crate) fn main(args: &[String]) -> Result<u8> {
    let guest = options::parse(args)?;
    setup::ensure(Scope::Bench)?;
    let binaries = programs::build(guest.machine.arch())?;
    boot(&guest, &binaries, Box::new(io::stdout()))
}

/// Boots, runs the command with `out` as its standard output, and returns its status.
///
/// Now and then a kernel dies while it sets itself up, at an `int3` that it has just taken out of its code again: the
/// emulator of QEMU before 8.1 can still run the old text. Such a guest has not run anything yet, and is started anew.
pub(crate) fn boot(guest: &Guest, binaries: &[PathBuf], out: Box<dyn Write + Send>) -> Result<u8> {
    let out = SharedWriter::new(out);
    let trees = RunDir::new()?;
    let board = guest.machine.board();
    let tree = board.map(|board| tree::build(board, &guest.dts, &trees)).transpose()?;
    let mut attempt = 1;
    loop {
        let console = console::Log::new(&guest.kernel.id())?;
        let end = start(guest, binaries, tree.as_deref(), &console, &out);
        let unborn = matches!(end, Ok(qemu::End::Vanished)) && !console.came_to_init();
        if !unborn || attempt == ATTEMPTS {
            return conclude(guest, end, console);
        }
        eprintln!("xtask: the guest died before it ran anything; starting it again");
        attempt += 1;
    }
}

/// Starts the guest once.
fn start(
    guest: &Guest,
    binaries: &[PathBuf],
    tree: Option<&Path>,
    console: &console::Log,
    out: &SharedWriter,
) -> Result<qemu::End> {
    let run_dir = RunDir::new()?;
    let initrd = run_dir.join("initrd");
    image::write(guest, binaries, &initrd)?;
    let boot = qemu::Boot {
        kernel: guest.kernel,
        machine: guest.machine,
        initrd: &initrd,
        tree,
        console: console.path(),
        run_dir: &run_dir,
        timeout: guest.timeout,
    };
    boot.run(Box::new(out.clone()))
}

/// The status that a guest's end means.
fn status(guest: &Guest, end: qemu::End) -> Result<u8> {
    match end {
        qemu::End::Status(status) => Ok(status),
        qemu::End::Broken(why) => Err(bench(format!("the guest's set-up failed: {why}"))),
        qemu::End::Vanished => {
            Err(bench("the guest ended without a status: it crashed or was powered off"))
        }
        qemu::End::Died(signal) => Err(emulator_died(signal)),
        qemu::End::TimedOut => {
            Err(bench(format!("the guest hung: no status after {:?}", guest.timeout)))
        }
    }
}

/// A kernel that complained fails the run, whatever the command's status.
fn conclude(guest: &Guest, end: Result<qemu::End>, console: console::Log) -> Result<u8> {
    let end = end.and_then(|end| status(guest, end));
    let complaint = console.complaint();
    let failure: Failure = match (end, complaint) {
        (Ok(status), None) => {
            console.keep_as_latest();
            return Ok(status);
        }
        (Ok(status), Some(line)) => {
            bench(format!("the guest's kernel complained (COMMAND's status was {status}): {line}"))
        }
        (Err(failure), None) => failure,
        (Err(failure), Some(line)) => failure.because(&format!("its kernel says: {line}")),
    };
    eprint!("{}", console.excerpt());
    eprintln!("xtask: the guest's console is in {}", console.path().display());
    Err(failure)
}
