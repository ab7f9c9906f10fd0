//! [`DeviceSpec`]: how a user names a device.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::of::Selector;
use crate::pci::Address;

/// A device as it is written on a command line: `BACKEND:WHICH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DeviceSpec {
    /// `sim:MODEL`: a simulated device.
    Sim(String),
    /// `uio:uio0`, `uio:NAME` or `uio:SYSFS-PATH`: a UIO device.
    Uio(String),
    /// `pci:0000:00:03.0`: a PCI function, by the kernel driver that is bound to it.
    Pci(Address),
    /// `of:/pl031@9010000` or `of:arm,pl031`: the UIO device of a node of the device tree.
    Of(Selector),
}

impl FromStr for DeviceSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |cause: &str| {
            Err(Error::invalid("cannot use device", format_args!("`{text}`"), cause).with_hint(
                "write it as sim:uio_dummy, uio:uio0, uio:NAME, pci:0000:00:03.0 or of:/NODE",
            ))
        };
        match text.split_once(':') {
            Some(("sim" | "uio", "")) => refuse("it does not say which device"),
            Some(("sim", model)) => Ok(Self::Sim(model.to_owned())),
            Some(("uio", selector)) => Ok(Self::Uio(selector.to_owned())),
            Some(("pci", address)) => address.parse().map(Self::Pci),
            Some(("of", selector)) => selector.parse().map(Self::Of),
            Some(_) => refuse("there is no such kind of device"),
            None => refuse("it does not say what kind of device it is"),
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sim(model) => write!(f, "sim:{model}"),
            Self::Uio(selector) => write!(f, "uio:{selector}"),
            Self::Pci(address) => write!(f, "pci:{address}"),
            Self::Of(selector) => write!(f, "of:{selector}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_by_backend_and_which() {
        let spec: DeviceSpec = "uio:uio_dummy".parse().unwrap();
        assert_eq!(spec, DeviceSpec::Uio("uio_dummy".to_owned()));
        assert_eq!(spec.to_string(), "uio:uio_dummy");
        let path: DeviceSpec = "uio:/sys/class/uio/uio0".parse().unwrap();
        assert_eq!(path, DeviceSpec::Uio("/sys/class/uio/uio0".to_owned()));
    }

    #[test]
    fn a_pci_device_is_named_by_its_address() {
        let spec: DeviceSpec = "pci:00:03.0".parse().unwrap();
        assert_eq!(spec.to_string(), "pci:0000:00:03.0");
    }

    #[test]
    fn a_device_of_the_tree_is_named_by_its_node_or_by_what_it_is() {
        let spec: DeviceSpec = "of:/pl031@9010000".parse().unwrap();
        assert_eq!(spec, DeviceSpec::Of(Selector::Path("/pl031@9010000".to_owned())));
        assert_eq!(spec.to_string(), "of:/pl031@9010000");
        let spec: DeviceSpec = "of:arm,pl031".parse().unwrap();
        assert_eq!(spec, DeviceSpec::Of(Selector::Compatible("arm,pl031".to_owned())));
    }

    #[test]
    fn a_name_that_is_none_is_explained() {
        for (text, cause) in [
            ("uio0", "what kind"),
            ("usb:1", "no such kind"),
            ("uio:", "which device"),
            ("of:/soc/../uart", "no path"),
            ("of:", "which device"),
            ("pci:0000:00:03", "PCI address"),
        ] {
            let error = text.parse::<DeviceSpec>().unwrap_err().to_string();
            let which = text.trim_start_matches("pci:");
            assert!(error.contains(which) && error.contains(cause), "{error}");
        }
    }
}
