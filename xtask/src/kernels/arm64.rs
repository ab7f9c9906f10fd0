//! A kernel for arm64: its image, its headers, and the module that Debian leaves out.
//!
//! Nothing of it is installed. `uio_pdrv_genirq`, the driver that
//! makes a UIO device of a device-tree node, is not in Debian's kernels: it is built here, from Debian's own source of
//! the kernel ([`source`]). One source serves every release: the interfaces that it uses have not changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::{download, finish, first_dependency, image_package, unpack_image};
use crate::arch::{ARM64_TOOLS, Arch};
use crate::failure::{Context, Result, failed};
use crate::paths;
use crate::process::{command, pipe, run_quietly};

/// The driver of device-tree nodes, and where the kernel's source has it.
const DRIVER: &str = "uio_pdrv_genirq";
const DRIVER_FOLDER: &str = "drivers/uio";

/// The tree to build modules against.
pub(super) fn headers(dir: &Path, release: &str) -> PathBuf {
    dir.join("headers/usr/src").join(format!("linux-headers-{release}"))
}

/// Downloads and unpacks a release into `dir`.
pub(super) fn unpack(release: &str, dir: &Path) -> Result<()> {
    unpack_image(&Arch::Arm64.package(&image_package(release)), &[], dir)?;
    unpack_headers(release, dir)?;
    build_driver(release, dir)?;
    finish(release, dir)
}

/// Unpacks the headers, those that they have in common with other configurations, and the programs that run at a build.
fn unpack_headers(release: &str, dir: &Path) -> Result<()> {
    let of_release = Arch::Arm64.package(&format!("linux-headers-{release}"));
    let needed = |prefix: &str| {
        let rest = first_dependency(&of_release, prefix);
        rest.map(|rest| format!("{prefix}{rest}")).ok_or_else(|| {
            failed(format!("apt knows no package {of_release} that needs {prefix}*"))
        })
    };
    let common = needed("linux-headers-")?;
    for name in [&of_release, &common, &needed("linux-kbuild-")?] {
        let package = download(dir, name)?;
        run_quietly(command("dpkg-deb").arg("-x").arg(&package).arg(dir.join("headers")))?;
        fs::remove_file(&package).on("remove", &package)?;
    }
    // Debian's has the absolute path of an installed one. This is relative to where make runs, which is here.
    let makefile = headers(dir, release).join("Makefile");
    fs::write(&makefile, format!("include ../{common}/Makefile\n")).on("write", &makefile)
}

/// Builds the driver and puts it beside the image's own modules.
fn build_driver(release: &str, dir: &Path) -> Result<()> {
    let build = paths::RunDir::new()?;
    let file = format!("{DRIVER}.c");
    let copy = build.join(&file);
    let from = source()?;
    fs::copy(&from, &copy).on("copy", &from)?;
    let rules = build.join("Kbuild");
    fs::write(&rules, format!("obj-m := {DRIVER}.o\n")).on("write", &rules)?;
    let mut make = command("make");
    make.env_remove("MAKEFLAGS").env_remove("MFLAGS");
    make.arg("-C").arg(headers(dir, release)).arg(format!("M={}", build.join("").display()));
    make.args(Arch::Arm64.make_variables()).args(["KCFLAGS=-Werror", "modules"]);
    run_quietly(&mut make)?;
    let built = build.join(&format!("{DRIVER}.ko"));
    run_quietly(command(format!("{ARM64_TOOLS}strip")).arg("--strip-debug").arg(&built))?;
    let to = dir.join("image/lib/modules").join(release).join("extra");
    fs::create_dir_all(&to).on("create", &to)?;
    fs::copy(&built, to.join(format!("{DRIVER}.ko"))).map(drop).on("copy", &built)
}

/// The driver's source, taken out of Debian's package of the kernel's source if that has not been done yet.
fn source() -> Result<PathBuf> {
    let dir = paths::store().join("source");
    if !dir.exists() {
        paths::publish(&dir, extract)?;
    }
    Ok(dir.join(format!("{DRIVER}.c")))
}

/// The package has a hundred megabytes, so it is gone again when the one file is out of it.
fn extract(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).on("create", dir)?;
    let series = first_dependency("linux-source", "linux-source-");
    let series = series.ok_or_else(|| failed("apt knows no package linux-source"))?;
    let name = format!("linux-source-{series}");
    let package = download(dir, &name)?;
    let archive = dir.join("source.tar.xz");
    let file = fs::File::create(&archive).on("create", &archive)?;
    let mut inner = command("tar");
    inner.args(["-x", "-O", &format!("./usr/src/{name}.tar.xz")]).stdout(file);
    pipe(command("dpkg-deb").arg("--fsys-tarfile").arg(&package), &mut inner)?;
    fs::remove_file(&package).on("remove", &package)?;
    let mut tar = command("tar");
    tar.arg("-x").arg("-f").arg(&archive).arg("-C").arg(dir);
    tar.args(["--strip-components=3", "--occurrence=1"]);
    run_quietly(tar.arg(format!("{name}/{DRIVER_FOLDER}/{DRIVER}.c")))?;
    fs::remove_file(&archive).on("remove", &archive)
}
