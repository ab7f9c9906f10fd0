//! Disks: what is mounted, swapped to or built on them, through partitions, LVM, RAID and encryption.

use std::fs;

use super::super::{entry_names, text_or_empty};
use super::nodes::Node;
use super::{Machine, Use};

/// Layers of block devices upon each other, at most: a guard against sysfs that leads in circles.
const LAYERS: usize = 8;

/// A disk of the function or something built on one.
struct Layer {
    node: Node,
    /// The disk or partition of the function that it goes back to.
    base: String,
    /// What it is, if it is not that one itself: `vg-root (LVM)`.
    title: Option<String>,
}

impl Layer {
    /// `/dev/sda2 (through vg-root (LVM))`.
    fn named(&self) -> String {
        match &self.title {
            Some(title) => format!("{} (through {title})", self.base),
            None => self.base.clone(),
        }
    }
}

/// What the disks among `nodes` are in use for.
pub(super) fn uses(machine: &Machine, nodes: &[Node]) -> Vec<Use> {
    let disks = nodes.iter().filter(|node| node.subsystem == "block" && node.path.is_some());
    let mut layers = Vec::new();
    for disk in disks {
        let base = disk.path.clone().unwrap_or_default();
        stack(machine, Layer { node: disk.clone(), base, title: None }, LAYERS, &mut layers);
    }
    let mounts = mounts(machine);
    let swaps = swaps(machine);
    let mut uses: Vec<Use> = mounted(&layers, &mounts).collect();
    uses.sort_by_key(|mount| !matches!(mount, Use::Mounted { at, .. } if at == "/"));
    uses.extend(
        layers
            .iter()
            .filter(|layer| swaps.iter().any(|swap| Some(swap) == layer.node.path.as_ref()))
            .map(|layer| Use::Swap { disk: layer.named() }),
    );
    uses.extend(layers.iter().filter_map(|layer| {
        Some(Use::Stacked { disk: layer.base.clone(), by: layer.title.clone()? })
    }));
    uses.extend(layers.iter().filter_map(|layer| member(machine, layer)));
    uses
}

/// Adds a layer and all that is built on it.
fn stack(machine: &Machine, layer: Layer, room: usize, layers: &mut Vec<Layer>) {
    let class = machine.sysfs.root().join("class/block");
    let holders = entry_names(&layer.node.dir.join("holders")).unwrap_or_default();
    let base = layer.base.clone();
    layers.push(layer);
    if room == 0 {
        return;
    }
    for holder in holders {
        let Ok(dir) = fs::canonicalize(class.join(&holder)) else { continue };
        if let Some(node) = Node::at(&dir) {
            let title = Some(title(&node));
            stack(machine, Layer { node, base: base.clone(), title }, room - 1, layers);
        }
    }
}

/// What a stacked device is called by those who made it: `vg-root (LVM)`, `md0 (RAID)`.
fn title(node: &Node) -> String {
    let name = text_or_empty(&node.dir.join("dm/name"));
    let name = if name.is_empty() { node.name.clone() } else { name };
    let uuid = text_or_empty(&node.dir.join("dm/uuid"));
    let kind = match uuid.split_once('-').map(|(kind, _)| kind) {
        Some("LVM") => "LVM",
        Some("CRYPT") => "encrypted",
        Some("mpath") => "multipath",
        _ if node.dir.join("md").exists() => "RAID",
        _ => "device mapper",
    };
    format!("{name} ({kind})")
}

/// A mount: the number of its device, its source and its place.
struct Mount {
    dev: String,
    source: String,
    at: String,
}

/// What is mounted, for us and for the first process, as `man 5 proc` has it under mountinfo.
fn mounts(machine: &Machine) -> Vec<Mount> {
    let texts = ["1", "self"].map(|who| text_or_empty(&machine.proc.join(who).join("mountinfo")));
    texts.iter().flat_map(|text| text.lines()).filter_map(parse_mount).collect()
}

fn parse_mount(line: &str) -> Option<Mount> {
    let (place, file_system) = line.split_once(" - ")?;
    let mut fields = place.split(' ');
    let (dev, at) = (fields.nth(2)?.to_owned(), unescape(fields.nth(1)?));
    Some(Mount { dev, at, source: unescape(file_system.split(' ').nth(1)?) })
}

/// Blanks in names are `\040`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Btrfs and the like have numbers of their own, so the source counts as well.
fn mounted(layers: &[Layer], mounts: &[Mount]) -> impl Iterator<Item = Use> {
    let mut found: Vec<Use> = Vec::new();
    for layer in layers {
        let is_here = |mount: &&Mount| {
            layer.node.dev.as_ref() == Some(&mount.dev)
                || layer.node.path.as_ref() == Some(&mount.source)
        };
        for mount in mounts.iter().filter(is_here) {
            let mount = Use::Mounted { disk: layer.named(), at: mount.at.clone() };
            if !found.contains(&mount) {
                found.push(mount);
            }
        }
    }
    found.into_iter()
}

/// The nodes that memory is swapped to.
fn swaps(machine: &Machine) -> Vec<String> {
    let text = text_or_empty(&machine.proc.join("swaps"));
    text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(unescape).collect()
}

/// A part of something that is not put together now, which udev has found on the disk.
fn member(machine: &Machine, layer: &Layer) -> Option<Use> {
    let held = entry_names(&layer.node.dir.join("holders")).is_ok_and(|names| !names.is_empty());
    if held {
        return None;
    }
    let entry = machine.udev.join(format!("b{}", layer.node.dev.as_ref()?));
    let text = text_or_empty(&entry);
    let kind = text.lines().find_map(|line| line.strip_prefix("E:ID_FS_TYPE="))?;
    let of = match kind {
        "LVM2_member" => "an LVM volume group that is not active",
        "linux_raid_member" => "a RAID that is not running",
        _ => return None,
    };
    Some(Use::Member { disk: layer.named(), of })
}
