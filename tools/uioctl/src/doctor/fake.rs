//! A machine in a directory, for tests: [`Fake`] starts as one on which `0000:00:03.0` is ready by VFIO, or as a board on
//! which `/pl031@9010000` is ready by UIO, and a test takes something away.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use uio_core::of::Node;

use super::machine::{Access, Machine};
use super::target::{Block, Function, Target};

/// The node that all tests of boards are about.
pub(crate) const NODE: &str = "/pl031@9010000";

/// The device that the kernel made of it.
const DEVICE: &str = "9010000.pl031";

/// Its directory.
const BLOCK: &str = "sys/devices/platform/9010000.pl031";

/// The function that all tests are about.
pub(crate) const BDF: &str = "0000:00:03.0";

/// Its group.
const GROUP: u32 = 7;

pub(crate) struct Fake {
    root: tempfile::TempDir,
}

impl Fake {
    /// A machine of which nothing is wrong.
    pub(crate) fn ready() -> Self {
        let fake = Self { root: tempfile::tempdir().unwrap() };
        for (path, text) in [
            ("proc/cmdline", "root=/dev/vda1 intel_iommu=on"),
            ("proc/self/status", "PPid:\t41\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000"),
            ("proc/self/limits", "Max locked memory  8388608  8388608  bytes"),
            ("proc/sys/kernel/osrelease", "6.1.0"),
            ("proc/interrupts", "  CPU0\n 4: 7 IR-IO-APIC 4-edge ttyS0\n"),
            ("proc/iomem", "fea00000-feafffff : 0000:00:03.0"),
            ("lib/modules/6.1.0/modules.builtin", "kernel/fs/fuse/fuse.ko"),
            ("lib/modules/6.1.0/modules.dep", "kernel/vfio-pci.ko:\nkernel/uio_pci_generic.ko:\n"),
            ("sys/kernel/security/lockdown", "[none] integrity confidentiality"),
            ("sys/firmware/acpi/tables/DMAR", ""),
            ("sys/class/iommu/dmar0/intel-iommu/ecap", "f0020a"),
            ("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N"),
            ("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8"),
            (
                "boot/config-6.1.0",
                "CONFIG_INTEL_IOMMU=y\nCONFIG_AMD_IOMMU=y\nCONFIG_IO_STRICT_DEVMEM=y",
            ),
        ] {
            fake.write(path, text);
        }
        for module in ["vfio", "vfio_pci", "uio", "uio_pci_generic", "cuse"] {
            fs::create_dir_all(fake.path("sys/module").join(module)).unwrap();
        }
        for node in ["dev/vfio/vfio", "dev/vfio/7", "dev/cuse", "dev/fuse"] {
            fake.write(node, "");
        }
        fake.add(BDF, Some("vfio-pci"));
        fake.write_config(&[(0x3D, 1)]);
        fake
    }

    /// The same, bound to `uio_pci_generic` as uio0, in a machine without an IOMMU.
    pub(crate) fn generic() -> Self {
        let fake = Self::ready();
        fake.bind(BDF, Some("uio_pci_generic"));
        fs::create_dir_all(fake.function_path("uio/uio0")).unwrap();
        fake.write("dev/uio0", "");
        fake.without("sys/kernel/iommu_groups");
        fake.without("sys/bus/pci/devices/0000:00:03.0/iommu_group");
        fake
    }

    /// An Arm board without PCI, whose clock `uio_pdrv_genirq` has as uio0.
    pub(crate) fn board() -> Self {
        let fake = Self::ready();
        for gone in ["sys/bus", "sys/kernel/iommu_groups", "sys/firmware", "dev/vfio"] {
            fake.without(gone);
        }
        let tree = "sys/firmware/devicetree/base";
        let cells =
            |cells: &[u32]| cells.iter().flat_map(|cell| cell.to_be_bytes()).collect::<Vec<u8>>();
        for (path, cells) in [
            ("#address-cells", cells(&[2])),
            ("#size-cells", cells(&[2])),
            ("interrupt-parent", cells(&[1])),
            ("intc@8000000/phandle", cells(&[1])),
            ("intc@8000000/#interrupt-cells", cells(&[3])),
            ("intc@8000000/compatible", b"arm,gic-v3\0".to_vec()),
            ("bus/i2c/sensor@4/compatible", b"some,sensor\0".to_vec()),
        ] {
            fake.write(&format!("{tree}/{path}"), cells);
        }
        fake.property("compatible", b"arm,pl031\0generic-uio\0");
        fake.cells("reg", &[0, 0x0901_0000, 0, 0x1000]);
        fake.cells("interrupts", &[0, 2, 4]);
        fake.write("proc/cmdline", "quiet uio_pdrv_genirq.of_id=generic-uio");
        let iomem = "09010000-09010fff : pl031\n40000000-7fffffff : System RAM\n  48000000-48ffffff : reserved\n";
        fake.write("proc/iomem", iomem);
        fs::create_dir_all(fake.path("sys/module/uio_pdrv_genirq")).unwrap();
        fs::create_dir_all(fake.path(BLOCK)).unwrap();
        symlink(fake.path(tree).join(&NODE[1..]), fake.path(BLOCK).join("of_node")).unwrap();
        fake.on_bus("platform");
        fake.bind_block(Some("uio_pdrv_genirq"));
        fs::create_dir_all(fake.path(BLOCK).join("uio/uio0")).unwrap();
        fake.write("dev/uio0", "");
        fake
    }

    /// Puts the block of the board on a bus.
    fn on_bus(&self, bus: &str) {
        let devices = self.path(&format!("sys/bus/{bus}/devices"));
        fs::create_dir_all(&devices).unwrap();
        symlink(self.path(BLOCK), devices.join(DEVICE)).unwrap();
    }

