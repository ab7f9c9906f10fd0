//! Devices that the device tree describes, on the platform bus and on the AMBA bus.
//!
//! [`Sysfs::platform_devices`] lists them and [`Sysfs::find_platform`] turns what a user writes into one of them. The
//! kernel makes a platform device of a node below a bus (`drivers/of/platform.c`), and an AMBA device, which is none of
//! the platform bus, of a node that is compatible with `"arm,primecell"` (`drivers/amba/bus.c`). The two have the same
//! name, made of the node's address: `9010000.pl031` of `/pl031@9010000`.
//!
//! Attributes that wait for the lock of the device, `driver_override` above all, are not read: [`Sysfs::override_of`].

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::bus::{Bus, BusDevice};
use super::near::nearest;
use super::{Sysfs, entry_names, link_name, text_or_empty};
use crate::error::{Errno, Error, Result};

/// The live device tree in sysfs; `/proc/device-tree` is a link to it.
const TREE: &str = "firmware/devicetree/base";

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
    /// The directory of that node in sysfs: `/sys/firmware/devicetree/base/pl031@9010000`.
    pub of_node: Option<PathBuf>,
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

    /// Whether its node is compatible with `what`.
    pub fn is_compatible(&self, what: &str) -> bool {
        self.compatible.iter().any(|own| own == what)
    }
}

/// What a user writes for a device of the device tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted<'a> {
    /// By its node: `of:/pl031@9010000`, or without `of:`.
    Node(&'a str),
    /// By what it is compatible with: `of:arm,pl031`.
    Compatible(&'a str),
    /// By its directory in sysfs.
    Directory(&'a Path),
    /// By its name on its bus: `9010000.pl031`.
    Name(&'a str),
}

impl<'a> Wanted<'a> {
    fn parse(text: &'a str) -> Self {
        match (text.strip_prefix("of:"), text) {
            (Some(node), _) if node.starts_with('/') => Self::Node(node),
            (Some(compatible), _) => Self::Compatible(compatible),
            (None, path) if path.starts_with("/sys/") => Self::Directory(Path::new(path)),
            (None, node) if node.starts_with('/') => Self::Node(node),
            (None, name) => Self::Name(name),
        }
    }
}

impl Sysfs {
    /// All devices of the platform bus and of the AMBA bus, by name. A machine without either has none.
    ///
    /// # Errors
    ///
    /// When the directory of a bus is there and cannot be read.
    pub fn platform_devices(&self) -> Result<Vec<PlatformInfo>> {
        let mut all = Vec::new();
        for bus in [Bus::Platform, Bus::Amba] {
            let dir = self.bus_dir(bus).join("devices");
            let names = match entry_names(&dir) {
                Ok(names) => names,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::from_io(&error, "cannot list", dir.display())),
            };
            // A device that vanished since is left out.
            all.extend(names.into_iter().filter_map(|name| self.read_platform(bus, name).ok()));
        }
        all.sort_by(|one, other| (&one.name, one.bus).cmp(&(&other.name, other.bus)));
        Ok(all)
    }

    /// The device of the platform or the AMBA bus that `selector` means.
    ///
    /// A selector is the path of a node, `of:/pl031@9010000` or without `of:`; what the node is compatible with,
    /// `of:arm,pl031`; a name on the bus, `9010000.pl031`; or a directory of sysfs. No part of a name stands for the
    /// whole.
    ///
    /// # Errors
    ///
    /// `ENODEV` when nothing answers to it, with the names most like it, or why the kernel made no device of the node;
    /// `EEXIST` when several do, with their names.
    pub fn find_platform(&self, selector: &str) -> Result<PlatformInfo> {
        let all = self.platform_devices()?;
        let wanted = Wanted::parse(selector);
        let mut matching: Vec<_> = all.iter().filter(|info| self.is_meant(info, wanted)).collect();
        if matches!(wanted, Wanted::Node(_)) {
            // Parts of a device may be devices of their own, with the node of the whole: that is the outermost.
            matching.sort_by_key(|info| info.path.components().count());
            matching.truncate(1);
        }
        match matching[..] {
            [] => Err(self.no_such(selector, wanted, &all)),
            [info] => Ok(info.clone()),
            _ => Err(ambiguous(selector, &matching)),
        }
    }

    /// Whether this machine has a device tree.
    pub fn has_device_tree(&self) -> bool {
        self.tree().is_dir()
    }

    /// The directory of the node at `path`, such as `/pl031@9010000`, if there is one.
    pub fn device_tree_node(&self, path: &str) -> Option<PathBuf> {
        let inside = Path::new(path.strip_prefix('/')?);
        let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
        Some(self.tree().join(inside)).filter(|dir| plain && dir.is_dir())
    }

    /// The paths of all nodes of the device tree, in no order. A machine without one has none.
    pub fn device_tree_paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.tree(), "", &mut found);
        found
    }

    fn tree(&self) -> PathBuf {
        self.root.join(TREE)
    }

    fn read_platform(&self, bus: Bus, name: String) -> io::Result<PlatformInfo> {
        let dir = self.bus_dir(bus).join("devices").join(&name);
        let path = fs::canonicalize(&dir)?;
        let node = node_path(&dir.join("of_node"));
        let of_node = node.as_deref().map(|node| self.tree().join(node.trim_start_matches('/')));
        Ok(PlatformInfo {
            compatible: of_node.as_deref().map(compatible).unwrap_or_default(),
            modalias: text_or_empty(&dir.join("modalias")),
            driver: link_name(&dir.join("driver")),
            uio: uio_below(&dir),
            name,
            bus,
            path,
            node,
            of_node,
        })
    }

    fn is_meant(&self, info: &PlatformInfo, wanted: Wanted<'_>) -> bool {
        match wanted {
            Wanted::Node(node) => info.node.as_deref() == Some(node),
            Wanted::Compatible(compatible) => info.is_compatible(compatible),
            Wanted::Name(name) => info.name == name,
            Wanted::Directory(path) => {
                // `/sys` stands for this sysfs wherever it is mounted.
                let here =
                    path.strip_prefix("/sys").map_or(path.to_owned(), |rest| self.root.join(rest));
                fs::canonicalize(here).is_ok_and(|real| real == info.path)
            }
        }
    }

    fn no_such(&self, selector: &str, wanted: Wanted<'_>, all: &[PlatformInfo]) -> Error {
        let error = Error::new(Errno::ENODEV, "cannot find device", selector);
        let of_tree = matches!(wanted, Wanted::Node(_) | Wanted::Compatible(_));
        if of_tree && !self.has_device_tree() {
            return error
                .with_cause("this machine has no device tree")
                .with_hint("uioctl ls shows the devices that it has");
        }
        let (cause, near) = match wanted {
            Wanted::Node(node) if self.device_tree_node(node).is_some() => {
                return self.no_device_of(error, node);
            }
            Wanted::Node(node) => {
                let paths = self.device_tree_paths();
                ("the device tree has no such node", named(node, paths.iter().map(|path| &**path)))
            }
            Wanted::Compatible(what) => {
                let known = all.iter().flat_map(|info| &info.compatible);
                ("no device is compatible with it", named(what, known.map(|known| &**known)))
            }
            Wanted::Name(name) => {
                let known = all.iter().map(|info| &*info.name);
                ("no platform device is called so", named(name, known))
            }
            Wanted::Directory(_) => ("it is no platform device", String::new()),
        };
        error.with_cause(format_args!("{cause}{near}")).with_hint(match wanted {
            Wanted::Node(_) => {
                "check its path; a node that an overlay adds is there once the overlay is applied"
            }
            _ => "uioctl ls shows the devices that there are",
        })
    }

    /// Why the kernel made no device of a node that is there.
    fn no_device_of(&self, error: Error, node: &str) -> Error {
        let dir = self.device_tree_node(node).unwrap_or_default();
        let status = device_tree_text(&dir.join("status"));
        if !matches!(&*status, "" | "okay" | "ok") {
            return error
                .with_cause(format_args!(
                    "its node has status \"{status}\", so that the kernel made no device of it"
                ))
                .with_hint("apply an overlay with status = \"okay\"");
        }
        if compatible(&dir).is_empty() {
            return error
                .with_cause(
                    "its node is compatible with nothing, so that the kernel made no device of it",
                )
                .with_hint(
                    "name the node of a device, or apply the overlay that gives it a compatible",
                );
        }
        error
            .with_cause("the kernel made no platform device of its node, which is not on a bus of such devices")
            .with_hint("the node of a device is below the root, or below a node with \"simple-bus\"")
    }
}

