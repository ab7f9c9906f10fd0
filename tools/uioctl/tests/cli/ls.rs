//! `uioctl ls`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::Run;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A sysfs with one UIO device and one PCI function, linked as the kernel links them.
fn sysfs() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let device = root.path().join("devices/platform/uio_dummy");
    let uio = device.join("uio/uio0");
    for (name, text) in [
        ("name", "uio_dummy"),
        ("version", "1.0"),
        ("event", "42"),
        ("maps/map0/name", "regs"),
        ("maps/map0/addr", "0x0000000104230000"),
        ("maps/map0/size", "0x0000000000001000"),
        ("maps/map0/offset", "0x0"),
        ("maps/map1/name", "fifo"),
        ("maps/map1/addr", "0x0000000104240000"),
        ("maps/map1/size", "0x0000000000002000"),
        ("maps/map1/offset", "0x10"),
        ("portio/port0/name", "control"),
        ("portio/port0/start", "0x3f8"),
        ("portio/port0/size", "0x8"),
        ("portio/port0/porttype", "port_x86"),
    ] {
        write(&uio.join(name), &format!("{text}\n"));
    }
    symlink("../..", uio.join("device")).unwrap();
    symlink("../../../bus/platform/drivers/uio_dummy", device.join("driver")).unwrap();
    fs::create_dir_all(root.path().join("class/uio")).unwrap();
    symlink("../../devices/platform/uio_dummy/uio/uio0", root.path().join("class/uio/uio0"))
        .unwrap();
    let pci = root.path().join("bus/pci/devices/0000:03:00.0");
    for (name, text) in [
        ("vendor", "0x1234"),
        ("device", "0x11e8"),
        ("class", "0x00ff00"),
        ("revision", "0x10"),
        ("irq", "11"),
        ("resource", "0x00000000fea00000 0x00000000feafffff 0x0000000000040200"),
        ("resource0", "must not be read"),
    ] {
        write(&pci.join(name), &format!("{text}\n"));
    }
    // A pin, and capabilities: MSI with four vectors.
    let mut config = [0; 256];
    for (at, byte) in [(6, 0x10), (0x34, 0x40), (0x3D, 1), (0x40, 5), (0x42, 4)] {
        config[at] = byte;
    }
    fs::write(pci.join("config"), config).unwrap();
    symlink("../../../kernel/iommu_groups/3", pci.join("iommu_group")).unwrap();
    write(
        &root.path().join("usr/share/hwdata/pci.ids"),
        "1234  Technical Corp.\n\t11e8  QEMU educational device\n",
    );
    root
}

fn ls(root: &Path, args: &[&str]) -> Run {
    let root = root.to_str().unwrap();
    Run::with([&["--sysfs", root, "--root", root, "ls"][..], args].concat())
}

#[test]
fn devices_are_shown_with_maps_and_drivers() {
    let root = sysfs();
    let text = ls(root.path(), &[]).stdout();
    let words: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        words[1][..10],
        ["uio0", "uio_dummy", "1.0", "uio_dummy", "42", "map0", "0x104230000", "4", "KiB", "0x0"]
    );
    assert_eq!(words[2], ["map1", "0x104240000", "8", "KiB", "0x10", "fifo"]);
    assert_eq!(words[3], ["port0", "0x3f8", "8", "ports", "control", "(port_x86)"]);
    assert_eq!(
        words[6],
        [
            "0000:03:00.0",
            "1234:11e8",
            "unclassified",
            "-",
            "3",
            "INTx",
            "11",
            "-",
            "(not",
            "bound)",
            "Technical",
            "Corp.",
            "QEMU",
            "educational",
            "device",
        ]
    );
    assert_eq!(
        words[9],
        ["0000:03:00.0", "bar0", "0xfea00000", "1", "MiB", "memory", "INTx,", "MSI", "4"]
    );
    assert!(text.ends_with("uioctl doctor 0000:03:00.0\n"), "{text}");
    for line in text.lines().skip(5) {
        assert!(line.chars().count() < 120, "{line}");
    }
}

