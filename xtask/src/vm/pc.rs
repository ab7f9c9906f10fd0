//! The PC of the bench, and what its variants lack or have besides.
//!
//! All are one q35 machine with the same devices at the same addresses, which `tests/scenarios/src/pci.rs` knows
//! too. Behind each root port, a *bay*, is a device that can be pulled and plugged again ([`BAYS`]): the guest pulls it by
//! itself, and [`super::monitor`] plugs it.

use std::fs::File;

use crate::failure::{Context, Result};
use crate::paths::RunDir;

/// The variable part of a PC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pc {
    /// The IOMMU, as QEMU's option, if it has one.
    iommu: Option<&'static str>,
    /// Whether QEMU runs its processors in turn, in one thread.
    one_thread: bool,
    /// Devices besides those that every PC has.
    more: &'static [&'static str],
}

pub(crate) const DEFAULT: Pc =
    Pc { iommu: Some("intel-iommu,intremap=on"), one_thread: false, more: &[] };
pub(crate) const IN_ONE_THREAD: Pc = Pc { one_thread: true, ..DEFAULT };
pub(crate) const WITHOUT_IOMMU: Pc = Pc { iommu: None, ..DEFAULT };
pub(crate) const WITHOUT_REMAPPING: Pc = Pc { iommu: Some("intel-iommu,intremap=off"), ..DEFAULT };

/// A conventional bus behind a bridge: the IOMMU cannot tell its functions apart.
pub(crate) const WITH_GROUP: Pc = Pc {
    more: &[
        "pci-bridge,id=shared,addr=0x0a,chassis_nr=3,shpc=off",
        "edu,bus=shared,addr=0x01",
        "edu,bus=shared,addr=0x02",
    ],
    ..DEFAULT
};

/// What a PC's kernel has to be told.
pub(crate) const KERNEL_LINE: &str = "console=ttyS0 no_timer_check";

/// Hot-plug by the root ports themselves, as on a machine of metal, and not by ACPI.
const PLATFORM: [&str; 10] = [
    "-M",
    "q35,kernel-irqchip=off",
    "-cpu",
    "max",
    "-smp",
    "2",
    "-m",
    "2G",
    "-global",
    "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
];

/// What every PC has. The first four functions of the bench have an interrupt line each.
const DEVICES: [&str; 7] = [
    "virtio-serial-pci,addr=0x02",
    "edu,addr=0x03",
    "edu,addr=0x04",
    "pci-serial,addr=0x05,chardev=serial0",
    "pci-serial,addr=0x06,chardev=serial1",
    // No power controller, as a drive bay has none: with one, a kernel whose device is pulled by writing to it would
    // take the slot for one that was switched off already, and would wait a second for the power to be gone.
    "pcie-root-port,id=bay-nvme,addr=0x08,chassis=1,slot=1,power_controller_present=off",
    "pcie-root-port,id=bay-e1000e,addr=0x09,chassis=2,slot=2,power_controller_present=off",
];

/// The serial ports. Each one's other end is the virtio port `NAME-end`.
pub(crate) const SERIALS: [&str; 2] = ["serial0", "serial1"];

/// What is in a bay: the device's id, and its options for QEMU.
pub(crate) const BAYS: [(&str, &[(&str, &str)]); 2] = [
    ("nvme", &[("driver", "nvme"), ("bus", "bay-nvme"), ("drive", "disk"), ("serial", "bench")]),
    ("e1000e", &[("driver", "e1000e"), ("bus", "bay-e1000e"), ("netdev", "net"), ("romfile", "")]),
];

/// The disk of the nvme: as large as the smallest file systems need, and empty.
const DISK_SIZE: u64 = 16 << 20;

impl Pc {
    /// QEMU's options for the hardware, without the ports of the virtio device.
    pub(crate) fn options(self, run_dir: &RunDir) -> Result<Vec<String>> {
        let disk = run_dir.join("disk");
        let file = File::create(&disk).on("create", &disk)?;
        file.set_len(DISK_SIZE).on("write", &disk)?;
        let mut options: Vec<String> = PLATFORM.map(str::to_owned).into();
        let mut add = |name: &str, value: String| options.extend([name.to_owned(), value]);
        let disk = escaped(&disk);
        let threads = if self.one_thread { "single" } else { "multi" };
        add("-accel", format!("tcg,thread={threads}"));
        add("-blockdev", format!("driver=file,node-name=disk,filename={disk}"));
        add("-netdev", "user,id=net,restrict=on".to_owned());
        for name in SERIALS {
            let path = escaped(&run_dir.join(name));
            add("-chardev", format!("socket,id={name},path={path},server=on,wait=off"));
        }
        let devices = self.iommu.iter().chain(&DEVICES).chain(self.more);
        for device in devices {
            add("-device", (*device).to_owned());
        }
        for (id, properties) in BAYS {
            add("-device", in_bay(id, properties));
        }
        Ok(options)
    }
}

/// A bay's device as one option.
fn in_bay(id: &str, properties: &[(&str, &str)]) -> String {
    let words = properties.iter().map(|(key, value)| format!("{key}={value},"));
    words.collect::<String>() + "id=" + id
}

/// In a QEMU option a comma is written twice.
pub(crate) fn escaped(path: &std::path::Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
