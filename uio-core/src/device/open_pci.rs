//! `pci:BDF`: the backend is the one of the kernel driver that the function is bound to.

use nix::errno::Errno;

use super::uio_pci::{RegistersBackend, UioPciBackend};
use super::vfio::VfioBackend;
use super::{Backend, OpenOptions};
use crate::error::{Error, Result};
use crate::pci::Address;
use crate::sys::sysfs::{PciInfo, Sysfs};

/// Opens the function: its name, its label, and what it is behind.
pub(super) fn open(
    address: Address,
    options: &OpenOptions,
) -> Result<(String, String, Box<dyn Backend>)> {
    let sysfs = Sysfs::new();
    let info = sysfs.pci_device(&address.to_string())?;
    let label = format!("{:04x}:{:04x}", info.vendor, info.device);
    match info.driver.as_deref() {
        // `vfio-pci`, or one for certain devices, such as `mlx5_vfio_pci`.
        Some(driver) if driver.contains("vfio") => {
            let backend = VfioBackend::open(&info, &sysfs)?;
            Ok((backend.title(), label, Box::new(backend)))
        }
        Some("uio_pci_generic") | None if options.registers_only => {
            let backend = RegistersBackend::open(&info, &sysfs)?;
            Ok((backend.title(), label, Box::new(backend)))
        }
        Some("uio_pci_generic") => {
            let backend = UioPciBackend::open(&info, &sysfs, options)?;
            Ok((backend.title(), label, Box::new(backend)))
        }
        _ => Err(refuse(&info)),
    }
}

fn refuse(info: &PciInfo) -> Error {
    let bdf = &info.bdf;
    let cause = match &info.driver {
        Some(driver) => format!("the kernel's driver {driver} has it"),
        None => "no driver is bound to it".to_owned(),
    };
    Error::new(Errno::EBUSY, "cannot open", format_args!("pci:{bdf}"))
        .with_cause(cause)
        .with_hint(format!("bind it: uioctl bind {bdf} vfio-pci"))
}
