//! The devices that the kernel made below another: [`below`] walks its directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Bus, entry_names, link_name, text_or_empty};

/// Deeper than any device stands below its function: a disk is about 8 levels down.
const DEPTH: usize = 16;

/// A device with a subsystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// The name of its directory: `sda1`, `eth0`.
    pub(super) name: String,
    /// `block`, `net`, `tty`, ...
    pub(super) subsystem: String,
    /// Its directory in sysfs.
    pub(super) dir: PathBuf,
    /// Its file below `/dev`, if it has a number.
    pub(super) path: Option<String>,
    /// That number: `8:1`.
    pub(super) dev: Option<String>,
}

impl Node {
    /// The device that a directory of sysfs describes.
    pub(super) fn at(dir: &Path) -> Option<Self> {
        let subsystem = link_name(&dir.join("subsystem"))?;
        let name = dir.file_name()?.to_str()?.to_owned();
        let dev = Some(text_or_empty(&dir.join("dev"))).filter(|dev| !dev.is_empty());
        let path = dev.is_some().then(|| format!("/dev/{}", dev_name(dir, &name)));
        Some(Self { name, subsystem, dir: dir.to_owned(), path, dev })
    }
}

/// The name that the kernel gives the node, which may have directories: `input/event3`.
fn dev_name(dir: &Path, name: &str) -> String {
    let uevent = text_or_empty(&dir.join("uevent"));
    let given = uevent.lines().find_map(|line| line.strip_prefix("DEVNAME="));
    given.unwrap_or(name).to_owned()
}

/// All devices below the one at `dir`, and the disks of NVMe subsystems that it leads to. A PCI function that is below
/// another has uses of its own; below a device that is no function, a host bridge say, all go with it.
pub(super) fn below(dir: &Path, bus: Bus) -> Vec<Node> {
    let mut found = Vec::new();
    // The name in bus/pci/devices is a link to the real directory.
    if let Ok(real) = fs::canonicalize(dir) {
        walk(&real, bus, DEPTH, &mut found);
        let controllers: Vec<String> = found
            .iter()
            .filter(|node| node.subsystem == "nvme")
            .map(|node| node.name.clone())
            .collect();
        for heads in shared_namespaces(dir, &controllers) {
            walk(&heads, bus, DEPTH, &mut found);
        }
    }
    found
}

fn walk(dir: &Path, bus: Bus, depth: usize, found: &mut Vec<Node>) {
    for name in entry_names(dir).unwrap_or_default() {
        let child = dir.join(&name);
        let is_dir = fs::symlink_metadata(&child).is_ok_and(|meta| meta.is_dir());
        let is_other =
            || bus == Bus::Pci && link_name(&child.join("subsystem")).as_deref() == Some("pci");
        if !is_dir || depth == 0 || is_other() {
            continue;
        }
        let known = |node: &Node| found.iter().any(|other| other.dir == node.dir);
        if let Some(node) = Node::at(&child).filter(|node| !known(node)) {
            found.push(node);
        }
        walk(&child, bus, depth - 1, found);
    }
}

/// With NVMe multipath the disk stands below a subsystem of its own, which has links to the controllers.
fn shared_namespaces(function: &Path, controllers: &[String]) -> Vec<PathBuf> {
    // bus/pci/devices/BDF: the root is four levels up.
    let Some(root) = function.ancestors().nth(4) else { return Vec::new() };
    let class = root.join("class/nvme-subsystem");
    let names = entry_names(&class).unwrap_or_default();
    let leads_here =
        |dir: &PathBuf| controllers.iter().any(|controller| dir.join(controller).exists());
    let dirs = names.into_iter().map(|name| class.join(name)).filter(leads_here);
    dirs.filter_map(|dir| fs::canonicalize(dir).ok()).collect()
}
