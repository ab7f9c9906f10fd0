//! The kernels of the bench: Debian's packages, unpacked below `target/bench/kernels/`, never installed.
//!
//! Which release is the newest, Debian's meta packages say; a number is never pinned. Modules are built
//! against the headers of the release that was unpacked, whatever came out since. The headers for this machine's
//! architecture are installed; those for arm64 are unpacked beside the image ([`arm64`]).

mod arm64;

use std::fs;
use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::failure::{Context, Result, failed};
use crate::paths;
use crate::process::{command, output, pipe, run, run_quietly};

/// The kernels of this machine's architecture, the default last.
pub(crate) const AMD64_KERNELS: [Kernel; 2] = [
    Kernel { name: "6.1", arch: Arch::Amd64, suffix: "amd64" },
    Kernel { name: "6.12", arch: Arch::Amd64, suffix: "6.12-amd64" },
];

/// Those of arm64, the default last.
pub(crate) const ARM64_KERNELS: [Kernel; 2] = [
    // Pages of 16 KiB.
    Kernel { name: "6.12-16k", arch: Arch::Arm64, suffix: "6.12-arm64-16k" },
    Kernel { name: "6.1", arch: Arch::Arm64, suffix: "arm64" },
];

/// What is unpacked of an image besides folders of modules.
const KEPT: [&str; 3] = ["./boot/vmlinuz-*", "./boot/config-*", "./lib/modules/*/modules.*"];

/// The folders with the modules that a guest may load, and with what those need.
const KEPT_FOLDERS: [&str; 4] = ["drivers/char", "drivers/uio", "drivers/virtio", "fs/fuse"];

/// The same of a PC besides.
const KEPT_FOR_A_PC: [&str; 9] = [
    "block",
    "crypto",
    "drivers/net/ethernet/intel/e1000e",
    "drivers/nvme",
    "drivers/vfio",
    "fs/fat",
    "fs/nls",
    "lib",
    "virt",
];

/// A kernel of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// What `--kernel` calls it.
    pub(crate) name: &'static str,
    pub(crate) arch: Arch,
    /// What follows `linux-image-` and `linux-headers-` in the names of its meta packages.
    suffix: &'static str,
}

impl Kernel {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        AMD64_KERNELS.into_iter().chain(ARM64_KERNELS)
    }

    /// What its files are called in the store: unlike its name, no other kernel's.
    pub(crate) fn id(self) -> String {
        format!("{}{}", self.arch.prefix(), self.name)
    }

    fn dir(self) -> PathBuf {
        paths::store().join("kernels").join(self.id())
    }

    /// The unpacked image package.
    fn image(self) -> PathBuf {
        self.dir().join("image")
    }

    /// The release that is unpacked, as `uname -r` prints it.
    pub(crate) fn release(self) -> Result<String> {
        let file = self.dir().join("release");
        Ok(fs::read_to_string(&file).on("read", &file)?.trim().to_owned())
    }

    /// What QEMU boots.
    pub(crate) fn boot_image(self) -> Result<PathBuf> {
        Ok(self.image().join("boot").join(format!("vmlinuz-{}", self.release()?)))
    }

    /// The options that it was built with.
    pub(crate) fn config(self) -> Result<PathBuf> {
        Ok(self.image().join("boot").join(format!("config-{}", self.release()?)))
    }

    /// Where its modules and their indexes are.
    pub(crate) fn modules(self) -> Result<PathBuf> {
        Ok(self.image().join("lib/modules").join(self.release()?))
    }

    /// The tree to build modules against.
    pub(crate) fn headers(self) -> Result<PathBuf> {
        let release = self.release()?;
        Ok(match self.arch {
            Arch::Amd64 => installed_headers(&release),
            Arch::Arm64 => arm64::headers(&self.dir(), &release),
        })
    }

    /// True if it is unpacked and its headers are there.
    pub(crate) fn is_ready(self) -> bool {
        self.headers().is_ok_and(|headers| headers.exists())
    }

    /// The package with the headers of the newest release, if that has to be installed first. To download and
    /// unpack the rest takes no rights.
    pub(crate) fn uninstalled_headers(self) -> Option<String> {
        if self.arch == Arch::Arm64 {
            return None;
        }
        match self.newest_release() {
            Some(release) if installed_headers(&release).exists() => None,
            Some(release) => Some(format!("linux-headers-{release}")),
            None => Some(format!("linux-headers-{}", self.suffix)),
        }
    }

    /// Downloads and unpacks the newest release, unless that has been done.
    pub(crate) fn unpack(self, say: impl Fn(&str)) -> Result<()> {
        let release = self.newest_release().ok_or_else(|| self.unknown())?;
        if self.is_ready() && self.release().is_ok_and(|unpacked| unpacked == release) {
            return Ok(());
        }
        say(&format!("download and unpack {}", self.arch.package(&image_package(&release))));
        paths::publish(&self.dir(), |dir| match self.arch {
            Arch::Amd64 => unpack(&release, dir),
            Arch::Arm64 => arm64::unpack(&release, dir),
        })
    }

    /// The release of the image that the meta package depends on, if apt knows it.
    fn newest_release(self) -> Option<String> {
        let meta = self.arch.package(&format!("linux-image-{}", self.suffix));
        first_dependency(&meta, "linux-image-")
    }

    fn unknown(self) -> crate::failure::Failure {
        failed(format!(
            "apt knows no package {}: the bench needs the package sources of Debian 12 with \
             its security updates, and 'apt-get update' once",
            self.arch.package(&format!("linux-image-{}", self.suffix))
        ))
    }
}

