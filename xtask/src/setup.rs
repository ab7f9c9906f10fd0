//! `cargo xtask setup`: install and unpack what the tests need, once.
//!
//! Programs and kernel headers are installed with apt-get; the kernels themselves ([`crate::kernels`]) are only
//! unpacked, so this machine's own kernel is left alone. When all is in place nothing is run but a
//! query of the package database.

use std::collections::BTreeSet;

use crate::failure::{Result, failed, usage};
use crate::kernels::{KERNELS, Kernel};
use crate::process::{capture, command, output, run};

/// What the tests need that run without a virtual machine.
const HOST_PACKAGES: &[&str] = &["fuse3", "python3", "strace"];

/// What the bench needs besides, apart from the kernels and their headers.
const BENCH_PACKAGES: &[&str] = &[
    "binutils",
    "busybox-static",
    "coreutils",
    "gcc",
    "kmod",
    "make",
    "pci.ids",
    "pciutils",
    "picocom",
    "python3-serial",
    "qemu-system-x86",
    "util-linux",
    "xz-utils",
];

const INSTALL: &str = "apt-get install --no-install-recommends";

/// What to set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Host,
    Bench,
}

impl Scope {
    /// What the subcommands that take `--host` and nothing else were asked for.
    pub(crate) fn parse(subcommand: &str, args: &[String]) -> Result<Self> {
        let other = args.iter().find(|arg| *arg != "--host");
        match other {
            Some(other) => {
                Err(usage(format!("{subcommand} takes nothing but --host, not '{other}'")))
            }
            None if args.is_empty() => Ok(Self::Bench),
            None => Ok(Self::Host),
        }
    }
}

pub(crate) fn main(args: &[String]) -> Result<u8> {
    if !ensure(Scope::parse("setup", args)?)? {
        say("everything is in place");
    }
    Ok(0)
}

/// Sets up what is missing. True if anything was.
pub(crate) fn ensure(scope: Scope) -> Result<bool> {
    let mut packages = missing_packages(scope)?;
    let kernels: Vec<Kernel> = match scope {
        Scope::Host => Vec::new(),
        Scope::Bench => KERNELS.into_iter().filter(|kernel| !kernel.is_ready()).collect(),
    };
    if packages.is_empty() && kernels.is_empty() {
        return Ok(false);
    }
    let root = is_root();
    if root {
        say("apt-get update");
        run(command("apt-get").args(["update", "-q"]))?;
    }
    let uninstalled = kernels.iter().filter(|kernel| !kernel.needs_no_install());
    packages.extend(uninstalled.map(|kernel| kernel.headers_package()));
    install(&packages, root)?;
    for kernel in kernels {
        kernel.unpack(say)?;
    }
    Ok(true)
}

fn missing_packages(scope: Scope) -> Result<Vec<String>> {
    let mut wanted: Vec<&str> = HOST_PACKAGES.to_vec();
    if scope == Scope::Bench {
        wanted.extend(BENCH_PACKAGES);
    }
    let mut query = command("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status} ${Package}\n"]).args(&wanted);
    // It fails when a package is unknown; what it knows is on its output all the same.
    let known = output(&mut query)?.stdout;
    let known = String::from_utf8_lossy(&known);
    let installed: BTreeSet<&str> =
        known.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    let missing = wanted.iter().filter(|package| !installed.contains(**package));
    Ok(missing.map(ToString::to_string).collect())
}

fn is_root() -> bool {
    let id = capture(command("id").arg("-u"));
    id.is_ok_and(|id| id.trim() == "0")
}

fn install(packages: &[String], root: bool) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let line = format!("{INSTALL} {}", packages.join(" "));
    if !root {
        return Err(failed(format!(
            "some packages are missing; as root, run:\n  apt-get update && {line}"
        )));
    }
    say(&line);
    let mut apt = command("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.args(["install", "-y", "-q", "--no-install-recommends"]).args(packages);
    run(&mut apt)
}

fn say(what: &str) {
    eprintln!("setup: {what}");
}
