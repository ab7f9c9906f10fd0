//! PCI functions below `/sys/bus/pci/devices`: their identity, driver, BARs and interrupts.
//!
//! [`Sysfs::pci_devices`] reads the text attributes of `drivers/pci/pci-sysfs.c` and `drivers/pci/msi/` only;
//! the configuration space (`config`), the ROM and the `resourceN` files stay closed. The flags of a BAR are
//! those of `include/linux/ioport.h`.

use std::io;
use std::path::{Path, PathBuf};

use super::{
    Bus, BusDevice, Sysfs, entry_names, link_name, number_or_zero, parse_number, read_text,
    text_or_empty,
};
use crate::error::{Errno, Error, Result};

const IORESOURCE_IO: u64 = 0x100;
const IORESOURCE_MEM: u64 = 0x200;
const IORESOURCE_PREFETCH: u64 = 0x2000;
const IORESOURCE_MEM_64: u64 = 0x10_0000;

/// The entry of `resource` that is the expansion ROM (`PCI_ROM_RESOURCE`); BARs are those before it.
const ROM_INDEX: usize = 6;

/// A PCI function as sysfs describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciInfo {
    /// Domain, bus, device and function: `0000:00:03.0`.
    pub bdf: String,
    /// Vendor ID.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
    /// Base class, subclass and programming interface, as `0x018000`.
    pub class: u32,
    /// Revision ID.
    pub revision: u8,
    /// The kernel driver that is bound to it.
    pub driver: Option<String>,
    /// The IOMMU group, where there is an IOMMU.
    pub iommu_group: Option<u32>,
    /// The line that the function's pin is routed to (`pci_dev::irq`; the first vector while MSI is on).
    pub irq: Option<u32>,
    /// The message-signalled interrupts in use, in order.
    pub msi_irqs: Vec<u32>,
    /// Of which kind these are. A function never has both.
    pub msi_kind: Option<MsiKind>,
    /// BARs 0 to 5 and the expansion ROM (index 6), as far as there are any.
    pub bars: Vec<PciBar>,
}

/// The kind of a function's message-signalled interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MsiKind {
    /// MSI: vectors in the configuration space.
    Msi,
    /// MSI-X: vectors in a table in a BAR.
    MsiX,
}

/// One base address register, from a line of `resource`: `start end flags`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciBar {
    /// 0 to 5, or 6 for the expansion ROM.
    pub index: usize,
    /// The first address on the bus of the CPU, or the first port; 0 while unassigned.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// `IORESOURCE_*` of `include/linux/ioport.h`.
    pub flags: u64,
}

impl PciBar {
    /// Whether it is of I/O ports.
    pub fn is_io(&self) -> bool {
        self.flags & IORESOURCE_IO != 0
    }

    /// Whether it is of memory.
    pub fn is_mem(&self) -> bool {
        self.flags & IORESOURCE_MEM != 0
    }

    /// Whether its address has 64 bits, so that it takes the place of two registers.
    pub fn is_64bit(&self) -> bool {
        self.flags & IORESOURCE_MEM_64 != 0
    }

    /// Whether reads have no side effects, so that a bridge may prefetch.
    pub fn is_prefetchable(&self) -> bool {
        self.flags & IORESOURCE_PREFETCH != 0
    }

    /// Whether it is the expansion ROM.
    pub fn is_rom(&self) -> bool {
        self.index == ROM_INDEX
    }
}

impl Sysfs {
    /// All PCI functions, by address. A machine without PCI has none.
    ///
    /// # Errors
    ///
    /// When `/sys/bus/pci/devices` is there and cannot be read.
    pub fn pci_devices(&self) -> Result<Vec<PciInfo>> {
        let dir = self.bus_dir(Bus::Pci).join("devices");
        let mut names = match entry_names(&dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::from_io(&error, "cannot list", dir.display())),
        };
        names.sort();
        // A function that vanished since is left out.
        Ok(names.into_iter().filter_map(|name| read_pci(&dir.join(&name), name).ok()).collect())
    }
}

impl Sysfs {
    /// The function called `bdf`, in full: `0000:00:03.0`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is none.
    pub fn pci_device(&self, bdf: &str) -> Result<PciInfo> {
        read_pci(&self.pci_dir(bdf), bdf.to_owned()).map_err(|_| {
            Error::new(Errno::ENODEV, "cannot find", format_args!("pci:{bdf}"))
                .with_cause("there is no such PCI function")
                .with_hint("`uioctl ls` shows those there are")
        })
    }

    /// The directory of the function called `bdf`.
    pub(crate) fn pci_dir(&self, bdf: &str) -> PathBuf {
        self.device_dir(&BusDevice::pci(bdf))
    }

    /// The node of the UIO device that the function's driver made of it.
    pub(crate) fn pci_uio_node(&self, bdf: &str) -> Option<PathBuf> {
        let names = entry_names(&self.pci_dir(bdf).join("uio")).ok()?;
        let name = names.into_iter().find(|name| name.starts_with("uio"))?;
        Some(Path::new("/dev").join(name))
    }
}

