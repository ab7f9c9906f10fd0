//! [`Tree`]: the nodes of a machine.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::cells::cells;
use super::node::Node;
use super::selector::Selector;
use super::wiring;
use crate::error::{Errno, Error, Result};
use crate::sys::of::OfFiles;

/// How many nodes a message names.
const NAMED: usize = 8;

/// The device tree of this machine, or a copy of one in files. Looking at it changes nothing.
#[derive(Debug)]
pub struct Tree {
    files: OfFiles,
    /// Path and number of each node that has a `phandle`, read when first asked for.
    phandles: OnceLock<Vec<(u32, String)>>,
}

impl Tree {
    /// The machine's own, at `/sys/firmware/devicetree/base`, which `/proc/device-tree` leads to.
    #[must_use]
    pub fn new() -> Self {
        Self { files: OfFiles::new(), phandles: OnceLock::new() }
    }

    /// A tree at another place, in the same form: a directory a node, a file a property.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { files: OfFiles::at(root), phandles: OnceLock::new() }
    }

    /// Whether this machine has a device tree. Most with ACPI have none.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.files.exists()
    }

    /// The node at `path`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is none, with those that might be meant; what the kernel says.
    #[doc(alias = "of_find_node_by_path")]
    pub fn node(&self, path: &str) -> Result<Node> {
        self.read(path).ok_or_else(|| self.no_node(path))
    }

    /// The node that a link of the kernel's leads to, such as `of_node` of a device in sysfs.
    #[must_use]
    pub fn node_of_link(&self, link: &Path) -> Option<Node> {
        self.read(&self.path_of_link(link)?)
    }

    /// The path of the node that a link of the kernel's leads to.
    #[must_use]
    pub fn path_of_link(&self, link: &Path) -> Option<String> {
        self.files.path_of(link)
    }

    /// The paths of all nodes, the root first, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.files.walk()
    }

    /// The nodes that are compatible with `compatible`.
    #[must_use]
    #[doc(alias = "for_each_compatible_node")]
    pub fn compatible(&self, compatible: &str) -> Vec<Node> {
        let nodes = self.paths().into_iter().filter_map(|path| self.read(&path));
        nodes.filter(|node| node.is_compatible(compatible)).collect()
    }

    /// The one node that `selector` means.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is no device tree, or no such node; `EEXIST` if several are compatible. The text names what
    /// there is.
    pub fn find(&self, selector: &Selector) -> Result<Node> {
        if !self.exists() {
            return Err(Error::new(Errno::ENODEV, "cannot find", format_args!("of:{selector}"))
                .with_cause("this machine has no device tree")
                .with_hint("name the device by its UIO name, uio:NAME, or its PCI address"));
        }
        match selector {
            Selector::Path(path) => self.node(path),
            Selector::Compatible(compatible) => self.only(compatible),
        }
    }

    fn only(&self, compatible: &str) -> Result<Node> {
        let mut nodes = self.compatible(compatible);
        let error = |errno| Error::new(errno, "cannot find", format_args!("of:{compatible}"));
        // A disabled one is no device, so that it is only meant if there is no other.
        if nodes.len() > 1 {
            nodes.retain(Node::is_available);
        }
        match nodes.len() {
            1 => Ok(nodes.remove(0)),
            0 => Err(error(Errno::ENODEV)
                .with_cause("no node of the device tree is compatible with that")
                .with_hint(
                    "was the overlay applied that describes it? uioctl ls shows the nodes that there are",
                )),
            count => {
                let paths: Vec<String> =
                    nodes.iter().take(NAMED).map(|node| format!("of:{}", node.path())).collect();
                Err(error(Errno::EEXIST)
                    .with_cause(format!("{count} nodes are compatible with that"))
                    .with_hint(format!("name one: {}", paths.join(", "))))
            }
        }
    }

    fn no_node(&self, path: &str) -> Error {
        let error = Error::new(Errno::ENODEV, "cannot find", format_args!("of:{path}"));
        let near = self.near(path);
        let cause = "the device tree that the kernel was booted with has no such node";
        match &near[..] {
            [] => error.with_cause(cause).with_hint("was the overlay applied that describes it?"),
            near => error.with_cause(cause).with_hint(format!("there is: {}", near.join(", "))),
        }
    }

    /// Nodes whose name starts alike, or which have the same unit address.
    fn near(&self, path: &str) -> Vec<String> {
        let split = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let (base, unit) = name.split_once('@').unwrap_or((name, ""));
            (base.to_owned(), unit.to_owned())
        };
        let (base, unit) = split(path);
        let alike = |other: &String| {
            let (other_base, other_unit) = split(other);
            (!base.is_empty() && other_base == base) || (!unit.is_empty() && other_unit == unit)
        };
        self.paths().into_iter().filter(alike).take(NAMED).collect()
    }

    /// A node with what its place in the tree makes of `reg` and `interrupts`.
    fn read(&self, path: &str) -> Option<Node> {
        let properties = self.files.properties(path).ok()?;
        let path = if path.is_empty() { "/" } else { path };
        let mut node = Node::new(path);
        for (name, value) in properties {
            node = node.with_property(&name, value);
        }
        node.reg = wiring::reg(self, &node);
        node.interrupts = wiring::interrupts(self, &node);
        Some(node)
    }

    /// A property as cells.
    pub(super) fn cells(&self, path: &str, name: &str) -> Option<Vec<u32>> {
        cells(&self.files.property(path, name)?)
    }

    /// The path of the node with this `phandle`.
    pub(super) fn by_phandle(&self, phandle: u32) -> Option<&str> {
        let all = self.phandles.get_or_init(|| {
            let paths = self.paths().into_iter();
            paths.filter_map(|path| Some((*self.cells(&path, "phandle")?.first()?, path))).collect()
        });
        all.iter().find(|(number, _)| *number == phandle).map(|(_, path)| path.as_str())
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}
