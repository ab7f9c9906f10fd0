//! [`Place`]: where a user points to, and [`Spot`]: where that is.

use uio_core::{Errno, Error};

use super::{Map, RegisterInfo};
use crate::size::parse_number;

/// A register by name, or an offset in a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A register that the driver publishes; in any case.
    Named(String),
    /// `REGION:OFFSET`, the region by number or by name.
    At {
        /// The region.
        region: String,
        /// The offset in bytes.
        offset: u64,
    },
}

/// One word of a region.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    pub(crate) region: usize,
    /// In bytes.
    pub(crate) offset: u64,
    /// In bytes.
    pub(crate) width: u64,
    /// The register, if one was named.
    pub(crate) register: Option<RegisterInfo>,
}

impl Spot {
    /// Where a register is.
    pub(crate) fn of(register: &RegisterInfo) -> Self {
        let RegisterInfo { region, offset, width, .. } = *register;
        Self { region, offset, width, register: Some(register.clone()) }
    }
}

/// The width of an access, where neither the user nor the driver says it.
const WIDTH: u64 = 4;

impl Place {
    /// Takes what stands on the command line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some((region, offset)) = text.rsplit_once(':') else {
            return match text {
                "" => {
                    Err("cannot use an empty place: name a register, or write REGION:OFFSET"
                        .to_owned())
                }
                name => Ok(Self::Named(name.to_owned())),
            };
        };
        let offset = parse_number(offset).ok_or_else(|| {
            format!("cannot use place {text}: `{offset}` is no offset, such as 0x10")
        })?;
        Ok(Self::At { region: region.to_owned(), offset })
    }

    /// Finds the place on the device. `width` is in bytes.
    ///
    /// # Errors
    ///
    /// `ENOENT` with the names that there are.
    pub(crate) fn find(&self, map: &Map, width: Option<u64>) -> Result<Spot, Error> {
        match self {
            Self::Named(name) => {
                let register = find_register(map, name)?;
                let spot = Spot::of(register);
                Ok(Spot { width: width.unwrap_or(spot.width), ..spot })
            }
            Self::At { region, offset } => {
                let region = find_region(map, region)?;
                Ok(Spot { region, offset: *offset, width: width.unwrap_or(WIDTH), register: None })
            }
        }
    }
}

/// The number of the region that a user calls `wanted`.
///
/// # Errors
///
/// `ENOENT` with the regions that there are.
pub(crate) fn find_region(map: &Map, wanted: &str) -> Result<usize, Error> {
    let number = wanted.strip_prefix("bar").unwrap_or(wanted).parse().ok();
    let found = map.regions.iter().find(|region| {
        number == Some(region.index) || (!region.name.is_empty() && region.name == wanted)
    });
    found.map(|region| region.index).ok_or_else(|| {
        let names = map.regions.iter().map(|region| match &*region.name {
            "" => region.index.to_string(),
            name => format!("{} ({name})", region.index),
        });
        missing("region", wanted, map, &names.collect::<Vec<_>>())
    })
}

fn find_register<'a>(map: &'a Map, wanted: &str) -> Result<&'a RegisterInfo, Error> {
    let found = map.registers.iter().find(|register| register.name.eq_ignore_ascii_case(wanted));
    found.ok_or_else(|| {
        if map.registers.is_empty() {
            return Error::new(Errno::ENOENT, "cannot find register", wanted)
                .with_cause(format!("{} publishes no names", map.device))
                .with_hint("write REGION:OFFSET, such as 0:0x10");
        }
        let names: Vec<_> = map.registers.iter().map(|one| one.name.clone()).collect();
        missing("register", wanted, map, &names)
    })
}

fn missing(what: &str, wanted: &str, map: &Map, names: &[String]) -> Error {
    let there_are = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Error::new(Errno::ENOENT, format!("cannot find {what}"), wanted)
        .with_cause(format!("{} has no such {what}; there are: {there_are}", map.device))
}

#[cfg(test)]
mod tests {
    use super::super::RegionInfo;
    use super::*;

    fn map() -> Map {
        let region = |index, name: &str| RegionInfo { index, name: name.to_owned(), size: 64 };
        let register = RegisterInfo {
            region: 2,
            name: "Ctrl".to_owned(),
            offset: 0x40,
            width: 2,
            access: "rw".to_owned(),
            fields: Vec::new(),
        };
        Map {
            device: "uio0 (x)".to_owned(),
            regions: vec![region(0, "regs"), region(2, "")],
            registers: vec![register],
        }
    }

    #[test]
    fn a_register_has_its_own_width_unless_told() {
        let spot = Place::parse("CTRL").unwrap().find(&map(), None).unwrap();
        assert_eq!((spot.region, spot.offset, spot.width), (2, 0x40, 2));
        assert_eq!(Place::parse("ctrl").unwrap().find(&map(), Some(1)).unwrap().width, 1);
    }

    #[test]
    fn a_place_is_a_region_by_number_or_name_and_an_offset() {
        for (text, region, offset) in [("0:0x10", 0, 16), ("regs:8", 0, 8), ("bar2:0", 2, 0)] {
            let spot = Place::parse(text).unwrap().find(&map(), None).unwrap();
            assert_eq!((spot.region, spot.offset, spot.width), (region, offset, 4), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let error = |text| Place::parse(text).unwrap().find(&map(), None).unwrap_err().to_string();
        assert!(error("1:0").contains("0 (regs), 2"), "{}", error("1:0"));
        assert!(error("status").contains("Ctrl"));
        assert!(
            Place::parse("0:").is_err()
                && Place::parse("0:-1").is_err()
                && Place::parse("").is_err()
        );
    }
}
