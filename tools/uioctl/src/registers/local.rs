//! Registers of a device that no daemon runs: it is opened here, for as long as the command takes.
//!
//! Through VFIO the kernel resets the function when it is opened. On `uio_pci_generic`, and without a driver, nothing but
//! the registers is opened.

use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec, OpenOptions};
use uio_core::io::{IoRegion, Width, peek, poke};
use uio_core::irq::Dispatcher;
use uio_core::{Errno, Error};

use super::{Map, RegionInfo, Spot};

/// The device, opened here. Its interrupts stay untouched: nobody requests a line.
pub(super) struct Here {
    device: std::sync::Arc<Device>,
    _dispatcher: Dispatcher,
}

pub(super) fn open(spec: &DeviceSpec) -> Result<(Map, Here), Error> {
    if let DeviceSpec::Sim(model) = spec {
        return Err(Error::new(Errno::ENODEV, "cannot reach", spec)
            .with_cause("a simulated device lives in a daemon, and none runs this one")
            .with_hint(format!("start one: uiod run sim:{model}")));
    }
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let options = OpenOptions::default().registers_only();
    let device = Device::open_with(spec, &options, &dispatcher, &Models::new())?;
    let region = |one: &uio_core::device::RegionInfo| RegionInfo {
        index: one.index,
        name: one.name.clone(),
        size: one.size,
    };
    let regions = device.regions().iter().map(region).collect();
    let map = Map { device: device.name().to_owned(), regions, registers: Vec::new() };
    Ok((map, Here { device, _dispatcher: dispatcher }))
}

impl Here {
    pub(super) fn read(&self, spot: &Spot, count: u64) -> Result<Vec<u64>, Error> {
        let (region, width) = self.target(spot)?;
        let one = |index: u64| {
            let at =
                index.checked_mul(spot.width).and_then(|further| spot.offset.checked_add(further));
            peek(&region, place(at), width).map_err(|why| refuse("cannot read", spot, why))
        };
        (0..count).map(one).collect()
    }

    pub(super) fn write(&self, spot: &Spot, value: u64) -> Result<(), Error> {
        let (region, width) = self.target(spot)?;
        poke(&region, place(Some(spot.offset)), width, value)
            .map_err(|why| refuse("cannot write", spot, why))
    }

    fn target(&self, spot: &Spot) -> Result<(IoRegion, Width), Error> {
        let width = Width::from_bytes(spot.width).ok_or_else(|| {
            Error::invalid("cannot access", spot.width, "an access has 1, 2, 4 or 8 bytes")
        })?;
        Ok((self.device.region(spot.region, 0)?, width))
    }
}

/// An offset that does not fit is beyond every region, as the highest one is.
fn place(at: Option<u64>) -> usize {
    at.and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX)
}

fn refuse(act: &'static str, spot: &Spot, why: uio_core::io::AccessError) -> Error {
    Error::new(why.into(), act, format_args!("{:#x} of region {}", spot.offset, spot.region))
        .with_cause(why)
}
