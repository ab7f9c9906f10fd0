//! Devices that the device tree describes, on the platform bus and on the AMBA bus.
//!
//! [`Sysfs::platform_devices`] lists them and [`Sysfs::find_platform`] finds one by its name or its node. The kernel makes a platform device of a node below a bus (`drivers/of/platform.c`), and an AMBA device, which is none of
//! the platform bus, of a node that is compatible with `"arm,primecell"` (`drivers/amba/bus.c`). The two have the same
//! name, made of the node's address: `9010000.pl031` of `/pl031@9010000`.
//!
//! Attributes that wait for the lock of the device, `driver_override` above all, are not read: [`Sysfs::override_of`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::bus::{Bus, BusDevice};
use super::near::nearest;
use super::{Sysfs, entry_names, link_name, text_or_empty};
use crate::error::{Errno, Error, Result};
use crate::sys::of::OfFiles;

/// The one word by which a node becomes an AMBA device.
pub const PRIMECELL: &str = "arm,primecell";

/// A device of the platform or the AMBA bus as sysfs describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformInfo {
    /// Its name on its bus: `9010000.pl031`.
    pub name: String,
    /// The bus it is on, [`Bus::Platform`] or [`Bus::Amba`].
    pub bus: Bus,
    /// Its real directory in sysfs: `/sys/devices/platform/9010000.pl031`.
    pub path: PathBuf,
    /// The path of its node in the device tree: `/pl031@9010000`. None for what no device tree describes.
    pub node: Option<String>,
    /// What the node is compatible with, the most special first.
    pub compatible: Vec<String>,
    /// The name by which `modprobe` finds its driver.
    pub modalias: String,
    /// The kernel driver that is bound to it.
    pub driver: Option<String>,
    /// The N of the `/dev/uioN` that its driver made of it.
    pub uio: Option<u32>,
}

impl PlatformInfo {
    /// The device by its name on its bus.
    pub fn device(&self) -> BusDevice {
        BusDevice::new(self.bus, &self.name)
    }
}

impl Sysfs {
    /// All devices of the platform bus and of the AMBA bus, by name. A machine without either has none.
    ///
    /// # Errors
    ///
    /// When the directory of a bus is there and cannot be read.
    pub fn platform_devices(&self) -> Result<Vec<PlatformInfo>> {
        let tree = OfFiles::at(self.device_tree());
        let mut all = Vec::new();
        for bus in [Bus::Platform, Bus::Amba] {
            let dir = self.bus_dir(bus).join("devices");
            let names = match entry_names(&dir) {
                Ok(names) => names,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::from_io(&error, "cannot list", dir.display())),
            };
            // A device that vanished since is left out.
            all.extend(
                names.into_iter().filter_map(|name| read(&tree, &dir.join(&name), bus, name).ok()),
            );
        }
        all.sort_by(|one, other| (&one.name, one.bus).cmp(&(&other.name, other.bus)));
        Ok(all)
    }

    /// The device of the platform or the AMBA bus that `selector` means: by the path of its node, `/pl031@9010000`; by
    /// its name on the bus, `9010000.pl031`; or by its directory, `/sys/devices/...`. No part of a name stands for the
    /// whole.
    ///
    /// # Errors
    ///
    /// `ENODEV` when nothing answers to it, with the names most like it, or with why the kernel made no device of the
    /// node.
    pub fn find_platform(&self, selector: &str) -> Result<PlatformInfo> {
        let all = self.platform_devices()?;
        let directory = self.directory(selector);
        let is_meant = |info: &&PlatformInfo| match &directory {
            Some(path) => info.path == *path,
            None if selector.starts_with('/') => info.node.as_deref() == Some(selector),
            None => info.name == selector,
        };
        // Parts of a device may be devices of their own with the node of the whole, which is the outermost.
        let found = all.iter().filter(is_meant).min_by_key(|info| info.path.components().count());
        found.cloned().ok_or_else(|| self.no_such(selector, &all))
    }

    /// Where the device tree is that the kernel was booted with. `/proc/device-tree` is a link to it.
    pub fn device_tree(&self) -> PathBuf {
        self.root.join("firmware/devicetree/base")
    }

    /// The real directory that a selector names; `/sys` stands for this sysfs wherever it is mounted.
    fn directory(&self, selector: &str) -> Option<PathBuf> {
        let path = Path::new(selector);
        let inside = path.strip_prefix("/sys").or_else(|_| path.strip_prefix(&self.root)).ok()?;
        fs::canonicalize(self.root.join(inside)).ok()
    }

    fn no_such(&self, selector: &str, all: &[PlatformInfo]) -> Error {
        let error = Error::new(Errno::ENODEV, "cannot find device", selector);
        let tree = OfFiles::at(self.device_tree());
        if selector.starts_with('/') {
            return no_device_of(&tree, selector, error);
        }
        let near = nearest(selector, all.iter().map(|info| &*info.name));
        let error = match &near[..] {
            [] => error.with_cause("this machine has no platform devices"),
            near => error.with_cause(format_args!(
                "no platform device is called so; most like it are {}",
                near.join(", ")
            )),
        };
        error.with_hint("uioctl ls shows the devices that there are")
    }
}

fn read(tree: &OfFiles, dir: &Path, bus: Bus, name: String) -> io::Result<PlatformInfo> {
    let node = tree.path_of(&dir.join("of_node"));
    Ok(PlatformInfo {
        path: fs::canonicalize(dir)?,
        compatible: node.as_deref().map(|node| words(tree, node, "compatible")).unwrap_or_default(),
        modalias: text_or_empty(&dir.join("modalias")),
        driver: link_name(&dir.join("driver")),
        uio: uio_below(dir),
        name,
        bus,
        node,
    })
}

/// The strings of a property.
fn words(tree: &OfFiles, node: &str, property: &str) -> Vec<String> {
    let bytes = tree.property(node, property).unwrap_or_default();
    let words = bytes.split(|&byte| byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn uio_below(dir: &Path) -> Option<u32> {
    let names = entry_names(&dir.join("uio")).ok()?;
    names.iter().find_map(|name| name.strip_prefix("uio")?.parse().ok())
}

/// Why the kernel made no device of a node.
fn no_device_of(tree: &OfFiles, node: &str, error: Error) -> Error {
    let status = words(tree, node, "status").pop().unwrap_or_default();
    if tree.properties(node).is_err() {
        return error
            .with_cause("the device tree that the kernel was booted with has no such node")
            .with_hint(
                "check its path; a node that an overlay adds is there once that is applied",
            );
    }
    if !matches!(&*status, "" | "okay" | "ok") {
        return error
            .with_cause(format_args!(
                "the kernel made no device of its node, whose status is \"{status}\""
            ))
            .with_hint("apply an overlay with status = \"okay\"");
    }
    if words(tree, node, "compatible").is_empty() {
        return error
            .with_cause("the kernel made no device of its node, which is compatible with nothing")
            .with_hint(
                "name the node of a device, or apply an overlay that gives it a compatible",
            );
    }
    error
        .with_cause(
            "the kernel made no platform device of its node, which is not on a bus of such devices",
        )
        .with_hint("the node of one is below the root, or below a node with \"simple-bus\"")
}

#[cfg(test)]
#[path = "platform_tests.rs"]
mod tests;
