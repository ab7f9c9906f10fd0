//! Binding a device of the platform bus: the driver is `uio_pdrv_genirq`, unless another is named.
//!
//! Bound by its override that driver takes any device: neither an overlay nor its parameter `of_id` is needed. What it
//! does not get are PrimeCells, which are on a bus of their own.

use uio_core::of::Tree;
use uio_core::sys::hints;
use uio_core::sys::sysfs::{Bus, PlatformInfo, Sysfs};
use uio_core::{Errno, Error, Result};

use super::Binding;
use super::args::BindArgs;
use super::found::Found;
use super::target::{self, Taken};
use crate::failure::Failure;

/// The driver that gives any platform device to userspace.
pub(crate) const UIO_PDRV_GENIRQ: &str = "uio_pdrv_genirq";

/// What binding `info` comes to.
pub(super) fn binding(
    info: &PlatformInfo,
    args: &BindArgs,
    sysfs: &Sysfs,
) -> Result<Binding, Failure> {
    if args.how.group {
        return Err(Failure::Usage(target::no_group(&info.name)));
    }
    let driver = args.driver.clone().unwrap_or_else(|| UIO_PDRV_GENIRQ.to_owned());
    if info.bus == Bus::Amba && driver == UIO_PDRV_GENIRQ {
        return Err(refuse_primecell(info, &driver).into());
    }
    if args.persist && !is_plain(&info.name) {
        let cause = "its name cannot stand in a rule of udev";
        let error =
            Error::invalid("cannot bind at every boot", format_args!("`{}`", info.name), cause);
        return Err(error.with_hint("leave --persist out and bind at every boot").into());
    }
    let notes = if driver == UIO_PDRV_GENIRQ { notes(info, sysfs) } else { Vec::new() };
    let devices = vec![Found::Platform(info.clone())];
    Ok(Binding { driver, taken: Taken { devices, bridges: Vec::new() }, notes })
}

/// An AMBA device is for drivers of the AMBA bus alone.
fn refuse_primecell(info: &PlatformInfo, driver: &str) -> Error {
    let thing = format!("{} to {driver}", info.name);
    let node = info.node.as_deref().unwrap_or("/...");
    hints::primecell(node, &info.compatible).explain(Error::new(
        Errno::ENODEV,
        "cannot bind",
        thing,
    ))
}

/// Whether a name means itself in a pattern and in a command line.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.+:@,".contains(&byte))
}

/// What a user should know of this device with `uio_pdrv_genirq`.
fn notes(info: &PlatformInfo, sysfs: &Sysfs) -> Vec<String> {
    let mut notes = Vec::new();
    let tree = Tree::at(sysfs.device_tree());
    let Some(node) = info.node.as_deref().and_then(|path| tree.node(path).ok()) else {
        return notes;
    };
    if node.reg().is_empty() {
        notes.push(format!(
            "the node of {} has no reg that the CPU can address: there is nothing to map",
            info.name
        ));
    }
    match node.interrupts().len() {
        0 => notes.push(format!("the node of {} has no interrupt: it will raise none", info.name)),
        1 => (),
        count => notes
            .push(format!("{UIO_PDRV_GENIRQ} serves the first of its {count} interrupts alone")),
    }
    notes
}
