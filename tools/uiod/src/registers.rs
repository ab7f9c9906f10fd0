//! Peek, poke and dump for those who ask over the control socket: the daemon has the device, and nobody else may
//! open it meanwhile.
//!
//! Every access is one of the width that was asked for. A poke reads nothing, and is logged.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uio_core::device::{Device, DeviceSpec};
use uio_core::io::{IoRegion, RegisterInfo, RegisterMap, Width, peek, poke};
use uio_core::of;
use uio_core::pci::Address;

use crate::daemon::{Daemon, Unit};

/// How many values one request may read: the answer stays small, and the control plane goes on.
const MAX_COUNT: u64 = 4096;

/// Registers by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registers {
    device: String,
}

/// A read of `count` words in a row.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peek {
    device: String,
    region: usize,
    offset: u64,
    width: u64,
    #[serde(default = "one")]
    count: u64,
}

/// A write of one word.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Poke {
    device: String,
    region: usize,
    offset: u64,
    width: u64,
    value: u64,
}

fn one() -> u64 {
    1
}

/// The answer, or what is wrong.
type Answer = Result<Value, Value>;

#[derive(Debug, Serialize)]
struct RegionAnswer<'a> {
    index: usize,
    name: &'a str,
    size: u64,
}

#[derive(Debug, Serialize)]
struct RegisterAnswer {
    region: usize,
    name: &'static str,
    offset: usize,
    width: usize,
    access: &'static str,
    fields: Vec<FieldAnswer>,
}

#[derive(Debug, Serialize)]
struct FieldAnswer {
    name: &'static str,
    high: u32,
    low: u32,
}

impl Registers {
    pub(crate) fn answer(&self, daemon: &Daemon) -> Answer {
        let unit = find(daemon, &self.device)?;
        let regions: Vec<_> = unit
            .device
            .regions()
            .iter()
            .map(|region| RegionAnswer {
                index: region.index,
                name: &region.name,
                size: region.size,
            })
            .collect();
        let registers: Vec<_> = unit.driver.registers().iter().flat_map(of_region).collect();
        Ok(json!({
            "device": unit.device.name(),
            "driver": unit.driver.name(),
            "regions": regions,
            "registers": registers,
        }))
    }
}

fn of_region(map: &RegisterMap) -> Vec<RegisterAnswer> {
    let one = |info: &RegisterInfo| RegisterAnswer {
        region: map.region,
        name: info.name,
        offset: info.offset,
        width: info.width,
        access: info.access.as_str(),
        fields: info
            .fields
            .iter()
            .map(|field| FieldAnswer { name: field.name, high: field.high, low: field.low })
            .collect(),
    };
    map.registers.iter().map(one).collect()
}

impl Peek {
    pub(crate) fn answer(&self, daemon: &Daemon) -> Answer {
        let unit = find(daemon, &self.device)?;
        if self.count > MAX_COUNT {
            return Err(refused(&format!("at most {MAX_COUNT} words are read at a time")));
        }
        let place = Place { unit, region: self.region, offset: self.offset };
        let values =
            place.read(self.width, self.count).map_err(|why| place.refuse("read", &why))?;
        Ok(json!({ "values": values }))
    }
}

impl Poke {
    pub(crate) fn answer(&self, daemon: &Daemon) -> Answer {
        let unit = find(daemon, &self.device)?;
        let place = Place { unit, region: self.region, offset: self.offset };
        place.write(self.width, self.value).map_err(|why| place.refuse("write", &why))?;
        // Somebody changes the device under its driver: whoever reads the log must find it.
        tracing::warn!("poke: wrote {:#x}, {} bytes wide, to {place}", self.value, self.width);
        Ok(json!({ "done": true }))
    }
}

/// A place in a region of a device.
struct Place<'a> {
    unit: &'a Unit,
    region: usize,
    offset: u64,
}

impl Place<'_> {
    fn read(&self, width: u64, count: u64) -> Result<Vec<u64>, String> {
        let (region, width) = (self.target()?, word(width)?);
        let one = |index| {
            let at = self.at(index * width as u64)?;
            peek(&region, at, width).map_err(|error| error.to_string())
        };
        (0..count).map(one).collect()
    }

    fn write(&self, width: u64, value: u64) -> Result<(), String> {
        let (region, width) = (self.target()?, word(width)?);
        if value > width.max() {
            return Err(format!("{value:#x} does not fit into {} bytes", width as usize));
        }
        poke(&region, self.at(0)?, width, value).map_err(|error| error.to_string())
    }

    fn target(&self) -> Result<IoRegion, String> {
        self.unit.device.region(self.region, 0).map_err(|error| error.to_string())
    }

    fn at(&self, further: u64) -> Result<usize, String> {
        let at = self.offset.checked_add(further).and_then(|at| usize::try_from(at).ok());
        at.ok_or_else(|| "it is beyond every region".to_owned())
    }

    fn refuse(&self, act: &str, why: &str) -> Value {
        refused(&format!("cannot {act} {self}: {why}"))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, region, offset } = self;
        write!(f, "{offset:#x} of region {region} of {}", unit.device.name())
    }
}

fn word(bytes: u64) -> Result<Width, String> {
    Width::from_bytes(bytes).ok_or_else(|| format!("an access has 1, 2, 4 or 8 bytes, not {bytes}"))
}

fn refused(why: &str) -> Value {
    json!({ "error": why })
}

fn find<'a>(daemon: &'a Daemon, wanted: &str) -> Result<&'a Unit, Value> {
    let unit = daemon.running().find(|unit| is(&unit.device, wanted));
    unit.map(|unit| &**unit).ok_or_else(
        || json!({ "error": format!("this daemon does not run {wanted}"), "unknown_device": true }),
    )
}

/// Whether a user who writes `wanted` means this device: by what it was opened as, by its title, or its first word.
fn is(device: &Device, wanted: &str) -> bool {
    let name = device.name();
    let first = name.split(' ').next().unwrap_or(name);
    match wanted.parse() {
        Ok(DeviceSpec::Uio(which)) => {
            device.backend() == "uio" && (which == first || which == device.label())
        }
        Ok(DeviceSpec::Pci(address)) => first.parse() == Ok::<Address, uio_core::Error>(address),
        Ok(DeviceSpec::Of(which)) => device.of_node().is_some_and(|node| match which {
            of::Selector::Path(path) => path == node.path(),
            of::Selector::Compatible(compatible) => node.is_compatible(&compatible),
        }),
        _ => wanted == name || wanted == first,
    }
}
