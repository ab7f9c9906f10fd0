//! Binding a PCI function: who goes with it to VFIO, and what one should know of the driver.

use uio_core::sys::sysfs::{PciInfo, Sysfs};
use uio_core::{Error, Result};

use super::Binding;
use super::args::BindArgs;
use super::target::{self, Taken};
use crate::failure::Failure;

const UIO_PCI_GENERIC: &str = "uio_pci_generic";

/// What binding `function` comes to.
pub(super) fn binding(
    function: &PciInfo,
    args: &BindArgs,
    sysfs: &Sysfs,
) -> Result<Binding, Failure> {
    let Some(driver) = args.driver.clone() else {
        let error = Error::invalid("cannot bind", &function.bdf, "the driver is not named");
        let error = error.with_hint("name vfio-pci, or uio_pci_generic where there is no IOMMU");
        return Err(Failure::Usage(error));
    };
    let for_vfio = driver.contains("vfio");
    if args.how.group && !for_vfio {
        let error = Error::invalid("cannot use", "--group", "groups matter to vfio-pci alone")
            .with_hint("name each function by itself");
        return Err(Failure::Usage(error));
    }
    target::refuse_bridge(function, "cannot bind")?;
    let bound = function.driver.as_ref() == Some(&driver);
    let taken = match for_vfio && (!bound || args.how.group) {
        true => target::for_vfio(sysfs, function, &driver, args.how.group)?,
        false => Taken::alone(function),
    };
    let mut notes = notes(sysfs, function, &driver);
    if args.persist && !taken.bridges.is_empty() {
        notes.push(
            "no rule keeps the driver from a bridge: bind with --group again after a boot".into(),
        );
    }
    Ok(Binding { driver, taken, notes })
}

/// What a user should know of a driver for this function.
fn notes(sysfs: &Sysfs, function: &PciInfo, driver: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if driver == UIO_PCI_GENERIC {
        if function.irq.is_none() {
            notes.push(format!(
                "{} has no INTx line, and {driver} knows no other interrupt: it will raise none",
                function.bdf
            ));
        }
        notes.push(format!(
            "{driver} puts no IOMMU between the device and the memory: one that masters the bus can write anywhere"
        ));
    }
    let siblings = target::siblings(sysfs, function);
    if driver.contains("vfio") && !siblings.is_empty() {
        let named: Vec<String> = siblings
            .iter()
            .map(|member| {
                format!("{} ({})", member.bdf, member.driver.as_deref().unwrap_or("no driver"))
            })
            .collect();
        notes.push(format!("in its IOMMU group there are also {}", named.join(", ")));
    }
    notes
}
