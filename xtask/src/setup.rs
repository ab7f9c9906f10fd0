//! `cargo xtask setup`: install and unpack what the tests need, once.
//!
//! Programs and kernel headers are installed with apt-get; the kernels themselves ([`crate::kernels`]) are only
//! unpacked, so this machine's own kernel is left alone, and so is all that is for arm64 ([`mod@arm64`]). When all is in
//! place nothing is run but a query of the package database.

pub(crate) mod arm64;

use std::collections::BTreeMap;

use crate::arch::Arch;
use crate::failure::{Failure, Result, failed, usage};
use crate::kernels::Kernel;
use crate::process::{capture, command, output, run};

/// What the tests need that run without a virtual machine.
const HOST_PACKAGES: &[&str] = &["fuse3", "python3", "strace"];

/// What the bench needs besides, apart from the kernels and their headers.
const BENCH_PACKAGES: &[&str] = &[
    "binutils",
    "busybox-static",
    "cargo-web",
    "coreutils",
    "device-tree-compiler",
    "gcc",
    "gcc-aarch64-linux-gnu",
    "kmod",
    "libc6-dev-arm64-cross",
    "make",
    "pci.ids",
    "pciutils",
    "picocom",
    "python3-serial",
    "qemu-system-arm",
    "qemu-system-x86",
    arm64::COMPILER,
    "tar",
    "util-linux",
    "xz-utils",
];

const ADD_ARM64: &str = "dpkg --add-architecture arm64";
const UPDATE: &str = "apt-get update";
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
    let installed = installed(scope)?;
    let mut packages = missing_packages(scope, &installed);
    let compiler = installed.get(arm64::COMPILER).map(String::as_str);
    let bench = scope == Scope::Bench;
    let kernels: Vec<Kernel> = Kernel::all().filter(|kernel| bench && !kernel.is_ready()).collect();
    let arm64 = bench && !arm64::is_ready(compiler);
    if packages.is_empty() && kernels.is_empty() && !arm64 {
        return Ok(false);
    }
    let foreign = arm64 || kernels.iter().any(|kernel| kernel.arch == Arch::Arm64);
    let foreign = foreign && !arm64::is_known();
    let root = is_root();
    if root {
        update(foreign)?;
    }
    packages.extend(kernels.iter().filter_map(|kernel| kernel.uninstalled_headers()));
    install(&packages, foreign, root)?;
    for kernel in kernels {
        kernel.unpack(say)?;
    }
    if arm64 {
        unpack_arm64()?;
    }
    Ok(true)
}

/// Unpacks what belongs to the compiler that is installed now.
fn unpack_arm64() -> Result<()> {
    match installed(Scope::Bench)?.get(arm64::COMPILER) {
        Some(version) => arm64::unpack(version, say),
        None => Err(failed(format!("{} is not installed, though apt-get did it", arm64::COMPILER))),
    }
}

/// What is needed in a scope.
fn wanted(scope: Scope) -> Vec<&'static str> {
    let bench = if scope == Scope::Bench { BENCH_PACKAGES } else { &[] };
    HOST_PACKAGES.iter().chain(bench).copied().collect()
}

/// What of it is installed, with its version.
fn installed(scope: Scope) -> Result<BTreeMap<String, String>> {
    let mut query = command("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status} ${Package} ${Version}\n"]).args(wanted(scope));
    // It fails when a package is unknown; what it knows is on its output all the same.
    let known = output(&mut query)?.stdout;
    let known = String::from_utf8_lossy(&known);
    let installed = known.lines().filter_map(|line| line.strip_prefix("installed "));
    let pairs = installed.filter_map(|line| line.split_once(' '));
    Ok(pairs.map(|(package, version)| (package.to_owned(), version.to_owned())).collect())
}

fn missing_packages(scope: Scope, installed: &BTreeMap<String, String>) -> Vec<String> {
    let missing = wanted(scope).into_iter().filter(|package| !installed.contains_key(*package));
    missing.map(str::to_owned).collect()
}

/// Has apt-get know what there is, for arm64 too if it has not known of it yet.
fn update(foreign: bool) -> Result<()> {
    if foreign {
        say(ADD_ARM64);
        run(command("dpkg").args(["--add-architecture", "arm64"]))?;
    }
    say(UPDATE);
    run(command("apt-get").args(["update", "-q"]))
}

fn is_root() -> bool {
    let id = capture(command("id").arg("-u"));
    id.is_ok_and(|id| id.trim() == "0")
}

fn install(packages: &[String], foreign: bool, root: bool) -> Result<()> {
    if !root && (foreign || !packages.is_empty()) {
        return Err(by_root(packages, foreign));
    }
    if packages.is_empty() {
        return Ok(());
    }
    say(&format!("{INSTALL} {}", packages.join(" ")));
    let mut apt = command("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.args(["install", "-y", "-q", "--no-install-recommends"]).args(packages);
    run(&mut apt)
}

/// What root is to run.
fn by_root(packages: &[String], foreign: bool) -> Failure {
    let add = foreign.then_some(ADD_ARM64);
    let install = (!packages.is_empty()).then(|| format!("{INSTALL} {}", packages.join(" ")));
    let lines: Vec<&str> = add.into_iter().chain([UPDATE]).chain(install.as_deref()).collect();
    failed(format!("some packages are missing; as root, run:\n  {}", lines.join(" && ")))
}

fn say(what: &str) {
    eprintln!("setup: {what}");
}
