//! Registers of one device, for `peek`, `poke` and `dump`: by name where its driver publishes them.
//!
//! [`Registers::of`] finds who reaches the device: the daemon that runs it, or, if nobody does, this program.
//! [`Place`] is where a user points to. Every access is one of the width that was asked for; a write reads nothing.

mod local;
mod place;
mod remote;

use std::path::Path;

use serde::{Deserialize, Serialize};
use uio_core::Error;
use uio_core::device::DeviceSpec;

pub(crate) use place::{Place, Spot, find_region};

/// A region, as far as one needs it to point into it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RegionInfo {
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) size: u64,
}

/// A register that the driver publishes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RegisterInfo {
    pub(crate) region: usize,
    pub(crate) name: String,
    pub(crate) offset: u64,
    /// In bytes.
    pub(crate) width: u64,
    /// `ro`, `wo`, `rw`.
    pub(crate) access: String,
    pub(crate) fields: Vec<FieldInfo>,
}

/// A field of a register.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct FieldInfo {
    pub(crate) name: String,
    pub(crate) high: u32,
    pub(crate) low: u32,
}

impl RegisterInfo {
    /// Whether a read of it tells something, and has no effect that the driver knows of.
    pub(crate) fn is_readable(&self) -> bool {
        self.access != "wo"
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.access != "ro"
    }
}

impl FieldInfo {
    /// The field's bits of a register's value.
    pub(crate) fn of(&self, value: u64) -> u64 {
        let width = self.high.saturating_sub(self.low).min(63);
        value.checked_shr(self.low).unwrap_or(0) & u64::MAX >> (63 - width)
    }
}

/// What is known of a device's registers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Map {
    pub(crate) device: String,
    pub(crate) regions: Vec<RegionInfo>,
    pub(crate) registers: Vec<RegisterInfo>,
}

/// Who reaches the registers.
enum Way {
    Daemon(remote::Daemon),
    Here(local::Here),
}

/// The registers of a device.
pub(crate) struct Registers {
    pub(crate) map: Map,
    way: Way,
}

impl Registers {
    /// Asks the daemons of `run_dir` for the device; where none runs it, opens it here.
    ///
    /// # Errors
    ///
    /// If nobody can reach the device.
    pub(crate) fn of(device: &DeviceSpec, run_dir: &Path) -> Result<Self, Error> {
        if let Some((map, daemon)) = remote::find(device, run_dir)? {
            return Ok(Self { map, way: Way::Daemon(daemon) });
        }
        let (map, here) = local::open(device)?;
        Ok(Self { map, way: Way::Here(here) })
    }

    /// The daemon that does it, if one does.
    pub(crate) fn daemon(&self) -> Option<u32> {
        match &self.way {
            Way::Daemon(daemon) => Some(daemon.pid),
            Way::Here(_) => None,
        }
    }

    /// Reads `count` words from `spot` on.
    ///
    /// # Errors
    ///
    /// What the daemon or the region says.
    pub(crate) fn read(&self, spot: &Spot, count: u64) -> Result<Vec<u64>, Error> {
        match &self.way {
            Way::Daemon(daemon) => daemon.read(spot, count),
            Way::Here(here) => here.read(spot, count),
        }
    }

    /// Writes one word at `spot`, and reads nothing.
    ///
    /// # Errors
    ///
    /// What the daemon or the region says.
    pub(crate) fn write(&self, spot: &Spot, value: u64) -> Result<(), Error> {
        match &self.way {
            Way::Daemon(daemon) => daemon.write(spot, value),
            Way::Here(here) => here.write(spot, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FieldInfo;

    #[test]
    fn a_field_is_cut_out_of_the_value() {
        let field = |high, low| FieldInfo { name: String::new(), high, low };
        assert_eq!(field(15, 8).of(0xABCD), 0xAB);
        assert_eq!(field(63, 0).of(u64::MAX), u64::MAX);
        assert_eq!(field(0, 0).of(6), 0);
        assert_eq!(field(70, 64).of(1), 0);
    }
}
