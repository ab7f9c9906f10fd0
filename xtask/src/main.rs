//! `cargo xtask`: the project's chores, one file per subcommand.
//!
//! - [`setup`]: install and unpack what the test bench needs
//! - [`vm`]: boot a real kernel with the drivers inside and run a command there
//! - [`mod@test`]: run every test, on this machine and in the bench
//! - [`mod@bench`]: measure what the facilities cost, beside their peers
//!
//! Exit status: what the subcommand says, else 0 done, 1 failed, 2 bad usage, 125 the bench broke.

#![forbid(unsafe_code)]

mod arch;
mod bench;
mod failure;
mod kernels;
mod paths;
mod process;
mod programs;
mod setup;
mod test;
mod vm;

use std::env;
use std::process::ExitCode;

use failure::{Failure, Result};

const HELP: &str = "\
Usage: cargo xtask COMMAND

  setup [--host]
      Install and unpack what the test bench needs, once; with --host only what
      the tests need that run without a virtual machine. Needs root to install;
      without it, prints the command to run.

  vm [--kernel NAME] [--machine NAME] [--dts FILE]... [--add PATH]... [--timeout SECONDS] -- COMMAND...
      Boot a Debian kernel in QEMU with uiod, uioctl and the uio_dummy module in
      place, run COMMAND there under sh, and exit with its status.
      Standard output and error are COMMAND's own. PATH appears as /add/NAME.

      Machines of x86, with kernels 6.1 and 6.12 (the default): the default one has
      PCI devices to drive behind an IOMMU; others lack something: no-iommu,
      no-intremap, lockdown, no-vfio; or have more: group; or have their processors
      run in turn: one-thread.

      Boards of arm64, which a device tree describes: virt, with kernels 6.1 (the
      default) and 6.12-16k, whose pages have 16 KiB; versal, with 6.1. FILE is an
      overlay (.dtso) for the board's tree; without any, all in dts/NAME are applied.
      uio_pdrv_genirq makes UIO devices of the nodes that are \"generic-uio\" then.

      Exit status 125: the guest crashed, hung past the timeout (300 s), or its
      kernel logged a warning; the console is in target/bench/console-*.log.

  cross CARGO-ARGUMENTS...
      Run cargo for arm64: 'cross build --release --bin ticker' makes the program
      target/arm64/aarch64-unknown-linux-gnu/release/ticker, for --add.

  test [--host | --boards]
      Run every test; with --host only those that need no virtual machine, with
      --boards only those on the boards of arm64.

  bench [--quick] [--write] [NAME...]
      Measure what the facilities cost, each beside its best peer, and print the
      tables; with --write also into docs/benchmarks.md. All of them take some
      minutes. With --quick one short round, to see that they run.
";

fn main() -> ExitCode {
    let args: Vec<String> = match env::args_os().skip(1).map(|a| a.into_string()).collect() {
        Ok(args) => args,
        Err(arg) => return report(&failure::usage(format!("{} is not UTF-8", arg.display()))),
    };
    match dispatch(&args) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => report(&failure),
    }
}

fn dispatch(args: &[String]) -> Result<u8> {
    let Some((name, rest)) = args.split_first() else {
        return Err(failure::usage("a command is missing: setup, vm, cross, test or bench"));
    };
    let asks_help = |arg: &String| arg == "--help" || arg == "-h";
    let options = rest.split(|arg| arg == "--").next().unwrap_or_default();
    if name == "help" || asks_help(name) || options.iter().any(asks_help) {
        process::print(HELP);
        return Ok(0);
    }
    match name.as_str() {
        "setup" => setup::main(rest),
        "vm" => vm::main(rest),
        "cross" => programs::cross(rest),
        "test" => test::main(rest),
        "bench" => bench::main(rest),
        other => Err(failure::usage(format!(
            "no command '{other}': there are setup, vm, cross, test and bench"
        ))),
    }
}

fn report(failure: &Failure) -> ExitCode {
    let more = if failure.status == failure::USAGE { " (see 'cargo xtask help')" } else { "" };
    eprintln!("xtask: {failure}{more}");
    ExitCode::from(failure.status)
}
