//! The project's programs and test programs for the guests: built for this machine, or for arm64.
//!
//! For arm64 Debian's compiler does it, since that has the library for it ([`setup::arm64`]), in a target directory of its
//! own: two compilers in one would undo each other's work. What it links is static, so that a guest needs no libraries of
//! its architecture. All that is built for arm64 is built with the same packages and features named, so that no library
//! is built twice.

use std::path::PathBuf;
use std::process::Command;

use crate::arch::{ARM64_TOOLS, ARM64_TRIPLE, Arch};
use crate::failure::{Result, usage};
use crate::paths;
use crate::process::{cargo, command, run, show};
use crate::setup::{self, Scope};

/// The programs that every guest has in `/bin`.
const BINARIES: [&str; 2] = ["uiod", "uioctl"];

/// Packages with what runs on the boards.
const ARM64_PACKAGES: [&str; 4] = ["uiod", "uioctl", "scenarios", "uio-dummy-model"];

/// Leaves out of them what only the host can show, and adds what only the boards can.
const ARM64_FEATURES: [&str; 3] =
    ["--no-default-features", "--features", "scenarios/bench,scenarios/board"];

/// The lines of a backtrace are wanted of our own code alone: of all code they take half the disk.
const NO_LINES_OF_OTHERS: [&str; 2] = ["--config", "profile.release.package.'*'.debug=false"];

/// Builds the programs that every guest has. Returns their paths.
pub(crate) fn build(arch: Arch) -> Result<Vec<PathBuf>> {
    let dir = match arch {
        Arch::Amd64 => paths::target().join("release"),
        Arch::Arm64 => arm64_target().join(ARM64_TRIPLE).join("release"),
    };
    let binaries = BINARIES.map(|name| dir.join(name));
    let mut build = match arch {
        Arch::Amd64 => cargo(),
        Arch::Arm64 => arm64_cargo(),
    };
    match arch {
        Arch::Amd64 => build.args(["build", "--release"]),
        Arch::Arm64 => arm64_build(&mut build),
    };
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

/// `cargo xtask cross`: cargo for arm64, with the arguments that it is given.
pub(crate) fn cross(args: &[String]) -> Result<u8> {
    if args.is_empty() {
        return Err(usage("cross: what is cargo to do? For one: cross build --release --bin uiod"));
    }
    setup::ensure(Scope::Bench)?;
    show(arm64_cargo().env("CARGO_BUILD_TARGET", ARM64_TRIPLE).args(args))?;
    Ok(0)
}

fn arm64_target() -> PathBuf {
    paths::target().join("arm64")
}

/// Debian's cargo with its compiler, for arm64.
pub(crate) fn arm64_cargo() -> Command {
    let mut cargo = command("/usr/bin/cargo");
    let sysroot = setup::arm64::rust_sysroot();
    // One flag from the next is told by the unit separator, so the path may have spaces.
    let sysroot = format!("--sysroot={}", sysroot.display());
    let flags = [&sysroot, "-C", "target-feature=+crt-static"].join("\x1f");
    cargo.current_dir(paths::root());
    cargo.env("RUSTC", "/usr/bin/rustc").env("CARGO_TARGET_DIR", arm64_target());
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", format!("{ARM64_TOOLS}gcc"));
    // They go before RUSTFLAGS, which are for this machine's compiler.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
    cargo
}

/// The arguments of every build for arm64.
pub(crate) fn arm64_build(cargo: &mut Command) -> &mut Command {
    cargo.args(["build", "--release", "--target", ARM64_TRIPLE]).args(NO_LINES_OF_OTHERS);
    for package in ARM64_PACKAGES {
        cargo.args(["-p", package]);
    }
    cargo.args(ARM64_FEATURES)
}