fn image_package(release: &str) -> String {
    format!("linux-image-{release}")
}

fn installed_headers(release: &str) -> PathBuf {
    Path::new("/usr/src").join(format!("linux-headers-{release}"))
}

fn unpack(release: &str, dir: &Path) -> Result<()> {
    unpack_image(&image_package(release), &KEPT_FOR_A_PC, dir)?;
    finish(release, dir)
}

/// Downloads an image and unpacks what is wanted of it: all of it has some hundred megabytes.
fn unpack_image(package: &str, folders: &[&str], dir: &Path) -> Result<()> {
    let image = dir.join("image");
    fs::create_dir_all(&image).on("create", &image)?;
    let package = download(dir, package)?;
    let mut tar = command("tar");
    tar.arg("-x").arg("-C").arg(&image).arg("--wildcards").args(KEPT);
    let folders = KEPT_FOLDERS.iter().chain(folders);
    tar.args(folders.map(|folder| format!("./lib/modules/*/kernel/{folder}")));
    pipe(command("dpkg-deb").arg("--fsys-tarfile").arg(&package), &mut tar)?;
    fs::remove_file(&package).on("remove", &package)
}

/// Indexes the modules and writes down which release it is.
fn finish(release: &str, dir: &Path) -> Result<()> {
    run_quietly(command("depmod").arg("-b").arg(dir.join("image")).arg(release))?;
    let file = dir.join("release");
    fs::write(&file, release).on("write", &file)
}

/// Downloads a package into the directory, which has no other.
pub(crate) fn download(dir: &Path, package: &str) -> Result<PathBuf> {
    let mut apt = command("apt-get");
    apt.current_dir(dir).args(["-q", "-o", "APT::Sandbox::User=root", "download"]);
    run(apt.arg(package))?;
    let mut entries = fs::read_dir(dir).on("read", dir)?.flatten().map(|entry| entry.path());
    let package = entries.find(|path| path.extension().is_some_and(|end| end == "deb"));
    package.ok_or_else(|| failed(format!("apt-get download left no package in {}", dir.display())))
}

/// The rest of the name of a package's first dependency that starts with `prefix`, if apt knows the package.
pub(crate) fn first_dependency(package: &str, prefix: &str) -> Option<String> {
    let shown = output(command("apt-cache").args(["show", "--no-all-versions", package])).ok()?;
    dependency(&String::from_utf8_lossy(&shown.stdout), prefix)
}

fn dependency(control: &str, prefix: &str) -> Option<String> {
    let line = control.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    let names = line.split([',', '|']).filter_map(|clause| clause.split_whitespace().next());
    let mut matching = names.filter_map(|name| name.strip_prefix(prefix));
    matching.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::dependency;

    #[test]
    fn the_release_comes_from_the_meta_package() {
        let control =
            "Package: linux-image-amd64\nDepends: linux-image-6.1.0-9-amd64 (= 6.1.9-2)\n";
        assert_eq!(dependency(control, "linux-image-").as_deref(), Some("6.1.0-9-amd64"));
        let two = "Depends: linux-base, linux-image-6.12.1+deb12-amd64 | other\n";
        assert_eq!(dependency(two, "linux-image-").as_deref(), Some("6.12.1+deb12-amd64"));
        assert_eq!(dependency("Package: x\n", "linux-image-"), None);
    }
}
