//! What uses a function, on copies of sysfs and procfs.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

const BDF: &str = "0000:01:00.0";

struct World {
    dir: tempfile::TempDir,
    machine: Machine,
}

impl World {
    /// A machine with one function, which nobody uses.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("sys");
        fs::create_dir_all(root.join("devices/pci0000:00").join(BDF)).unwrap();
        fs::create_dir_all(root.join("bus/pci/devices")).unwrap();
        symlink(
            format!("../../../devices/pci0000:00/{BDF}"),
            root.join("bus/pci/devices").join(BDF),
        )
        .unwrap();
        let machine = Machine {
            sysfs: Sysfs::at(root),
            proc: dir.path().join("proc"),
            udev: dir.path().join("udev"),
            addresses: Vec::new(),
        };
        Self { dir, machine }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A device of `subsystem` below the function, or anywhere in sysfs if the path starts with `/`.
    fn add(&self, path: &str, subsystem: &str, dev: Option<&str>) {
        let path = match path.strip_prefix('/') {
            Some(path) => format!("sys/{path}"),
            None => format!("sys/devices/pci0000:00/{BDF}/{path}"),
        };
        self.write(&format!("{path}/uevent"), "");
        if let Some(dev) = dev {
            self.write(&format!("{path}/dev"), &format!("{dev}\n"));
        }
        let dir = self.dir.path().join(&path);
        symlink(format!("/sys/class/{subsystem}"), dir.join("subsystem")).unwrap();
        let class = self.dir.path().join("sys/class").join(subsystem);
        fs::create_dir_all(&class).unwrap();
        symlink(&dir, class.join(dir.file_name().unwrap())).unwrap();
    }

    /// An NVMe disk with one partition.
    fn with_disk() -> Self {
        let world = Self::new();
        world.add("nvme/nvme0", "nvme", Some("240:0"));
        world.add("nvme/nvme0/nvme0n1", "block", Some("259:0"));
        world.add("nvme/nvme0/nvme0n1/nvme0n1p1", "block", Some("259:1"));
        world
    }

    /// Something that is built on the first partition.
    fn stack(&self, name: &str, dev: &str) {
        self.add(&format!("/devices/virtual/block/{name}"), "block", Some(dev));
        let holders =
            format!("sys/devices/pci0000:00/{BDF}/nvme/nvme0/nvme0n1/nvme0n1p1/holders/{name}");
        self.write(&holders, "");
    }

    fn mounted(&self, line: &str) {
        self.write(
            "proc/self/mountinfo",
            &format!("22 1 0:20 / /proc rw - proc proc rw\n{line}\n"),
        );
    }

    fn open(&self, pid: u32, name: &str, node: &str) {
        self.write(&format!("proc/{pid}/comm"), &format!("{name}\n"));
        let fd = self.dir.path().join(format!("proc/{pid}/fd"));
        fs::create_dir_all(&fd).unwrap();
        symlink(node, fd.join("7")).unwrap();
        symlink("/dev/null", fd.join("0")).unwrap();
    }

    fn uses(&self) -> Vec<String> {
        self.machine.uses_of(&BusDevice::pci(BDF)).iter().map(Use::to_string).collect()
    }
}

#[test]
fn a_function_that_nobody_uses_has_no_uses() {
    assert_eq!(World::with_disk().uses(), Vec::<String>::new());
    assert_eq!(World::new().machine.uses_of(&BusDevice::pci("0000:7f:00.0")), []);
}

#[test]
fn a_mounted_partition_and_the_root_disk_are_named() {
    let world = World::with_disk();
    world.mounted("30 1 259:1 / /my\\040home rw,noatime shared:1 - ext4 /dev/nvme0n1p1 rw");
    assert_eq!(world.uses(), ["/dev/nvme0n1p1 is mounted at /my home"]);
    world.mounted("30 1 259:1 / / rw,noatime - ext4 /dev/nvme0n1p1 rw");
    assert_eq!(world.uses(), ["/dev/nvme0n1p1 is the root disk (mounted at /)"]);
}

