//! [`Node`]: one node and its properties.

use std::collections::BTreeMap;

use super::cells::strings;
use super::property::{Property, PropertyGuard};

/// Where registers or memory of a device are, as the CPU sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reg {
    /// Its entry in `reg-names`.
    pub name: Option<String>,
    /// Physical address.
    pub address: u64,
    /// Size in bytes.
    pub size: u64,
}

/// An interrupt of a device, as its controller numbers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupt {
    /// Its entry in `interrupt-names`.
    pub name: Option<String>,
    /// The controller's path.
    pub controller: String,
    /// What tells the controller which input it is.
    pub specifier: Vec<u32>,
}

/// A snapshot of one node of the device tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "device_node")]
pub struct Node {
    path: String,
    properties: BTreeMap<String, Vec<u8>>,
    pub(super) reg: Vec<Reg>,
    pub(super) interrupts: Vec<Interrupt>,
}

impl Node {
    /// A node without properties, for a model. Those of the machine come from a [`Tree`](super::Tree).
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            properties: BTreeMap::new(),
            reg: Vec::new(),
            interrupts: Vec::new(),
        }
    }

    /// With a property of these bytes; one of that name is replaced.
    #[must_use]
    pub fn with_property(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.properties.insert(name.to_owned(), value.into());
        self
    }

    /// With a property of these cells.
    #[must_use]
    pub fn with_u32s(self, name: &str, cells: &[u32]) -> Self {
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.with_property(name, bytes)
    }

    /// With a property of these texts.
    #[must_use]
    pub fn with_strings(self, name: &str, texts: &[&str]) -> Self {
        let bytes: Vec<u8> =
            texts.iter().flat_map(|text| [text.as_bytes(), &[0]].concat()).collect();
        self.with_property(name, bytes)
    }

    /// Compatible with these, the most exact first.
    #[must_use]
    pub fn with_compatible(self, compatible: &[&str]) -> Self {
        self.with_strings("compatible", compatible)
    }

    /// With this register block or memory, behind those that it has.
    #[must_use]
    pub fn with_reg(mut self, name: Option<&str>, address: u64, size: u64) -> Self {
        self.reg.push(Reg { name: name.map(str::to_owned), address, size });
        self
    }

    /// The path from the root: `/soc/serial@9000000`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last part of the path: `serial@9000000`. The root has the empty name.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// What the device is, the most exact first.
    pub fn compatible(&self) -> Vec<&str> {
        self.property("compatible").and_then(strings).unwrap_or_default()
    }

    /// Whether the device is compatible with `name`; upper and lower case count as the same, as in the kernel.
    #[doc(alias = "of_device_is_compatible")]
    pub fn is_compatible(&self, name: &str) -> bool {
        self.compatible().iter().any(|entry| entry.eq_ignore_ascii_case(name))
    }

    /// Whether the kernel makes a device of the node: its `status` is missing, `okay` or `ok`.
    #[doc(alias = "of_device_is_available")]
    pub fn is_available(&self) -> bool {
        match self.property_read::<String>("status").optional() {
            Some(status) => status == "okay" || status == "ok",
            None => !self.property_present("status"),
        }
    }

    /// Whether the node has the property, whatever its value.
    pub fn property_present(&self, name: &str) -> bool {
        self.properties.contains_key(name)
    }

    /// The bytes of a property.
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        self.properties.get(name).map(Vec::as_slice)
    }

    /// The names of the properties, in order.
    pub fn property_names(&self) -> impl Iterator<Item = &str> {
        self.properties.keys().map(String::as_str)
    }

    /// Reads a property. The guard that is returned says what happens without it.
    ///
    /// ```
    /// # use uio_core::of::Node;
    /// # fn main() -> uio_core::Result<()> {
    /// let node = Node::new("/uart@1000").with_u32s("clock-frequency", &[24_000_000]);
    /// let clock: u32 = node.property_read("clock-frequency").required()?;
    /// let fifo: u32 = node.property_read("fifo-size").or(16);
    /// assert_eq!((clock, fifo), (24_000_000, 16));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "of_property_read_u32")]
    pub fn property_read<T: Property>(&self, name: &str) -> PropertyGuard<T> {
        let value = match T::absent() {
            absent @ Some(_) if !self.property_present(name) => Ok(absent),
            _ => self
                .property(name)
                .map(T::parse)
                .map_or(Ok(None), |value| value.ok_or(()).map(Some)),
        };
        PropertyGuard::new(&self.path, name, value)
    }

    /// Where its registers and memory are. Empty too if they are behind a bus that the CPU does not address.
    #[doc(alias = "of_address_to_resource")]
    pub fn reg(&self) -> &[Reg] {
        &self.reg
    }

    /// Its interrupts.
    #[doc(alias = "of_irq_get")]
    pub fn interrupts(&self) -> &[Interrupt] {
        &self.interrupts
    }
}
