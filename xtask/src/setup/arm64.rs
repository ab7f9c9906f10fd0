//! What the boards need besides their kernels: Rust's library for arm64, and a busybox of theirs.
//!
//! Neither is installed. The library must be of the very release of Debian's compiler that is installed, so that is
//! the one that is unpacked, and again when the compiler has changed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::failure::{Context, Result};
use crate::kernels::download;
use crate::paths;
use crate::process::{capture, command, run_quietly};

/// The package of the compiler, and that of its library.
pub(super) const COMPILER: &str = "rustc-web";
const LIBRARY: &str = "libstd-rust-web-dev";

fn sysroot() -> PathBuf {
    paths::store().join("arm64-rust")
}

/// What the compiler is to use in the place of its own sysroot.
pub(crate) fn rust_sysroot() -> PathBuf {
    sysroot().join("usr")
}

/// The guests' busybox.
pub(crate) fn busybox() -> PathBuf {
    paths::store().join("arm64-busybox/bin/busybox")
}

/// Whether dpkg knows arm64, so that apt-get can download its packages.
pub(super) fn is_known() -> bool {
    let known = capture(command("dpkg").arg("--print-foreign-architectures"));
    known.is_ok_and(|known| known.lines().any(|name| name == "arm64"))
}

/// Whether all is there, with this version of the compiler installed.
pub(super) fn is_ready(compiler: Option<&str>) -> bool {
    let unpacked = fs::read_to_string(sysroot().join("version")).ok();
    unpacked.is_some() && unpacked.as_deref() == compiler && busybox().exists()
}

/// Downloads and unpacks what is missing.
pub(super) fn unpack(compiler: &str, say: impl Fn(&str)) -> Result<()> {
    if !busybox().exists() {
        say("download and unpack busybox-static:arm64");
        let dir = paths::store().join("arm64-busybox");
        paths::publish(&dir, |dir| unpack_package("busybox-static", dir))?;
    }
    if !is_ready(Some(compiler)) {
        say(&format!("download and unpack {LIBRARY}:arm64 {compiler}"));
        paths::publish(&sysroot(), |dir| {
            unpack_package(&format!("{LIBRARY}={compiler}"), dir)?;
            let file = dir.join("version");
            fs::write(&file, compiler).on("write", &file)
        })?;
    }
    Ok(())
}

/// Unpacks a package for arm64, given as `NAME` or `NAME=VERSION`.
fn unpack_package(package: &str, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).on("create", dir)?;
    let (name, version) = match package.split_once('=') {
        Some((name, version)) => (name, format!("={version}")),
        None => (package, String::new()),
    };
    let file = download(dir, &format!("{}{version}", Arch::Arm64.package(name)))?;
    run_quietly(command("dpkg-deb").arg("-x").arg(&file).arg(dir))?;
    fs::remove_file(&file).on("remove", &file)
}
