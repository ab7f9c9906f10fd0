//! [`Id`]: what a function says that it is; [`DeviceId`]: what a driver says that it drives.

use std::fmt;

/// The identity of a function, from its configuration header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id {
    /// Vendor ID.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
    /// Subsystem vendor ID.
    pub subvendor: u16,
    /// Subsystem ID.
    pub subdevice: u16,
    /// Base class, subclass and programming interface: `0x07_00_02`.
    pub class: u32,
    /// Revision ID.
    pub revision: u8,
}

impl fmt::Display for Id {
    /// `1234:11e8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

/// An entry of a driver's table: the functions that it drives. The kernel's `struct pci_device_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceId {
    vendor: Option<u16>,
    device: Option<u16>,
    class: u32,
    class_mask: u32,
}

impl DeviceId {
    /// Functions with this vendor and device. The kernel's `PCI_DEVICE`.
    #[must_use]
    pub const fn from_id(vendor: u16, device: u16) -> Self {
        Self { vendor: Some(vendor), device: Some(device), class: 0, class_mask: 0 }
    }

    /// Functions whose class, under `mask`, is `class`; both have 24 bits. The kernel's `PCI_DEVICE_CLASS`.
    #[must_use]
    pub const fn from_class(class: u32, mask: u32) -> Self {
        Self { vendor: None, device: None, class, class_mask: mask }
    }

    /// Whether the entry is of this function.
    #[must_use]
    pub fn matches(&self, id: &Id) -> bool {
        self.vendor.is_none_or(|vendor| vendor == id.vendor)
            && self.device.is_none_or(|device| device == id.device)
            && (id.class ^ self.class) & self.class_mask == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDU: Id = Id {
        vendor: 0x1234,
        device: 0x11E8,
        subvendor: 0,
        subdevice: 0,
        class: 0x00FF_0000,
        revision: 0x10,
    };

    #[test]
    fn an_entry_matches_by_id_or_by_class() {
        assert!(DeviceId::from_id(0x1234, 0x11E8).matches(&EDU));
        assert!(!DeviceId::from_id(0x1234, 0x11E9).matches(&EDU));
        assert!(DeviceId::from_class(0x00FF_0000, 0x00FF_0000).matches(&EDU));
        assert!(!DeviceId::from_class(0x0007_0000, 0x00FF_0000).matches(&EDU));
        assert_eq!(EDU.to_string(), "1234:11e8");
    }
}
