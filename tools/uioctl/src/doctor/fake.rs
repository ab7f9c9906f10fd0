//! A machine in a directory, for tests: [`Fake`] starts as one on which `0000:00:03.0` is ready by VFIO, and a test
//! takes something away.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::machine::{Access, Machine};
use super::target::{Function, Target};

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