/// What the node in this directory is compatible with, the most special first.
pub fn compatible(node: &Path) -> Vec<String> {
    let text = fs::read(node.join("compatible")).unwrap_or_default();
    let words = text.split(|&byte| byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// A property that is a string, without the zero at its end; empty if it is not there.
pub fn device_tree_text(property: &Path) -> String {
    text_or_empty(property)
}

/// The path of the node in what the link `of_node` says: `../../../firmware/devicetree/base/pl031@9010000`.
fn node_path(link: &Path) -> Option<String> {
    let target = fs::read_link(link).ok()?.into_os_string().into_string().ok()?;
    let (_, inside) = target.split_once(TREE)?;
    match inside {
        "" => Some("/".to_owned()),
        path => path.starts_with('/').then(|| path.to_owned()),
    }
}

fn uio_below(dir: &Path) -> Option<u32> {
    let names = entry_names(&dir.join("uio")).ok()?;
    names.iter().find_map(|name| name.strip_prefix("uio")?.parse().ok())
}

fn walk(dir: &Path, path: &str, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    // Properties are files, nodes are directories.
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        walk(&entry.path(), &path, found);
        found.push(path);
    }
}

/// `; most like it are A, B`.
fn named<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    match &nearest(wanted, names)[..] {
        [] => String::new(),
        near => format!("; most like it are {}", near.join(", ")),
    }
}

fn ambiguous(selector: &str, matching: &[&PlatformInfo]) -> Error {
    let names: Vec<String> = matching
        .iter()
        .map(|info| info.node.as_ref().map_or(info.name.clone(), |node| format!("of:{node}")))
        .collect();
    Error::new(Errno::EEXIST, "cannot choose a device for", selector)
        .with_cause(format_args!("several answer to it: {}", names.join(", ")))
        .with_hint(format_args!("name it by its node, such as {}", names[0]))
}

#[cfg(test)]
#[path = "platform_tests.rs"]
mod tests;