/// Btrfs shows a device number that no disk has.
#[test]
fn a_mount_is_known_by_its_source_too() {
    let world = World::with_disk();
    world.mounted("30 1 0:41 / /data rw - btrfs /dev/nvme0n1 rw");
    assert_eq!(world.uses(), ["/dev/nvme0n1 is mounted at /data"]);
}

#[test]
fn a_mount_of_the_first_process_counts_once() {
    let world = World::with_disk();
    let line = "30 1 259:0 / /data rw - ext4 /dev/nvme0n1 rw\n";
    world.write("proc/1/mountinfo", line);
    world.mounted(line.trim_end());
    assert_eq!(world.uses(), ["/dev/nvme0n1 is mounted at /data"]);
}

#[test]
fn swap_is_in_use() {
    let world = World::with_disk();
    world.write("proc/swaps", "Filename\tType\tSize\n/dev/nvme0n1p1   partition\t1024\t0\t-2\n");
    assert_eq!(world.uses(), ["/dev/nvme0n1p1 is swap space in use"]);
}

#[test]
fn what_is_built_on_a_partition_is_seen_through() {
    let world = World::with_disk();
    world.stack("dm-0", "254:0");
    world.write("sys/devices/virtual/block/dm-0/dm/name", "vg-root\n");
    world.write("sys/devices/virtual/block/dm-0/dm/uuid", "LVM-abc\n");
    world.mounted("30 1 254:0 / / rw - ext4 /dev/mapper/vg-root rw");
    assert_eq!(
        world.uses(),
        [
            "/dev/nvme0n1p1 (through vg-root (LVM)) is the root disk (mounted at /)",
            "/dev/nvme0n1p1 is a part of vg-root (LVM)",
        ]
    );
}

#[test]
fn a_raid_with_swap_on_it_is_seen_through() {
    let world = World::with_disk();
    world.stack("md0", "9:0");
    fs::create_dir(world.dir.path().join("sys/devices/virtual/block/md0/md")).unwrap();
    world.write("proc/swaps", "Filename\n/dev/md0 partition\n");
    assert_eq!(
        world.uses(),
        [
            "/dev/nvme0n1p1 (through md0 (RAID)) is swap space in use",
            "/dev/nvme0n1p1 is a part of md0 (RAID)",
        ]
    );
}

#[test]
fn a_part_of_a_volume_group_that_is_not_active_is_one_too() {
    let world = World::with_disk();
    world.write("udev/b259:1", "S:disk/by-id/x\nE:ID_FS_TYPE=LVM2_member\n");
    assert_eq!(
        world.uses(),
        ["/dev/nvme0n1p1 is a part of an LVM volume group that is not active"]
    );
    world.write("udev/b259:1", "E:ID_FS_TYPE=ext4\n");
    assert_eq!(world.uses(), Vec::<String>::new());
}

