//! `of:NODE`: the device is the UIO device that the kernel made of the node.

use nix::errno::Errno;

use super::uio::UioBackend;
use crate::error::{Error, Result};
use crate::of::{Node, Selector, Tree};
use crate::sys::sysfs::{Sysfs, UioInfo};

/// Finds the node, then its UIO device, and opens it.
pub(super) fn open(selector: &Selector) -> Result<UioBackend> {
    let tree = Tree::new();
    let node = tree.find(selector)?;
    UioBackend::open_found(uio_of(&node, &tree, &Sysfs::new())?)
}

/// The UIO device of a node.
fn uio_of(node: &Node, tree: &Tree, sysfs: &Sysfs) -> Result<UioInfo> {
    let is_of_node = |info: &UioInfo| {
        let link = info.device.as_ref().map(|dir| dir.join("of_node"));
        link.and_then(|link| tree.path_of_link(&link)).as_deref() == Some(node.path())
    };
    let found = sysfs.uio_devices()?.into_iter().find(is_of_node);
    found.ok_or_else(|| refuse(node))
}

fn refuse(node: &Node) -> Error {
    let path = node.path();
    let error = Error::new(Errno::ENODEV, "cannot open", format_args!("of:{path}"));
    if !node.is_available() {
        return error.with_cause("its status in the device tree is disabled").with_hint(
            "apply an overlay that sets status = \"okay\", or run a node that is enabled",
        );
    }
    error.with_cause("no UIO device belongs to the node").with_hint(format!(
        "uioctl doctor of:{path} says why; uioctl bind of:{path} mends it mostly"
    ))
}