    /// The block is a PrimeCell, with the kernel's own driver.
    pub(crate) fn on_amba(&self) {
        self.unbound();
        self.without_device();
        self.property("compatible", b"arm,pl031\0arm,primecell\0");
        self.on_bus("amba");
        self.bind_block(Some("rtc-pl031"));
    }

    /// The kernel made no device of the node.
    pub(crate) fn without_device(&self) {
        self.without(&format!("sys/bus/platform/devices/{DEVICE}"));
    }

    /// Takes the block from its driver.
    pub(crate) fn unbound(&self) {
        self.bind_block(None);
        // It may have been taken before.
        let _ = fs::remove_dir_all(self.path(BLOCK).join("uio"));
    }

    /// Binds the block to another driver, or to none.
    pub(crate) fn bind_block(&self, driver: Option<&str>) {
        let link = self.path(BLOCK).join("driver");
        let _ = fs::remove_file(&link);
        if let Some(driver) = driver {
            symlink(format!("../../../bus/platform/drivers/{driver}"), link).unwrap();
        }
    }

    /// What stands in the block's `driver_override`.
    pub(crate) fn reserve(&self, text: &str) {
        self.write(&format!("{BLOCK}/driver_override"), text);
    }

    /// A property of the node.
    pub(crate) fn property(&self, name: &str, bytes: &[u8]) {
        self.write(&format!("sys/firmware/devicetree/base{NODE}/{name}"), bytes);
    }

    /// A property of the node that is made of cells.
    pub(crate) fn cells(&self, name: &str, cells: &[u32]) {
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.property(name, &bytes);
    }

    /// The node of the board.
    pub(crate) fn node(&self) -> Node {
        self.machine().tree().node(NODE).unwrap()
    }

    /// The block of the board, as it is now.
    pub(crate) fn block(&self) -> Block {
        match Target::find(Some(&format!("of:{NODE}")), &self.machine()).unwrap() {
            Target::Block(block) => *block,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// A path in the function's directory.
    pub(crate) fn function_path(&self, name: &str) -> PathBuf {
        self.path("sys/bus/pci/devices").join(BDF).join(name)
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes an attribute of the function.
    pub(crate) fn attribute(&self, name: &str, text: &str) {
        fs::write(self.function_path(name), text).unwrap();
    }

    /// The first 64 bytes of the function's configuration space: zeros, but for these.
    pub(crate) fn write_config(&self, bytes: &[(usize, u8)]) {
        let mut config = [0; 64];
        config[..4].copy_from_slice(&[0x34, 0x12, 0xE8, 0x11]);
        for &(at, byte) in bytes {
            config[at] = byte;
        }
        fs::write(self.function_path("config"), config).unwrap();
    }

    /// Takes a file or a directory away.
    pub(crate) fn without(&self, path: &str) {
        let path = self.path(path);
        match fs::symlink_metadata(&path).unwrap().is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }

    /// The asking user may not open this node any more.
    pub(crate) fn deny(&self, path: &str) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o444)).unwrap();
    }

    /// Asks as user 1000.
    pub(crate) fn as_user(&self) {
        self.write("proc/self/status", "PPid:\t41\nUid:\t1000\t1000\t1000\t1000\nCapEff:\t0");
    }

    /// Adds a function to the group, bound to `driver`.
    pub(crate) fn add(&self, bdf: &str, driver: Option<&str>) {
        let dir = self.path("sys/bus/pci/devices").join(bdf);
        fs::create_dir_all(&dir).unwrap();
        for (name, text) in [
            ("vendor", "0x1234\n"),
            ("device", "0x11e8\n"),
            ("class", "0x00ff00\n"),
            ("irq", "11\n"),
            ("resource", "0x00000000fea00000 0x00000000feafffff 0x0000000000040200\n"),
            ("resource0", ""),
            ("driver_override", "(null)\n"),
            ("reset_method", "flr\n"),
            ("power_state", "D0\n"),
        ] {
            fs::write(dir.join(name), text).unwrap();
        }
        let group = format!("sys/kernel/iommu_groups/{GROUP}/devices");
        fs::create_dir_all(self.path(&group)).unwrap();
        symlink(&dir, self.path(&group).join(bdf)).unwrap();
        symlink(format!("../../../../kernel/iommu_groups/{GROUP}"), dir.join("iommu_group"))
            .unwrap();
        self.bind(bdf, driver);
    }

    /// Binds a function to another driver, or to none.
    pub(crate) fn bind(&self, bdf: &str, driver: Option<&str>) {
        let link = self.path("sys/bus/pci/devices").join(bdf).join("driver");
        let _ = fs::remove_file(&link);
        if let Some(driver) = driver {
            symlink(format!("../../../../bus/pci/drivers/{driver}"), link).unwrap();
        }
    }

    pub(crate) fn machine(&self) -> Machine {
        Machine::at(&self.path("sys"), &self.path("proc"), self.root.path(), access)
    }

    /// The function that all tests are about, as it is now.
    pub(crate) fn function(&self) -> Function {
        match Target::find(Some(BDF), &self.machine()).unwrap() {
            Target::Pci(function) => *function,
            other => panic!("{other:?}"),
        }
    }
}

/// Root may do anything, so tests go by the owner's bits.
fn access(path: &Path) -> Access {
    match fs::metadata(path) {
        Ok(meta) if meta.permissions().mode() & 0o200 != 0 => Access::Yes,
        Ok(_) => Access::Denied,
        Err(_) => Access::Missing,
    }
}