/// With multipath the disk is not below the function.
#[test]
fn a_disk_of_a_shared_nvme_subsystem_is_found() {
    let world = World::new();
    world.add("nvme/nvme0", "nvme", Some("240:0"));
    world.add("/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "block", Some("259:0"));
    let subsystem = world.dir.path().join("sys/devices/virtual/nvme-subsystem/nvme-subsys0");
    symlink(world.dir.path().join("sys/class/nvme/nvme0"), subsystem.join("nvme0")).unwrap();
    let class = world.dir.path().join("sys/class/nvme-subsystem");
    fs::create_dir_all(&class).unwrap();
    symlink(&subsystem, class.join("nvme-subsys0")).unwrap();
    world.mounted("30 1 259:0 / / rw - ext4 /dev/nvme0n1 rw");
    assert_eq!(world.uses(), ["/dev/nvme0n1 is the root disk (mounted at /)"]);
}

#[test]
fn an_interface_that_is_up_or_has_an_address_or_the_default_route_is_in_use() {
    let mut world = World::new();
    world.add("net/enp1s0", "net", None);
    let flags = format!("sys/devices/pci0000:00/{BDF}/net/enp1s0/flags");
    world.write(&flags, "0x1002\n");
    assert_eq!(world.uses(), Vec::<String>::new());
    world.write(&flags, "0x1003\n");
    assert_eq!(world.uses(), ["the network interface enp1s0 is up"]);
    world.write(&flags, "0x1002\n");
    world.machine.addresses =
        [("enp1s0", "10.0.2.15"), ("lo", "127.0.0.1")].map(|(a, b)| (a.into(), b.into())).into();
    assert_eq!(world.uses(), ["the network interface enp1s0 has the address 10.0.2.15"]);
    world.machine.addresses.clear();
    world.write(
        "proc/net/route",
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
         enp1s0 00000000 0202000A 0003 0 0 0 00000000 0 0 0\n",
    );
    assert_eq!(world.uses(), ["the network interface enp1s0 carries the default route"]);
    world.write("proc/net/route", "enp1s0 0002000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n");
    assert_eq!(world.uses(), Vec::<String>::new());
    world.write(
        "proc/net/ipv6_route",
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
         fe800000000000000000000000000001 00000400 00000001 00000000 00000003   enp1s0\n",
    );
    assert_eq!(world.uses(), ["the network interface enp1s0 carries the default route"]);
}

#[test]
fn a_part_of_a_bond_is_in_use() {
    let world = World::new();
    world.add("net/enp1s0", "net", None);
    let master = format!("sys/devices/pci0000:00/{BDF}/net/enp1s0/master");
    symlink("../../../virtual/net/bond0", world.dir.path().join(master)).unwrap();
    assert_eq!(world.uses(), ["the network interface enp1s0 is a part of bond0"]);
}

#[test]
fn consoles_and_the_boot_display_are_in_use() {
    let world = World::new();
    world.add("tty/ttyS4", "tty", Some("4:68"));
    assert_eq!(world.uses(), Vec::<String>::new());
    world.write("sys/class/tty/console/active", "tty0 ttyS4\n");
    assert_eq!(world.uses(), ["ttyS4 is a console of the kernel"]);
    world.add("graphics/fb0", "graphics", Some("29:0"));
    world.write(&format!("sys/devices/pci0000:00/{BDF}/boot_vga"), "1\n");
    assert_eq!(world.uses().len(), 3);
    assert!(world.uses()[2].contains("the display on which the machine started"));
}

#[test]
fn whoever_has_a_node_of_it_open_is_named() {
    let world = World::new();
    world.add("uio/uio3", "uio", Some("250:3"));
    world.open(77, "uiod", "/dev/uio3");
    world.open(78, "cat", "/dev/uio33");
    assert_eq!(world.uses(), ["uiod (process 77) has /dev/uio3 open"]);
}

/// Puts the function, and another one, into a group whose node is open.
fn in_an_open_group() -> World {
    let world = World::new();
    let members = world.dir.path().join("sys/kernel/iommu_groups/12/devices");
    fs::create_dir_all(members.join("0000:01:00.1")).unwrap();
    let function = world.dir.path().join(format!("sys/devices/pci0000:00/{BDF}"));
    symlink(&function, members.join(BDF)).unwrap();
    symlink("../../../kernel/iommu_groups/12", function.join("iommu_group")).unwrap();
    world.open(79, "qemu", "/dev/vfio/12 (deleted)");
    world
}

#[test]
fn whoever_has_the_group_of_a_function_of_vfio_open_has_the_function() {
    let world = in_an_open_group();
    let own = world.dir.path().join(format!("sys/devices/pci0000:00/{BDF}/driver"));
    symlink("../../../bus/pci/drivers/vfio-pci", &own).unwrap();
    assert_eq!(world.uses(), ["qemu (process 79) has /dev/vfio/12 open"]);
    fs::remove_file(&own).unwrap();
    assert_eq!(world.uses().len(), 1, "the kernel is about to take it back");
    symlink("../../../bus/pci/drivers/e1000e", &own).unwrap();
    assert_eq!(world.uses().len(), 0);
}

#[test]
fn a_group_that_is_open_for_another_function_is_another_matter() {
    let world = in_an_open_group();
    let other = world.dir.path().join("sys/kernel/iommu_groups/12/devices/0000:01:00.1/driver");
    symlink("../../../bus/pci/drivers/vfio-pci", other).unwrap();
    assert_eq!(world.uses(), Vec::<String>::new());
}

#[test]
fn what_this_process_has_open_itself_does_not_count() {
    let world = World::new();
    world.add("uio/uio3", "uio", Some("250:3"));
    world.open(77, "uioctl", "/dev/uio3");
    symlink("77", world.dir.path().join("proc/self")).unwrap();
    assert_eq!(world.uses(), Vec::<String>::new());
}

#[test]
fn virtual_functions_would_go_with_it() {
    let world = World::new();
    for index in 0..2 {
        world.write(&format!("sys/devices/pci0000:00/{BDF}/virtfn{index}"), "");
    }
    assert_eq!(world.uses(), ["it has 2 virtual functions, which would go with it"]);
}

/// What stands behind a bridge has uses of its own.
#[test]
fn another_function_below_it_is_another_matter() {
    let world = World::new();
    world.add("0000:02:00.0", "pci", None);
    world.add("0000:02:00.0/block/sda", "block", Some("8:0"));
    world.mounted("30 1 8:0 / /data rw - ext4 /dev/sda rw");
    assert_eq!(world.uses(), Vec::<String>::new());
}

/// A serial port of an Arm board, which stands directly below the root of all devices.
fn port(world: &World) -> BusDevice {
    let bus = world.dir.path().join("sys/bus/amba/devices");
    fs::create_dir_all(&bus).unwrap();
    world.add("/devices/platform/9000000.pl011", "amba", None);
    world.add("/devices/platform/9000000.pl011/tty/ttyAMA0", "tty", Some("204:64"));
    symlink("../../../devices/platform/9000000.pl011", bus.join("9000000.pl011")).unwrap();
    BusDevice::new(Bus::Amba, "9000000.pl011")
}

#[test]
fn a_device_of_another_bus_is_in_use_in_the_same_ways() {
    let world = World::new();
    let port = port(&world);
    world.write("sys/class/tty/console/active", "tty0 ttyAMA0\n");
    world.open(77, "getty", "/dev/ttyAMA0");
    let uses: Vec<String> = world.machine.uses_of(&port).iter().map(Use::to_string).collect();
    assert_eq!(
        uses,
        ["ttyAMA0 is a console of the kernel", "getty (process 77) has /dev/ttyAMA0 open"]
    );
}

#[test]
fn what_works_only_while_it_does_is_named_if_it_is_at_work() {
    let world = World::new();
    let port = port(&world);
    let link = "sys/devices/platform/9000000.pl011/consumer:platform:gpio-keys/status";
    world.write(link, "available\n");
    assert_eq!(world.machine.uses_of(&port), []);
    world.write(link, "active\n");
    let uses = world.machine.uses_of(&port);
    assert_eq!(uses, [Use::Supplies { consumer: "gpio-keys".into() }]);
    assert!(uses[0].to_string().contains("the device gpio-keys needs it"));
}

/// A host bridge takes all that is on its buses along.
#[test]
fn functions_below_a_device_that_is_none_go_with_it() {
    let world = World::new();
    let bus = world.dir.path().join("sys/bus/platform/devices");
    fs::create_dir_all(&bus).unwrap();
    world.add("/devices/platform/4010000000.pcie/pci0000:00/0000:00:01.0", "pci", None);
    let disk = "/devices/platform/4010000000.pcie/pci0000:00/0000:00:01.0/block/vda";
    world.add(disk, "block", Some("254:0"));
    symlink("../../../devices/platform/4010000000.pcie", bus.join("4010000000.pcie")).unwrap();
    world.mounted("30 1 254:0 / / rw - ext4 /dev/vda rw");
    let bridge = BusDevice::new(Bus::Platform, "4010000000.pcie");
    assert_eq!(world.machine.uses_of(&bridge).len(), 1);
}
