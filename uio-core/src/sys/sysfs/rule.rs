//! The udev rule that binds a device at every boot: [`Rule`], kept in a file of its own for each device.
//!
//! udev looks at the rule when the device appears. The rule matches by place and by what is there ([`Identity`]): a PCI
//! function by vendor and device, so that another card in the same slot is not taken; a device of the device tree by its
//! node (`OF_FULLNAME`). It sets the override, loads the module of the driver, and, when another driver was faster (one
//! that is built in, or in the initramfs), takes the device from it; then it has the kernel look for a driver, which the
//! override decides. No file in `modules-load.d` is needed: the rule loads the module.
//!
//! A file is written beside its place and renamed, so that udev sees the old rule or the new one and never a part.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Bus, BusDevice, PciInfo, PlatformInfo, entry_names};
use crate::error::{Errno, Error, Result};

/// Where an administrator keeps rules.
pub const DIR: &str = "/etc/udev/rules.d";

/// Before 80-drivers.rules, which loads the modules of other drivers.
const PREFIX: &str = "70-uioctl-";

/// A device and the driver that it is to have at every boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Where the device is.
    pub device: BusDevice,
    /// What it is.
    pub identity: Identity,
    /// The driver.
    pub driver: String,
}

/// What is in a place, as far as it tells one device from another that may come to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A PCI function, by its vendor and its device ID.
    Pci {
        /// The vendor.
        vendor: u16,
        /// The device ID.
        device: u16,
    },
    /// What the device tree describes, by the path of its node.
    Node(String),
    /// What is known by its name alone.
    Name,
}

impl From<&PciInfo> for Identity {
    fn from(function: &PciInfo) -> Self {
        Self::Pci { vendor: function.vendor, device: function.device }
    }
}

impl From<&PlatformInfo> for Identity {
    fn from(info: &PlatformInfo) -> Self {
        info.node.clone().map_or(Self::Name, Self::Node)
    }
}

impl Identity {
    /// The conditions of a rule that it is for.
    fn conditions(&self) -> String {
        match self {
            Self::Pci { vendor, device } => {
                format!("ATTR{{vendor}}==\"0x{vendor:04x}\", ATTR{{device}}==\"0x{device:04x}\", ")
            }
            Self::Node(node) => format!("ENV{{OF_FULLNAME}}==\"{node}\", "),
            Self::Name => String::new(),
        }
    }

    /// The identity of the rule `text`.
    fn parse(text: &str) -> Self {
        let hex = |key| u16::from_str_radix(quoted(text, key)?.strip_prefix("0x")?, 16).ok();
        let node = quoted(text, "ENV{OF_FULLNAME}==").map(|node| Self::Node(node.to_owned()));
        match (hex("ATTR{vendor}=="), hex("ATTR{device}==")) {
            (Some(vendor), Some(device)) => Self::Pci { vendor, device },
            _ => node.unwrap_or(Self::Name),
        }
    }
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
    /// The file of the rule for a device.
    pub fn path(dir: &Path, device: &BusDevice) -> PathBuf {
        dir.join(format!("{PREFIX}{device}.rules"))
    }

    /// The text of the file. In a rule of udev `$kernel` is the name of the device and `$$` is a dollar of the shell's.
    pub fn text(&self) -> String {
        let Self { device, identity, driver } = self;
        let (bus, conditions) = (device.bus.name(), identity.conditions());
        format!(
            "# Written by `uioctl bind {device} {driver} --persist`; `uioctl unbind {device} --forget` removes it.\n\
             ACTION==\"add\", SUBSYSTEM==\"{bus}\", KERNEL==\"{device}\", {conditions}\
             ATTR{{driver_override}}=\"{driver}\", \
             RUN{{builtin}}+=\"kmod load {driver}\", \
             RUN+=\"/bin/sh -c 'd=/sys/bus/{bus}/devices/$kernel; \
             case $$(readlink $$d/driver) in */{driver}) exit 0;; ?*) echo $kernel > $$d/driver/unbind;; esac; \
             echo $kernel > /sys/bus/{bus}/drivers_probe'\"\n"
        )
    }

