//! UIO devices below `/sys/class/uio`: their maps, ports, event counts and drivers.
//!
//! [`Sysfs::uio_devices`] lists them and [`Sysfs::find_uio`] turns what a user writes on a command line into
//! one of them. The attributes and their formats are those of `drivers/uio/uio.c` in the kernel:
//! `name`, `version`, `event`, `maps/mapN/{name,addr,size,offset}`, `portio/portN/{name,start,size,porttype}`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{
    Sysfs, entry_names, link_name, number_or_zero, numbered_entries, read_text, text_or_empty,
};
use crate::error::{Errno, Error, Result};

/// A UIO device as sysfs describes it (`struct uio_info` in `include/linux/uio_driver.h`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UioInfo {
    /// The N of `/dev/uioN`.
    pub number: u32,
    /// The name that the kernel driver gave it (`uio_info::name`); not unique.
    pub name: String,
    /// The version of the kernel driver, in its own words.
    pub version: String,
    /// Interrupts since the device was registered.
    pub events: u64,
    /// Memory that can be mapped, by index. Indexes may have gaps.
    pub maps: Vec<UioMap>,
    /// I/O ports, by index.
    pub ports: Vec<UioPort>,
    /// The kernel driver that is bound to the parent device.
    pub driver: Option<String>,
    /// The parent device in sysfs, such as `/sys/devices/platform/uio_dummy`.
    pub device: Option<PathBuf>,
}

impl UioInfo {
    /// The device node, `/dev/uioN`.
    pub fn node(&self) -> PathBuf {
        PathBuf::from(format!("/dev/uio{}", self.number))
    }
}

/// One mappable memory of a UIO device (`struct uio_mem`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UioMap {
    /// The N of `mapN`: the map is at N pages into the device node.
    pub index: usize,
    /// Its name; empty where the driver gave none.
    pub name: String,
    /// Physical address, or the kernel's own address for memory that is not a device's.
    pub addr: u64,
    /// Size in bytes, a multiple of the page size with most drivers.
    pub size: u64,
    /// Where in the first page the device's memory begins, in bytes.
    pub offset: u64,
}

/// One range of I/O ports of a UIO device (`struct uio_port`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UioPort {
    /// The N of `portN`.
    pub index: usize,
    /// Its name; empty where the driver gave none.
    pub name: String,
    /// The first port.
    pub start: u64,
    /// Number of ports.
    pub size: u64,
    /// `port_none`, `port_x86`, `port_gpio` or `port_other`.
    pub porttype: String,
}