#[test]
fn without_a_list_of_names_there_are_numbers() {
    let root = sysfs();
    fs::remove_dir_all(root.path().join("usr")).unwrap();
    let text = ls(root.path(), &[]).stdout();
    assert!(text.contains("1234:11e8") && !text.contains("QEMU"), "{text}");
    let json = ls(root.path(), &["--json"]).json();
    assert_eq!(json["pci"][0]["vendor_name"], serde_json::Value::Null);
}

#[test]
fn a_function_is_ready_for_the_driver_that_it_is_bound_to() {
    let root = sysfs();
    let driver = root.path().join("bus/pci/devices/0000:03:00.0/driver");
    symlink("../../../../bus/pci/drivers/vfio-pci", driver).unwrap();
    let json = ls(root.path(), &["--json"]).json();
    let pci = &json["pci"][0];
    assert_eq!((&pci["ready"], &pci["missing"]), (&"vfio".into(), &serde_json::Value::Null));
    let text = ls(root.path(), &[]).stdout();
    assert!(!text.contains("uioctl doctor"), "{text}");
}

#[test]
fn json_has_every_field() {
    let root = sysfs();
    let json = ls(root.path(), &["--json"]).json();
    let uio = &json["uio"][0];
    assert_eq!(
        (&uio["node"], &uio["events"], &uio["driver"]),
        (&"/dev/uio0".into(), &42.into(), &"uio_dummy".into())
    );
    let map = serde_json::json!({"index": 1, "name": "fifo", "address": 0x1_0424_0000_u64, "size": 8192, "offset": 16});
    assert_eq!(uio["maps"][1], map);
    let pci = &json["pci"][0];
    assert_eq!((&pci["bdf"], &pci["driver"]), (&"0000:03:00.0".into(), &serde_json::Value::Null));
    assert_eq!((&pci["iommu_group"], &pci["bars"][0]["size"]), (&3.into(), &0x10_0000.into()));
    assert_eq!(pci["device_name"], "QEMU educational device");
    let msi =
        serde_json::json!({"id": 5, "extended": false, "name": "MSI", "vectors": 4, "offset": 64});
    assert_eq!(
        pci["abilities"],
        serde_json::json!({"pin": "A", "capabilities": [msi], "complete": true})
    );
    assert_eq!((&pci["ready"], &pci["missing"]), (&serde_json::Value::Null, &"not bound".into()));
}

#[test]
fn an_empty_machine_says_so_and_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let text = ls(root.path(), &[]).stdout();
    assert!(text.starts_with("No UIO devices: load the kernel module"), "{text}");
    assert!(text.contains("\nNo PCI devices"), "{text}");
    assert_eq!(ls(root.path(), &["--json"]).json(), serde_json::json!({"uio": [], "pci": []}));
}

#[test]
fn no_device_is_opened() {
    for command in ["ls", "doctor", "doctor 0000:03:00.0"] {
        opens_no_device(command);
    }
}

fn opens_no_device(command: &str) {
    let root = sysfs();
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    for sysfs in [root.path(), Path::new("/sys")] {
        let status = Command::new("strace")
            .args(["-f", "-e", "trace=open,openat,openat2,creat", "-o"])
            .arg(&trace)
            .arg(env!("CARGO_BIN_EXE_uioctl"))
            .args(["--sysfs", sysfs.to_str().unwrap()])
            .args(command.split(' '))
            .output()
            .expect("strace is installed: it is part of the test set-up")
            .status;
        // A machine, or a device, that is not ready is no success.
        assert!(status.success() || command != "ls");
        let trace = fs::read_to_string(&trace).unwrap();
        assert!(trace.contains("bus/pci/devices"), "the trace shows what is opened: {trace}");
        for line in trace.lines() {
            let opened = line.split('"').nth(1).unwrap_or_default();
            assert!(!opened.starts_with("/dev/"), "{line}");
            assert!(!opened.contains("/resource0"), "{line}");
            assert!(!line.contains("O_RDWR") && !line.contains("O_WRONLY"), "{line}");
        }
    }
}
