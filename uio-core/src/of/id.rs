//! [`DeviceId`]: what a driver says that it drives.

use super::Node;

/// An entry of a driver's table: a `compatible` of the nodes that it drives. The kernel's `struct of_device_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceId(&'static str);

impl DeviceId {
    /// Nodes that are compatible with `compatible`, such as `arm,pl031`.
    #[must_use]
    pub const fn new(compatible: &'static str) -> Self {
        Self(compatible)
    }

    /// Whether the entry is of this node.
    #[must_use]
    pub fn matches(&self, node: &Node) -> bool {
        node.is_compatible(self.0)
    }
}
