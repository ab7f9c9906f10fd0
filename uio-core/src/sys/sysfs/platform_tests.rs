//! Platform devices in a sysfs of plain files, as an Arm board has them.

use std::os::unix::fs::symlink;

use super::*;

/// A board with a serial port of the AMBA bus, a clock that UIO has, and a block without a driver.
struct Board(tempfile::TempDir);

impl Board {
    fn new() -> Self {
        let board = Self(tempfile::tempdir().unwrap());
        board.node("/pl011@9000000", "arm,pl011\0arm,primecell\0");
        board.node("/pl031@9010000", "arm,pl031\0generic-uio\0");
        board.node("/soc/dma@ffa80000", "xlnx,zynqmp-dma-1.0\0");
        board.node("/soc/dma@ffa90000", "xlnx,zynqmp-dma-1.0\0");
        board.device(Bus::Amba, "9000000.pl011", "/pl011@9000000");
        board.device(Bus::Platform, "9010000.pl031", "/pl031@9010000");
        board.device(Bus::Platform, "ffa80000.dma", "/soc/dma@ffa80000");
        board.device(Bus::Platform, "ffa90000.dma", "/soc/dma@ffa90000");
        let clock = board.0.path().join("devices/9010000.pl031");
        fs::create_dir_all(clock.join("uio/uio3")).unwrap();
        symlink("../../bus/platform/drivers/uio_pdrv_genirq", clock.join("driver")).unwrap();
        board
    }

    fn node(&self, path: &str, compatible: &str) -> PathBuf {
        let dir = self.0.path().join(format!("firmware/devicetree/base{path}"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("compatible"), compatible).unwrap();
        dir
    }

    fn device(&self, bus: Bus, name: &str, node: &str) {
        let dir = self.0.path().join("devices").join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("modalias"), "of:NxT(null)\n").unwrap();
        symlink(format!("../../firmware/devicetree/base{node}"), dir.join("of_node")).unwrap();
        let on_bus = self.sysfs().bus_dir(bus).join("devices");
        fs::create_dir_all(&on_bus).unwrap();
        symlink(format!("../../../devices/{name}"), on_bus.join(name)).unwrap();
    }

    fn sysfs(&self) -> Sysfs {
        Sysfs::at(self.0.path())
    }

    fn refusal(&self, selector: &str) -> String {
        self.sysfs().find_platform(selector).unwrap_err().to_string()
    }
}

#[test]
fn devices_of_both_buses_come_by_name_with_their_nodes() {
    let board = Board::new();
    let all = board.sysfs().platform_devices().unwrap();
    let named: Vec<_> = all.iter().map(|info| (&*info.name, info.bus)).collect();
    let (amba, platform) = (Bus::Amba, Bus::Platform);
    assert_eq!(
        named,
        [
            ("9000000.pl011", amba),
            ("9010000.pl031", platform),
            ("ffa80000.dma", platform),
            ("ffa90000.dma", platform)
        ]
    );
    let clock = &all[1];
    assert_eq!(clock.node.as_deref(), Some("/pl031@9010000"));
    assert_eq!(clock.compatible, ["arm,pl031", "generic-uio"]);
    assert_eq!((clock.driver.as_deref(), clock.uio), (Some("uio_pdrv_genirq"), Some(3)));
    assert!(clock.path.ends_with("devices/9010000.pl031"));
    assert_eq!(all[0].driver, None);
}

#[test]
fn a_device_is_found_by_node_name_or_directory() {
    let board = Board::new();
    for selector in ["/pl031@9010000", "9010000.pl031", "/sys/bus/platform/devices/9010000.pl031"] {
        let info = board.sysfs().find_platform(selector).unwrap();
        assert_eq!(info.device(), BusDevice::new(Bus::Platform, "9010000.pl031"), "{selector}");
    }
}

#[test]
fn a_part_of_a_device_does_not_stand_for_the_whole() {
    let board = Board::new();
    let part = board.0.path().join("devices/9010000.pl031/part");
    fs::create_dir(&part).unwrap();
    symlink("../../../firmware/devicetree/base/pl031@9010000", part.join("of_node")).unwrap();
    symlink(&part, board.0.path().join("bus/platform/devices/0.part")).unwrap();
    assert_eq!(board.sysfs().find_platform("/pl031@9010000").unwrap().name, "9010000.pl031");
}

#[test]
fn a_wrong_name_is_answered_with_those_most_like_it() {
    let board = Board::new();
    let text = board.refusal("9010000.pl03");
    assert!(text.contains("called so; most like it are 9010000.pl031, "), "{text}");
    for path in ["/pl031@901000", "/../bus"] {
        assert!(board.refusal(path).contains("has no such node; "), "{path}");
    }
}

#[test]
fn a_node_without_a_device_is_explained() {
    let board = Board::new();
    let off = board.node("/off@1", "arm,pl031\0");
    fs::write(off.join("status"), "disabled\0").unwrap();
    board.node("/empty@2", "");
    board.node("/soc/i2c@3/sensor@4", "some,sensor\0");
    assert!(board.refusal("/off@1").contains("whose status is \"disabled\""));
    assert!(board.refusal("/empty@2").contains("compatible with nothing"));
    assert!(board.refusal("/soc/i2c@3/sensor@4").contains("not on a bus of such devices"));
}

#[test]
fn a_machine_without_platform_devices_has_none() {
    let root = tempfile::tempdir().unwrap();
    let sysfs = Sysfs::at(root.path());
    assert_eq!(sysfs.platform_devices().unwrap(), []);
    let text = sysfs.find_platform("9010000.pl031").unwrap_err().to_string();
    assert!(text.contains("this machine has no platform devices"), "{text}");
}
