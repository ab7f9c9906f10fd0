//! The kernels of the bench: Debian's packages, unpacked below `target/bench/kernels/`, never installed.
//!
//! Which release is the newest, Debian's meta packages say; a number is never pinned. Modules are built
//! against the headers of the release that was unpacked, whatever came out since.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Result, failed};
use crate::paths;
use crate::process::{command, output, run, run_quietly};

/// The kernels of the bench, the default last.
pub(crate) const KERNELS: [Kernel; 2] =
    [Kernel { name: "6.1", suffix: "amd64" }, Kernel { name: "6.12", suffix: "6.12-amd64" }];

/// A kernel of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// What `--kernel` calls it.
    pub(crate) name: &'static str,
    /// What follows `linux-image-` and `linux-headers-` in the names of its meta packages.
    suffix: &'static str,
}

impl Kernel {
    fn dir(self) -> PathBuf {
        paths::store().join("kernels").join(self.name)
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
        Ok(headers_of(&self.release()?))
    }

    /// True if it is unpacked and its headers are installed.
    pub(crate) fn is_ready(self) -> bool {
        self.headers().is_ok_and(|headers| headers.exists())
    }

    /// True if only the image is missing: to download and unpack it takes no rights.
    pub(crate) fn needs_no_install(self) -> bool {
        self.newest_release().is_some_and(|release| headers_of(&release).exists())
    }

    /// The package with the headers of the newest release.
    pub(crate) fn headers_package(self) -> String {
        match self.newest_release() {
            Some(release) => format!("linux-headers-{release}"),
            None => format!("linux-headers-{}", self.suffix),
        }
    }

    /// Downloads and unpacks the newest release, unless that has been done.
    pub(crate) fn unpack(self, say: impl Fn(&str)) -> Result<()> {
        let release = self.newest_release().ok_or_else(|| self.unknown())?;
        if self.release().is_ok_and(|unpacked| unpacked == release) {
            return Ok(());
        }
        say(&format!("download and unpack linux-image-{release}"));
        paths::publish(&self.dir(), |dir| unpack(&release, dir))
    }

    /// The release of the image that the meta package depends on, if apt knows it.
    fn newest_release(self) -> Option<String> {
        let meta = format!("linux-image-{}", self.suffix);
        let shown = output(command("apt-cache").args(["show", "--no-all-versions", &meta])).ok()?;
        dependency(&String::from_utf8_lossy(&shown.stdout), "linux-image-")
    }

    fn unknown(self) -> crate::failure::Failure {
        failed(format!(
            "apt knows no package linux-image-{}: the bench needs the package sources of Debian 12 with \
             its security updates, and 'apt-get update' once",
            self.suffix
        ))
    }
}

fn headers_of(release: &str) -> PathBuf {
    Path::new("/usr/src").join(format!("linux-headers-{release}"))
}

fn unpack(release: &str, dir: &Path) -> Result<()> {
    let image = dir.join("image");
    fs::create_dir_all(&image).on("create", &image)?;
    let mut apt = command("apt-get");
    apt.current_dir(dir).args(["-q", "-o", "APT::Sandbox::User=root", "download"]);
    run(apt.arg(format!("linux-image-{release}")))?;
    let package = downloaded(dir)?;
    run_quietly(command("dpkg-deb").arg("-x").arg(&package).arg(&image))?;
    fs::remove_file(&package).on("remove", &package)?;
    run_quietly(command("depmod").arg("-b").arg(&image).arg(release))?;
    let file = dir.join("release");
    fs::write(&file, release).on("write", &file)
}

fn downloaded(dir: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(dir).on("read", dir)?.flatten().map(|entry| entry.path());
    let package = entries.find(|path| path.extension().is_some_and(|end| end == "deb"));
    package.ok_or_else(|| failed(format!("apt-get download left no package in {}", dir.display())))
}

/// The rest of the name of the first dependency that starts with `prefix`.
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