fn read_pci(dir: &Path, bdf: String) -> io::Result<PciInfo> {
    // CAST: the kernel prints IDs in the width of their registers; what is wider is cut as they would be.
    let vendor = parse_number(&read_text(&dir.join("vendor"))?).unwrap_or(0) as u16;
    let (msi_irqs, msi_kind) = read_msi(&dir.join("msi_irqs"));
    Ok(PciInfo {
        bdf,
        vendor,
        device: number_or_zero(&dir.join("device")) as u16,
        class: number_or_zero(&dir.join("class")) as u32,
        revision: number_or_zero(&dir.join("revision")) as u8,
        driver: link_name(&dir.join("driver")),
        iommu_group: link_name(&dir.join("iommu_group")).and_then(|name| name.parse().ok()),
        irq: u32::try_from(number_or_zero(&dir.join("irq"))).ok().filter(|&irq| irq != 0),
        msi_irqs,
        msi_kind,
        bars: parse_resource(&text_or_empty(&dir.join("resource"))),
    })
}

/// The vectors in `msi_irqs`, a directory of files named by number that say `msi` or `msix`.
fn read_msi(dir: &Path) -> (Vec<u32>, Option<MsiKind>) {
    let names = entry_names(dir).unwrap_or_default();
    let mut irqs: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    irqs.sort_unstable();
    let kind = irqs.first().and_then(|irq| match &*text_or_empty(&dir.join(irq.to_string())) {
        "msi" => Some(MsiKind::Msi),
        "msix" => Some(MsiKind::MsiX),
        _ => None,
    });
    (irqs, kind)
}

/// The BARs in the text of `resource`; unused ones are lines of zeros, and bridge windows come behind.
fn parse_resource(text: &str) -> Vec<PciBar> {
    text.lines()
        .take(ROM_INDEX + 1)
        .enumerate()
        .filter_map(|(index, line)| {
            let mut fields = line.split_whitespace().map(parse_number);
            let (start, end, flags) = (fields.next()??, fields.next()??, fields.next()??);
            let used = flags != 0 && end >= start;
            used.then(|| PciBar { index, start, size: (end - start).saturating_add(1), flags })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const RESOURCE: &str = "\
0x0000004000080000 0x00000040000fffff 0x0000000000142204
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x000000000000c000 0x000000000000c03f 0x0000000000040101
0x0000000000000000 0x0000000000000000 0x0000000000000000
nonsense
0xffffffffffffffff 0x0 0x200
0x00000000feb80000 0x00000000febbffff 0x0000000000046200
0x0000000000001000 0x0000000000001fff 0x0000000000000100
";

    #[test]
    fn a_resource_file_gives_the_bars_that_are_used() {
        let bars = parse_resource(RESOURCE);
        assert_eq!(bars.iter().map(|bar| bar.index).collect::<Vec<_>>(), [0, 2, 6]);
        let [memory, ports, rom] = &bars[..] else { panic!("{bars:?}") };
        assert_eq!((memory.start, memory.size), (0x40_0008_0000, 0x8_0000));
        assert!(memory.is_mem() && memory.is_64bit() && memory.is_prefetchable());
        assert!(ports.is_io() && !ports.is_mem() && !ports.is_64bit());
        assert!(rom.is_rom() && rom.is_mem() && rom.is_prefetchable());
    }

    #[test]
    fn a_bar_of_the_whole_address_space_does_not_overflow() {
        let bars = parse_resource("0x0 0xffffffffffffffff 0x200");
        assert_eq!(bars[0].size, u64::MAX);
    }

    fn function(root: &Path, bdf: &str) -> PathBuf {
        let dir = root.join("bus/pci/devices").join(bdf);
        fs::create_dir_all(dir.join("msi_irqs")).unwrap();
        for (name, text) in [
            ("vendor", "0x1af4\n"),
            ("device", "0x1042\n"),
            ("class", "0x018000\n"),
            ("revision", "0x01\n"),
            ("irq", "11\n"),
            ("resource", RESOURCE),
            ("msi_irqs/35", "msix\n"),
            ("msi_irqs/4", "msix\n"),
        ] {
            fs::write(dir.join(name), text).unwrap();
        }
        symlink("../../../bus/pci/drivers/virtio-pci", dir.join("driver")).unwrap();
        symlink("../../../kernel/iommu_groups/7", dir.join("iommu_group")).unwrap();
        dir
    }

    #[test]
    fn a_function_is_described_by_its_attributes() {
        let root = tempfile::tempdir().unwrap();
        function(root.path(), "0000:00:02.0");
        let all = Sysfs::at(root.path()).pci_devices().unwrap();
        let info = &all[0];
        assert_eq!(
            (info.vendor, info.device, info.class, info.revision),
            (0x1af4, 0x1042, 0x1_8000, 1)
        );
        assert_eq!(info.driver.as_deref(), Some("virtio-pci"));
        assert_eq!((info.iommu_group, info.irq), (Some(7), Some(11)));
        assert_eq!((&info.msi_irqs[..], info.msi_kind), (&[4, 35][..], Some(MsiKind::MsiX)));
        assert_eq!(info.bars.len(), 3);
    }

    #[test]
    fn a_function_that_vanishes_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        function(root.path(), "0000:00:02.0");
        let gone = function(root.path(), "0000:00:03.0");
        fs::remove_file(gone.join("vendor")).unwrap();
        let all = Sysfs::at(root.path()).pci_devices().unwrap();
        assert_eq!(all.iter().map(|info| &*info.bdf).collect::<Vec<_>>(), ["0000:00:02.0"]);
    }

    #[test]
    fn a_machine_without_pci_has_no_functions() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Sysfs::at(root.path()).pci_devices().unwrap(), []);
    }
}
