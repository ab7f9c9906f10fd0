//! The machines of the bench: what a guest's hardware and its kernel line are.
//!
//! All are one q35 machine with the same devices at the same addresses, which `tests/scenarios/src/pci.rs` knows
//! too. A variant in [`MACHINES`] takes something away or adds something, so that what stands in the way of a
//! driver can be shown. Behind each root port, a *bay*, is a device that can be pulled and plugged again
//! ([`BAYS`]): the guest pulls it by itself, and [`super::monitor`] plugs it.

use std::fs::File;

use crate::failure::{Context, Result};
use crate::paths::RunDir;

/// One of the bench's machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// What `--machine` calls it.
    pub(crate) name: &'static str,
    /// The IOMMU, as QEMU's option, if it has one.
    iommu: Option<&'static str>,
    /// What it adds to the kernel line.
    kernel_line: &'static str,
    /// Whether QEMU runs its processors in turn, in one thread.
    one_thread: bool,
    /// Devices besides those that every machine has.
    more: &'static [&'static str],
    /// Whether its guests load the VFIO modules; the files are there in any case.
    pub(crate) loads_vfio: bool,
    /// Whether its kernel takes a module without a signature, as `uio_dummy` is one.
    pub(crate) loads_unsigned: bool,
}

const DEFAULT: Machine = Machine {
    name: "default",
    iommu: Some("intel-iommu,intremap=on"),
    kernel_line: "intel_iommu=on",
    one_thread: false,
    more: &[],
    loads_vfio: true,
    loads_unsigned: true,
};

/// Every machine, the default first.
pub(crate) const MACHINES: [Machine; 7] = [
    DEFAULT,
    // For devices that come and go under access. Where processors have threads, QEMU before 8.1 can look up an access of
    // one in the memory map that another is just replacing, and dies of it.
    Machine { name: "one-thread", one_thread: true, ..DEFAULT },
    Machine { name: "no-iommu", iommu: None, kernel_line: "intel_iommu=off", ..DEFAULT },
    Machine { name: "no-intremap", iommu: Some("intel-iommu,intremap=off"), ..DEFAULT },
    Machine {
        name: "lockdown",
        kernel_line: "intel_iommu=on lockdown=integrity",
        loads_unsigned: false,
        ..DEFAULT
    },
    Machine { name: "no-vfio", loads_vfio: false, ..DEFAULT },
    // A conventional bus behind a bridge: the IOMMU cannot tell its functions apart.
    Machine {
        name: "group",
        more: &[
            "pci-bridge,id=shared,addr=0x0a,chassis_nr=3,shpc=off",
            "edu,bus=shared,addr=0x01",
            "edu,bus=shared,addr=0x02",
        ],
        ..DEFAULT
    },
];

/// A fault of the kernel ends the guest at once; a watchdog on a busy host would cry wolf.
const KERNEL_LINE: &str =
    "console=ttyS0 panic=-1 oops=panic nowatchdog rcupdate.rcu_cpu_stall_suppress=1 no_timer_check";

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

/// What every machine has. The first four functions of the bench have an interrupt line each.
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

impl Machine {
    /// The whole kernel line.
    pub(crate) fn kernel_line(&self) -> String {
        format!("{KERNEL_LINE} {}", self.kernel_line)
    }

    /// QEMU's options for the hardware, without the ports of the virtio device.
    pub(crate) fn options(&self, run_dir: &RunDir) -> Result<Vec<String>> {
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
