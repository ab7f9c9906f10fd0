//! Finding UIO devices in copies of sysfs, whole and damaged.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A platform device `parent` with one UIO device, laid out and linked as the kernel does it.
fn add_uio(root: &Path, parent: &str, number: u32, name: &str) {
    let device = root.join("devices/platform").join(parent);
    let dir = device.join(format!("uio/uio{number}"));
    write(&dir.join("name"), &format!("{name}\n"));
    write(&dir.join("version"), "1.0\n");
    write(&dir.join("event"), "42\n");
    for (index, (map, addr, size)) in
        [("regs", "0x0000000104230000", "0x1000"), ("fifo", "0x104231000", "8192")]
            .iter()
            .enumerate()
    {
        let dir = dir.join(format!("maps/map{index}"));
        write(&dir.join("name"), &format!("{map}\n"));
        write(&dir.join("addr"), &format!("{addr}\n"));
        write(&dir.join("size"), &format!("{size}\n"));
        write(&dir.join("offset"), "0x10\n");
    }
    let driver = root.join("bus/platform/drivers/dummy_driver");
    fs::create_dir_all(&driver).unwrap();
    fs::create_dir_all(root.join("class/uio")).unwrap();
    if !device.join("driver").exists() {
        symlink(&driver, device.join("driver")).unwrap();
    }
    symlink("../..", dir.join("device")).unwrap();
    symlink(
        format!("../../devices/platform/{parent}/uio/uio{number}"),
        root.join(format!("class/uio/uio{number}")),
    )
    .unwrap();
}

fn two_devices() -> (tempfile::TempDir, Sysfs) {
    let dir = tempfile::tempdir().unwrap();
    add_uio(dir.path(), "uio_dummy", 0, "uio_dummy");
    add_uio(dir.path(), "fpga", 10, "fpga");
    let sysfs = Sysfs::at(dir.path());
    (dir, sysfs)
}

#[test]
fn a_kernel_without_uio_has_no_devices() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Sysfs::at(dir.path()).uio_devices().unwrap(), []);
}

#[test]
fn a_device_is_described_by_its_attributes() {
    let (dir, sysfs) = two_devices();
    let all = sysfs.uio_devices().unwrap();
    assert_eq!(all.iter().map(|info| info.number).collect::<Vec<_>>(), [0, 10]);
    let info = &all[0];
    assert_eq!((info.name.as_str(), info.version.as_str(), info.events), ("uio_dummy", "1.0", 42));
    assert_eq!(info.maps[0].addr, 0x1_0423_0000);
    assert_eq!(
        info.maps[1],
        UioMap { index: 1, name: "fifo".into(), addr: 0x1_0423_1000, size: 8192, offset: 16 }
    );
    assert_eq!(info.driver.as_deref(), Some("dummy_driver"));
    let device = fs::canonicalize(dir.path()).unwrap().join("devices/platform/uio_dummy");
    assert_eq!(info.device.as_deref(), Some(device.as_path()));
    assert_eq!(info.node(), Path::new("/dev/uio0"));
}

#[test]
fn a_device_is_found_by_number_node_name_and_path() {
    let (dir, sysfs) = two_devices();
    let device = dir.path().join("devices/platform/fpga");
    for selector in [
        "uio10",
        "/dev/uio10",
        "fpga",
        "/sys/class/uio/uio10",
        "/sys/class/uio/uio10/",
        "/sys/devices/platform/fpga",
        "/sys/devices/platform/fpga/uio/uio10",
        device.to_str().unwrap(),
    ] {
        assert_eq!(sysfs.find_uio(selector).unwrap().number, 10, "{selector}");
    }
}

#[test]
fn an_unknown_device_is_refused_with_what_there_is() {
    let (_dir, sysfs) = two_devices();
    for selector in ["foo", "uio3", "/dev/uio3", "/sys/devices/platform/gone", "uio", "", "uio+1"] {
        let error = sysfs.find_uio(selector).unwrap_err();
        assert_eq!(error.errno(), Errno::ENODEV, "{selector}");
        assert!(error.to_string().contains("there are: uio0 (uio_dummy), uio10 (fpga)"), "{error}");
    }
    let text = sysfs.find_uio("foo").unwrap_err().to_string();
    assert!(text.starts_with("no UIO device is called foo: there are"), "{text}");
}

#[test]
fn two_devices_of_one_name_are_told_apart_by_number_only() {
    let (dir, sysfs) = two_devices();
    add_uio(dir.path(), "fpga2", 11, "fpga");
    let error = sysfs.find_uio("fpga").unwrap_err();
    assert_eq!(error.errno(), Errno::EEXIST);
    assert!(error.to_string().contains("uio10 (fpga), uio11 (fpga)"), "{error}");
    assert_eq!(sysfs.find_uio("uio11").unwrap().number, 11);
}

#[test]
fn a_parent_of_two_devices_is_ambiguous() {
    let (dir, sysfs) = two_devices();
    add_uio(dir.path(), "fpga", 12, "fpga-b");
    let error = sysfs.find_uio("/sys/devices/platform/fpga").unwrap_err();
    assert_eq!(error.errno(), Errno::EEXIST);
}

#[test]
fn a_device_that_vanishes_is_left_out() {
    let (dir, sysfs) = two_devices();
    fs::remove_dir_all(dir.path().join("devices/platform/fpga")).unwrap();
    let all = sysfs.uio_devices().unwrap();
    assert_eq!(all.iter().map(|info| info.number).collect::<Vec<_>>(), [0]);
}

#[test]
fn damaged_attributes_read_as_nothing() {
    let (dir, sysfs) = two_devices();
    let uio = dir.path().join("class/uio/uio0");
    fs::write(uio.join("event"), "many").unwrap();
    fs::write(uio.join("name"), b"\xff\xfe\n").unwrap();
    fs::write(uio.join("maps/map0/addr"), "0xfffffffffffffffff").unwrap();
    fs::remove_file(uio.join("maps/map0/size")).unwrap();
    let info = sysfs.uio_device(0).unwrap();
    assert_eq!((info.events, info.maps[0].addr, info.maps[0].size), (0, 0, 0));
    assert_eq!(info.name, "\u{fffd}\u{fffd}");
}
