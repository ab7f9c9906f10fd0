//! [`Address`]: where a function is.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Domain, bus, device and function of a PCI function: `0000:00:03.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The domain (the segment of ACPI); 0 on most machines.
    pub domain: u32,
    /// The bus.
    pub bus: u8,
    /// The device on the bus, 0 to 31.
    pub device: u8,
    /// The function of the device, 0 to 7.
    pub function: u8,
}

impl FromStr for Address {
    type Err = Error;

    /// Takes `0000:00:03.0`, and `00:03.0` in domain 0.
    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| {
            Error::invalid(
                "cannot use PCI address",
                format_args!("`{text}`"),
                "it is not DOMAIN:BUS:DEVICE.FUNCTION in hexadecimal digits",
            )
            .with_hint("write it as 0000:00:03.0 or 00:03.0; `uioctl ls` shows those there are")
        })
    }
}

fn parse(text: &str) -> Option<Address> {
    let (place, function) = text.rsplit_once('.')?;
    let (place, device) = place.rsplit_once(':')?;
    let (domain, bus) = place.rsplit_once(':').unwrap_or(("0", place));
    let address = Address {
        domain: hex(domain, 8)?,
        bus: u8::try_from(hex(bus, 2)?).ok()?,
        device: u8::try_from(hex(device, 2)?).ok()?,
        function: u8::try_from(hex(function, 1)?).ok()?,
    };
    (address.device < 32 && address.function < 8).then_some(address)
}

/// At most `digits` hexadecimal digits and nothing else: no sign, no space.
fn hex(text: &str, digits: usize) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (plain && (1..=digits).contains(&text.len())).then(|| u32::from_str_radix(text, 16).ok())?
}

impl fmt::Display for Address {
    /// As sysfs names its directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_sysfs_writes_it() {
        let address: Address = "00:1F.2".parse().unwrap();
        assert_eq!(address, Address { domain: 0, bus: 0, device: 31, function: 2 });
        assert_eq!(address.to_string(), "0000:00:1f.2");
        assert_eq!("10000:e1:00.0".parse::<Address>().unwrap().to_string(), "10000:e1:00.0");
    }

    #[test]
    fn what_is_no_address_is_explained() {
        for text in
            ["", "00:03", "0:0:0:3.0", "00:20.0", "00:03.8", "+0:03.0", "00:03.0 ", "100:0.0"]
        {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("0000:00:03.0"), "{error}");
        }
    }
}