    /// The rule that is kept for a device; none if there is none of ours.
    pub fn kept(dir: &Path, device: &BusDevice) -> Option<Self> {
        Self::read(&Self::path(dir, device)).filter(|rule| rule.device == *device)
    }

    /// All rules of ours, by device.
    pub fn all(dir: &Path) -> Vec<Self> {
        let mut names = entry_names(dir).unwrap_or_default();
        names.retain(|name| name.starts_with(PREFIX) && name.ends_with(".rules"));
        names.sort();
        names.iter().filter_map(|name| Self::read(&dir.join(name))).collect()
    }

    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let bus = quoted(&text, "SUBSYSTEM==")?;
        let bus = [Bus::Pci, Bus::Platform, Bus::Amba].into_iter().find(|one| one.name() == bus)?;
        Some(Self {
            device: BusDevice::new(bus, quoted(&text, "KERNEL==")?),
            identity: Identity::parse(&text),
            driver: quoted(&text, "ATTR{driver_override}=")?.to_owned(),
        })
    }

    /// Writes the file, unless it is there with the same text.
    ///
    /// # Errors
    ///
    /// When the directory is not there or may not be written to. The old file, if there was one, is left.
    pub fn keep(&self, dir: &Path) -> Result<Kept> {
        let path = Self::path(dir, &self.device);
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

    /// Removes the rule for a device. Its file, or none if there was no rule.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be removed.
    pub fn forget(dir: &Path, device: &BusDevice) -> Result<Option<PathBuf>> {
        let path = Self::path(dir, device);
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

    fn place() -> BusDevice {
        BusDevice::pci("0000:00:03.0")
    }

    fn rule(driver: &str) -> Rule {
        let identity = Identity::Pci { vendor: 0x1234, device: 0x11e8 };
        Rule { device: place(), identity, driver: driver.to_owned() }
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
        assert_eq!(Rule::kept(dir.path(), &place()), None);
        assert_eq!(rule("vfio-pci").keep(dir.path()), Ok(Kept::Written));
        assert_eq!(rule("vfio-pci").keep(dir.path()), Ok(Kept::Unchanged));
        assert_eq!(Rule::kept(dir.path(), &place()), Some(rule("vfio-pci")));
        assert_eq!(rule("uio_pci_generic").keep(dir.path()), Ok(Kept::Written));
        assert_eq!(Rule::kept(dir.path(), &place()), Some(rule("uio_pci_generic")));
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "nothing unfinished is left: {names:?}");
        let path = Rule::path(dir.path(), &place());
        assert_eq!(Rule::forget(dir.path(), &place()), Ok(Some(path)));
        assert_eq!(Rule::forget(dir.path(), &place()), Ok(None));
    }

    #[test]
    fn a_device_of_the_device_tree_is_known_by_its_node() {
        let dir = tempfile::tempdir().unwrap();
        let rule = Rule {
            device: BusDevice::new(Bus::Platform, "9010000.pl031"),
            identity: Identity::Node("/pl031@9010000".into()),
            driver: "uio_pdrv_genirq".into(),
        };
        for part in [
            "SUBSYSTEM==\"platform\", KERNEL==\"9010000.pl031\", ENV{OF_FULLNAME}==\"/pl031@9010000\", \
             ATTR{driver_override}=\"uio_pdrv_genirq\"",
            "d=/sys/bus/platform/devices/$kernel;",
            "echo $kernel > /sys/bus/platform/drivers_probe'\"\n",
        ] {
            assert!(rule.text().contains(part), "{part}: {}", rule.text());
        }
        let other = Rule {
            device: BusDevice::new(Bus::Platform, "alarm"),
            identity: Identity::Name,
            ..rule.clone()
        };
        for one in [&rule, &other] {
            one.keep(dir.path()).unwrap();
            assert_eq!(Rule::kept(dir.path(), &one.device).as_ref(), Some(one));
        }
        fs::write(dir.path().join("70-other.rules"), rule.text()).unwrap();
        assert_eq!(Rule::all(dir.path()), [rule, other]);
    }

    #[test]
    fn without_udev_a_rule_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = rule("vfio-pci").keep(&dir.path().join("missing")).unwrap_err().to_string();
        assert!(error.contains("there is no directory") && error.contains("udev"), "{error}");
    }
}
