//! The device tree that the kernel was booted with, as files: `Documentation/ABI/testing/sysfs-firmware-ofw`.
//!
//! A node is a directory, a property a file in it. What is read is text and numbers; a node that vanishes meanwhile,
//! by an overlay that is taken back, reads as none.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the kernel shows the tree. `/proc/device-tree` is a link to it.
const ROOT: &str = "/sys/firmware/devicetree/base";

/// A device tree in files: the machine's own, or a copy of one for tests.
#[derive(Debug, Clone)]
pub(crate) struct OfFiles {
    root: PathBuf,
}

impl OfFiles {
    pub(crate) fn new() -> Self {
        Self::at(ROOT)
    }

    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// The directory of a node. A path that leaves the tree has none.
    fn dir(&self, path: &str) -> Option<PathBuf> {
        let inner = Path::new(path.trim_start_matches('/'));
        let plain = inner.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        plain.then(|| self.root.join(inner))
    }

    /// The path of the node that `dir`, some link of the kernel's, leads to.
    pub(crate) fn path_of(&self, dir: &Path) -> Option<String> {
        let (dir, root) = (fs::canonicalize(dir).ok()?, fs::canonicalize(&self.root).ok()?);
        let inner = dir.strip_prefix(root).ok()?;
        Some(format!("/{}", inner.to_str()?))
    }

    /// The properties of a node.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such node; what the kernel says.
    pub(crate) fn properties(&self, path: &str) -> io::Result<BTreeMap<String, Vec<u8>>> {
        let dir = self.dir(path).ok_or(io::ErrorKind::NotFound)?;
        let mut properties = BTreeMap::new();
        for entry in fs::read_dir(&dir)?.flatten() {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !is_file {
                continue;
            }
            // Some are for root alone, such as keys; a driver has no business with them.
            if let Ok(bytes) = fs::read(entry.path()) {
                properties.insert(name, bytes);
            }
        }
        Ok(properties)
    }

    /// One property, if it is there.
    pub(crate) fn property(&self, path: &str, name: &str) -> Option<Vec<u8>> {
        fs::read(self.dir(path)?.join(name)).ok()
    }

    /// The paths of all nodes, the root first, in order.
    pub(crate) fn walk(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = vec![String::new()];
        while let Some(path) = waiting.pop() {
            let mut children = self.children(&path);
            children.sort_unstable_by(|a, b| b.cmp(a));
            waiting.extend(children);
            found.push(if path.is_empty() { "/".to_owned() } else { path });
        }
        found
    }

    /// The paths of the nodes below one.
    fn children(&self, path: &str) -> Vec<String> {
        let Some(entries) = self.dir(path).and_then(|dir| fs::read_dir(dir).ok()) else {
            return Vec::new();
        };
        let nodes =
            entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let names = nodes.filter_map(|entry| entry.file_name().into_string().ok());
        names.map(|name| format!("{path}/{name}")).collect()
    }
}
