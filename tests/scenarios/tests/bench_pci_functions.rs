//! The bench has the PCI functions that the stories count on, and its serial ports lose no byte.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use scenarios::pci::{self, Function};
use scenarios::stream::Pattern;
use scenarios::{fd, task, wait};

/// What goes each way: thousands of times what the port's FIFO holds.
const BYTES: usize = 128 << 10;

fn all() -> [Function; 6] {
    [pci::edu(0), pci::edu(1), pci::serial(0), pci::serial(1), pci::nvme(), pci::e1000e()]
}

#[test]
fn each_function_is_alone_in_its_iommu_group() {
    for function in all() {
        assert_eq!(function.siblings(), [function.to_string()]);
    }
}

#[test]
fn the_kernel_drives_the_serial_ports_and_nothing_else() {
    let drivers = all().map(Function::driver);
    let serial = || Some("serial".to_owned());
    assert_eq!(drivers, [None, None, serial(), serial(), None, None]);
}

#[test]
fn every_function_can_be_bound_to_vfio_and_gets_back_what_it_had() {
    for function in all() {
        let before = function.driver();
        let bound = pci::bind(function, "vfio-pci");
        let group = function.group().expect("a group");
        wait::until("the group's node", || Path::new("/dev/vfio").join(&group).exists());
        drop(bound);
        assert_eq!(function.driver(), before, "{function}");
        assert_eq!(function.attribute("driver_override"), "(null)");
    }
}

#[test]
fn a_conventional_function_can_be_bound_to_uio_pci_generic() {
    for function in [pci::edu(0), pci::serial(0)] {
        let _bound = pci::bind(function, "uio_pci_generic");
        wait::until("its node", || function.dir().join("uio").exists());
    }
}

#[test]
fn a_serial_port_of_the_kernel_and_its_other_end_lose_no_byte() {
    let tty = pci::tty(1);
    let end = pci::open_serial_end(1);
    let port = fd::both(&tty);
    let mut stty = Command::new("/bin/stty");
    stty.arg("-F").arg(&tty).args(["raw", "-echo", "-crtscts", "clocal", "115200"]);
    assert!(stty.status().expect("stty runs").success());
    carry(&port, &end);
    carry(&end, &port);
}

fn carry(from: &File, to: &File) {
    let (from, to) = [from, to].map(|file| file.try_clone().expect("a descriptor")).into();
    let sent = Pattern::new(3).take(BYTES);
    let expected = sent.clone();
    let writing = task::spawn(move || {
        let mut rest = &sent[..];
        while !rest.is_empty() {
            rest = &rest[fd::write(&from, rest).expect("a write")..];
        }
    });
    let reading = task::spawn(move || {
        let mut all = Vec::new();
        while all.len() < BYTES {
            all.extend(fd::read(&to, BYTES - all.len()).expect("a read"));
        }
        all
    });
    writing.finish("all bytes to go");
    assert!(reading.finish("all bytes to come") == expected, "other bytes came");
}
