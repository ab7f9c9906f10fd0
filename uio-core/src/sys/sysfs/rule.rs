//! The udev rule that binds a PCI function at every boot: [`Rule`], kept in a file of its own for each function.
//!
//! udev looks at the rule when the function appears. The rule matches by place and by vendor and device, so that
//! another card in the same slot is not taken. It sets the override, loads the module of the driver, and, when another
//! driver was faster (one that is built in, or in the initramfs), takes the function from it; then it has the kernel
//! look for a driver, which the override decides. No file in `modules-load.d` is needed: the rule loads the module.
//!
//! A file is written beside its place and renamed, so that udev sees the old rule or the new one and never a part.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::PciInfo;
use crate::error::{Errno, Error, Result};

/// Where an administrator keeps rules.
pub const DIR: &str = "/etc/udev/rules.d";

/// Before 80-drivers.rules, which loads the modules of other drivers.
const PREFIX: &str = "70-uioctl-";

/// A function and the driver that it is to have at every boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Where the function is: `0000:00:03.0`.
    pub bdf: String,
    /// Its vendor.
    pub vendor: u16,
    /// Its device ID.
    pub device: u16,
    /// The driver.
    pub driver: String,
}

/// What became of the file of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was written.
    Written,
    /// It had this text already.
    Unchanged,
}

impl Rule {
    /// The rule that gives `function` to `driver`.
    pub fn new(function: &PciInfo, driver: &str) -> Self {
        Self {
            bdf: function.bdf.clone(),
            vendor: function.vendor,
            device: function.device,
            driver: driver.to_owned(),
        }
    }

    /// The file of the rule for the function `bdf`.
    pub fn path(dir: &Path, bdf: &str) -> PathBuf {
        dir.join(format!("{PREFIX}{bdf}.rules"))
    }

    /// The text of the file. In a rule of udev `$kernel` is the name of the device and `$$` is a dollar of the shell's.
    pub fn text(&self) -> String {
        let Self { bdf, vendor, device, driver } = self;
        format!(
            "# Written by `uioctl bind {bdf} {driver} --persist`; `uioctl unbind {bdf} --forget` removes it.\n\
             ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"{bdf}\", \
             ATTR{{vendor}}==\"0x{vendor:04x}\", ATTR{{device}}==\"0x{device:04x}\", \
             ATTR{{driver_override}}=\"{driver}\", \
             RUN{{builtin}}+=\"kmod load {driver}\", \
             RUN+=\"/bin/sh -c 'd=/sys/bus/pci/devices/$kernel; \
             case $$(readlink $$d/driver) in */{driver}) exit 0;; ?*) echo $kernel > $$d/driver/unbind;; esac; \
             echo $kernel > /sys/bus/pci/drivers_probe'\"\n"
        )
    }

    /// The rule that is kept for the function `bdf`; none if there is none of ours.
    pub fn kept(dir: &Path, bdf: &str) -> Option<Self> {
        let text = fs::read_to_string(Self::path(dir, bdf)).ok()?;
        let hex = |name| u16::from_str_radix(quoted(&text, name)?.strip_prefix("0x")?, 16).ok();
        Some(Self {
            bdf: bdf.to_owned(),
            vendor: hex("ATTR{vendor}==")?,
            device: hex("ATTR{device}==")?,
            driver: quoted(&text, "ATTR{driver_override}=")?.to_owned(),
        })
    }

    /// Writes the file, unless it is there with the same text.
    ///
    /// # Errors
    ///
    /// When the directory is not there or may not be written to. The old file, if there was one, is left.
    pub fn keep(&self, dir: &Path) -> Result<Kept> {
        let path = Self::path(dir, &self.bdf);
        let text = self.text();
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(Kept::Unchanged);
        }
        let act = "cannot write the rule";
        replace(&path, &text).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::new(Errno::ENOENT, act, path.display())
                .with_cause(format_args!("there is no directory {}", dir.display()))
                .with_hint("install udev, or leave --persist out and bind at every boot"),
            io::ErrorKind::PermissionDenied => {
                Error::from_io(&error, act, path.display()).with_hint("run it as root: sudo")
            }
            _ => Error::from_io(&error, act, path.display()),
        })?;
        Ok(Kept::Written)
    }

    /// Removes the rule for the function `bdf`. Its file, or none if there was no rule.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be removed.
    pub fn forget(dir: &Path, bdf: &str) -> Result<Option<PathBuf>> {
        let path = Self::path(dir, bdf);
        match fs::remove_file(&path) {
            Ok(()) => Ok(Some(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::from_io(&error, "cannot remove the rule", path.display())),
        }
    }
}

/// Puts a file in the place of another in one moment.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A name that does not end in .rules is passed over by udev.
    let unfinished = path.with_extension(format!("rules.{}", std::process::id()));
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().inspect_err(|_| {
        // It may not even have been made.
        let _ = fs::remove_file(&unfinished);
    })
}

/// What stands in quotes behind `key`.
fn quoted<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let rest = &text[text.find(key)? + key.len()..];
    rest.strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(driver: &str) -> Rule {
        Rule {
            bdf: "0000:00:03.0".into(),
            vendor: 0x1234,
            device: 0x11e8,
            driver: driver.to_owned(),
        }
    }

    #[test]
    fn a_rule_is_for_one_card_in_one_place() {
        let text = rule("vfio-pci").text();
        for part in [
            "ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"0000:00:03.0\", ATTR{vendor}==\"0x1234\", ATTR{device}==\"0x11e8\"",
            "ATTR{driver_override}=\"vfio-pci\"",
            "RUN{builtin}+=\"kmod load vfio-pci\"",
            "*/vfio-pci) exit 0;;",
            "echo $kernel > /sys/bus/pci/drivers_probe'\"\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_rule_is_kept_once_and_forgotten_once() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Rule::kept(dir.path(), "0000:00:03.0"), None);
        assert_eq!(rule("vfio-pci").keep(dir.path()), Ok(Kept::Written));
        assert_eq!(rule("vfio-pci").keep(dir.path()), Ok(Kept::Unchanged));
        assert_eq!(Rule::kept(dir.path(), "0000:00:03.0"), Some(rule("vfio-pci")));
        assert_eq!(rule("uio_pci_generic").keep(dir.path()), Ok(Kept::Written));
        assert_eq!(Rule::kept(dir.path(), "0000:00:03.0"), Some(rule("uio_pci_generic")));
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "nothing unfinished is left: {names:?}");
        let path = Rule::path(dir.path(), "0000:00:03.0");
        assert_eq!(Rule::forget(dir.path(), "0000:00:03.0"), Ok(Some(path)));
        assert_eq!(Rule::forget(dir.path(), "0000:00:03.0"), Ok(None));
    }

    #[test]
    fn without_udev_a_rule_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = rule("vfio-pci").keep(&dir.path().join("missing")).unwrap_err().to_string();
        assert!(error.contains("there is no directory") && error.contains("udev"), "{error}");
    }
}