impl Sysfs {
    /// All UIO devices, by number. A machine whose kernel has no UIO has none.
    ///
    /// # Errors
    ///
    /// When `/sys/class/uio` is there and cannot be read.
    pub fn uio_devices(&self) -> Result<Vec<UioInfo>> {
        let class = self.uio_class();
        let names = match entry_names(&class) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::from_io(&error, "cannot list", class.display())),
        };
        let mut numbers: Vec<u32> = names.iter().filter_map(|name| uio_number(name)).collect();
        numbers.sort_unstable();
        // A device that vanished since is left out.
        Ok(numbers.into_iter().filter_map(|number| self.read_uio(number).ok()).collect())
    }

    /// The UIO device of `/dev/uio<number>`.
    ///
    /// # Errors
    ///
    /// `ENODEV` when there is none, with the names of those that there are.
    pub fn uio_device(&self, number: u32) -> Result<UioInfo> {
        match self.read_uio(number) {
            Ok(info) => Ok(info),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(no_such(&format!("uio{number}"), &self.uio_devices()?))
            }
            Err(error) => Err(Error::from_io(
                &error,
                "cannot read",
                self.uio_class().join(format!("uio{number}")).display(),
            )),
        }
    }

    /// The UIO device that `selector` means.
    ///
    /// A selector is `uio0`, a device node `/dev/uio0` or a link to one, the name of the device such as
    /// `uio_dummy`, or a path in sysfs: that of the UIO device or that of its parent. It is taken in this
    /// order, and never guessed: no part of a name stands for the whole.
    ///
    /// # Errors
    ///
    /// `ENODEV` when nothing answers to it, with what there is; `EEXIST` when several devices do, with
    /// their numbers.
    pub fn find_uio(&self, selector: &str) -> Result<UioInfo> {
        if let Some(number) = uio_number(selector) {
            return self.uio_device(number);
        }
        let all = self.uio_devices()?;
        let matching: Vec<_> = if selector.contains('/') {
            if let Some(number) = node_number(Path::new(selector)) {
                return self.uio_device(number);
            }
            let path = self.canonical(selector);
            all.iter().filter(|info| self.is_at(info, path.as_deref())).collect()
        } else {
            all.iter().filter(|info| info.name == selector).collect()
        };
        match matching[..] {
            [] => Err(no_such(selector, &all)),
            [info] => Ok(info.clone()),
            _ => Err(ambiguous(selector, &matching)),
        }
    }

    fn uio_class(&self) -> PathBuf {
        self.root.join("class/uio")
    }

    fn read_uio(&self, number: u32) -> io::Result<UioInfo> {
        let dir = self.uio_class().join(format!("uio{number}"));
        let parent = dir.join("device");
        Ok(UioInfo {
            number,
            // The attribute that every UIO device has: without it the device is gone.
            name: read_text(&dir.join("name"))?,
            version: text_or_empty(&dir.join("version")),
            events: number_or_zero(&dir.join("event")),
            maps: numbered_entries(&dir.join("maps"), "map").into_iter().map(read_map).collect(),
            ports: numbered_entries(&dir.join("portio"), "port")
                .into_iter()
                .map(read_port)
                .collect(),
            driver: link_name(&parent.join("driver")),
            device: fs::canonicalize(&parent).ok(),
        })
    }

    /// The real path of a selector in sysfs; `/sys` stands for this sysfs wherever it is mounted.
    fn canonical(&self, selector: &str) -> Option<PathBuf> {
        let path = Path::new(selector);
        let here = match path.strip_prefix("/sys") {
            Ok(rest) => self.root.join(rest),
            Err(_) => path.to_owned(),
        };
        fs::canonicalize(here).ok()
    }

    fn is_at(&self, info: &UioInfo, path: Option<&Path>) -> bool {
        let own = || fs::canonicalize(self.uio_class().join(format!("uio{}", info.number))).ok();
        path.is_some() && (path == info.device.as_deref() || path == own().as_deref())
    }
}

/// The N of `uioN`.
fn uio_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("uio")?;
    // `parse` would take a sign.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The N of a node `/dev/uioN`, or of a link to one such as udev makes. Opens nothing.
fn node_number(path: &Path) -> Option<u32> {
    let direct = |path: &Path| match path.parent() {
        Some(dir) if dir == Path::new("/dev") => uio_number(path.file_name()?.to_str()?),
        _ => None,
    };
    direct(path).or_else(|| {
        let target = path.starts_with("/dev").then(|| fs::canonicalize(path).ok())??;
        direct(&target)
    })
}

fn read_map((index, dir): (usize, PathBuf)) -> UioMap {
    UioMap {
        index,
        name: text_or_empty(&dir.join("name")),
        addr: number_or_zero(&dir.join("addr")),
        size: number_or_zero(&dir.join("size")),
        offset: number_or_zero(&dir.join("offset")),
    }
}

fn read_port((index, dir): (usize, PathBuf)) -> UioPort {
    UioPort {
        index,
        name: text_or_empty(&dir.join("name")),
        start: number_or_zero(&dir.join("start")),
        size: number_or_zero(&dir.join("size")),
        porttype: text_or_empty(&dir.join("porttype")),
    }
}

fn no_such(selector: &str, all: &[UioInfo]) -> Error {
    let error = Error::new(Errno::ENODEV, "no UIO device is called", selector);
    if all.is_empty() {
        return error
            .with_cause("this machine has none")
            .with_hint("load the kernel module that makes it; uioctl ls lists what there is");
    }
    error
        .with_cause(format_args!("there are: {}", names(all.iter())))
        .with_hint("name one of these, or load the kernel module that makes the missing one")
}

fn ambiguous(selector: &str, matching: &[&UioInfo]) -> Error {
    Error::new(Errno::EEXIST, "cannot choose a UIO device for", selector)
        .with_cause(format_args!("several answer to it: {}", names(matching.iter().copied())))
        .with_hint(format_args!("name it by number, such as uio{}", matching[0].number))
}

/// `uio0 (uio_dummy), uio1 (fpga)`.
fn names<'a>(devices: impl Iterator<Item = &'a UioInfo>) -> String {
    let mut text = String::new();
    for info in devices {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}uio{} ({})", info.number, info.name);
    }
    text
}

#[cfg(test)]
#[path = "uio_tests.rs"]
mod tests;
