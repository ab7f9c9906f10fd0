//! `cargo xtask vm`: boot the bench and run a command in it.
//!
//! The guest is one initramfs: a base archive that is kept ([`image`]: busybox, strace, kernel modules) and
//! a small one that is made for each run (the binaries, the uio_dummy module, what `--add` names). It
//! has no disk and no network. QEMU ([`qemu`]) carries COMMAND's streams over virtio ports, so they are
//! byte-exact and stay apart from the console, which goes to a log that is searched for kernel warnings
//! ([`console`]). What hardware it finds, [`mod@machine`] says; its root may plug devices ([`monitor`]).

mod archive;
mod console;
mod elf;
mod image;
mod machine;
mod modules;
mod monitor;
mod python;
mod qemu;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{Failure, Result, bench, emulator_died, usage};
use crate::kernels::{KERNELS, Kernel};
use crate::paths::{self, RunDir};
use crate::process::{SharedWriter, cargo, run};
use crate::setup::{self, Scope};

pub(crate) use machine::{MACHINES, Machine};

/// The programs that every guest has in `/bin`.
const BINARIES: [&str; 2] = ["uiod", "uioctl"];

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// How often a guest is started that dies before it has run anything.
const ATTEMPTS: u32 = 3;

/// What a guest is to do.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) kernel: Kernel,
    pub(crate) machine: Machine,
    /// Files and directories of this machine, each to appear as `/add/NAME`.
    pub(crate) add: Vec<PathBuf>,
    pub(crate) timeout: Duration,
    /// Run by `sh` in the guest.
    pub(crate) command: String,
}

pub(crate) fn main(args: &[String]) -> Result<u8> {
    let guest = parse(args)?;
    let binaries = prepare()?;
    boot(&guest, &binaries, Box::new(io::stdout()))
}

fn parse(args: &[String]) -> Result<Guest> {
    let mut guest = Guest {
        kernel: default_kernel(),
        machine: MACHINES[0],
        add: Vec::new(),
        timeout: DEFAULT_TIMEOUT,
        command: String::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value =
            |what: &str| args.next().ok_or_else(|| usage(format!("vm: {arg} needs {what}")));
        match arg.as_str() {
            "--kernel" => guest.kernel = kernel(value("a version")?)?,
            "--machine" => guest.machine = machine(value("a name")?)?,
            "--add" => guest.add.push(existing(value("a path")?)?),
            "--timeout" => guest.timeout = seconds(value("a number of seconds")?)?,
            "--" => {
                guest.command =
                    args.as_slice().iter().map(String::as_str).collect::<Vec<_>>().join(" ");
                break;
            }
            other => {
                return Err(usage(format!("vm: unknown option '{other}'; COMMAND comes after --")));
            }
        }
    }
    if guest.command.trim().is_empty() {
        return Err(usage("vm: the command is missing; write it after --"));
    }
    refuse_same_names(&guest.add)?;
    Ok(guest)
}

fn default_kernel() -> Kernel {
    KERNELS[KERNELS.len() - 1]
}

fn kernel(name: &str) -> Result<Kernel> {
    let found = KERNELS.into_iter().find(|kernel| kernel.name == name);
    found.ok_or_else(|| {
        let names = KERNELS.map(|kernel| kernel.name).join(" and ");
        usage(format!("vm: no kernel '{name}'; there are {names}"))
    })
}

fn machine(name: &str) -> Result<Machine> {
    let found = MACHINES.into_iter().find(|machine| machine.name == name);
    found.ok_or_else(|| {
        let names = MACHINES.map(|machine| machine.name).join(", ");
        usage(format!("vm: no machine '{name}'; there are {names}"))
    })
}

fn existing(path: &str) -> Result<PathBuf> {
    let found = Path::new(path).canonicalize();
    let found = found.map_err(|error| usage(format!("vm: --add {path}: {error}")))?;
    match found.file_name() {
        Some(_) => Ok(found),
        None => Err(usage(format!("vm: --add {path}: it has no name to appear as"))),
    }
}

fn seconds(text: &str) -> Result<Duration> {
    match text.parse::<u32>() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.into())),
        _ => Err(usage(format!("vm: --timeout {text}: not a number of seconds"))),
    }
}

fn refuse_same_names(paths: &[PathBuf]) -> Result<()> {
    for (index, path) in paths.iter().enumerate() {
        if let Some(other) =
            paths[..index].iter().find(|other| other.file_name() == path.file_name())
        {
            let (one, two) = (other.display(), path.display());
            return Err(usage(format!("vm: {one} and {two} would both be the same /add/NAME")));
        }
    }
    Ok(())
}

/// Sets up the bench and builds the programs that every guest has. Returns their paths.
pub(crate) fn prepare() -> Result<Vec<PathBuf>> {
    setup::ensure(Scope::Bench)?;
    let binaries = BINARIES.map(|name| paths::target().join("release").join(name));
    let mut build = cargo();
    build.args(["build", "--release"]);
    if binaries.iter().all(|binary| binary.exists()) {
        // A rebuild is short; standard error is COMMAND's.
        build.arg("--quiet");
    }
    for name in BINARIES {
        build.args(["--bin", name]);
    }
    run(&mut build)?;
    Ok(binaries.into())
}

/// Boots, runs the command with `out` as its standard output, and returns its status.
///
/// Now and then a kernel dies while it sets itself up, at an `int3` that it has just taken out of its code again: the
/// emulator of QEMU before 8.1 can still run the old text. Such a guest has not run anything yet, and is started anew.
pub(crate) fn boot(guest: &Guest, binaries: &[PathBuf], out: Box<dyn Write + Send>) -> Result<u8> {
    let out = SharedWriter::new(out);
    let mut attempt = 1;
    loop {
        let console = console::Log::new(guest.kernel.name)?;
        let end = start(guest, binaries, &console, &out);
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

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::failure::USAGE;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_words_after_the_dashes_are_the_command() {
        let line = "--kernel 6.1 --machine group --timeout 7 -- echo --kernel  x";
        let guest = parse(&words(line)).unwrap();
        assert_eq!(guest.command, "echo --kernel  x");
        assert_eq!(guest.kernel.name, "6.1");
        assert_eq!(guest.machine.name, "group");
        assert_eq!(guest.timeout.as_secs(), 7);
    }

    #[test]
    fn bad_usage_is_refused_with_status_2() {
        for line in [
            "true",
            "--",
            "--kernel",
            "--kernel 5.10 -- true",
            "--machine",
            "--machine abacus -- true",
            "--timeout 0 -- true",
            "--timeout soon -- true",
            "--add /does/not/exist -- true",
            "--add / -- true",
            "--add /etc/passwd --add /etc/../etc/passwd -- true",
            "--bogus -- true",
        ] {
            assert_eq!(parse(&words(line)).unwrap_err().status, USAGE, "{line}");
        }
    }
}
