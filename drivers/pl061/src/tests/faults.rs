//! A block that is another one, goes away, or is to be left.

use pl061_model::Options;

use super::*;

#[test]
fn another_block_is_refused_before_anything_is_written() {
    let part = [0x31, 0x10, 0x04, 0x00];
    let text = Rig::prepared(Options { part, ..Options::default() }, |_| {}).err().unwrap();
    let text = text.to_string();
    assert!(text.contains("it is the PrimeCell PL031 (0xfe0 to 0xfec read 31 10 04 00)"), "{text}");
    let cell = [0; 4];
    let text = Rig::prepared(Options { cell, ..Options::default() }, |_| {}).err().unwrap();
    let text = text.to_string();
    assert!(text.contains("read 00 00 00 00, and those of a PrimeCell 0d f0 05 b1"), "{text}");
    assert!(text.contains("`reg` in the device tree"), "{text}");
}

#[test]
fn a_probe_leaves_directions_and_levels_as_they_are() {
    let mut rig = Rig::new();
    rig.client(1).say("0-3 out 1");
    rig.controls.shown();
    drop(rig.running.take());
    let node = chardev::Options::new("gpiouio0");
    let (device, softirqs) = (&rig.device, &rig.softirqs);
    let probe = Probe { device, softirqs, node: &node, irq_types: IrqTypes::ALL, instance: 0 };
    let again = Running::start(&probe, "gpiouio0").unwrap();
    assert!(rig.controls.shown().is_empty());
    drop(again);
}

#[test]
fn a_device_that_is_gone_is_enodev_for_every_call() {
    let rig = Rig::new();
    let client = rig.client(1);
    client.say("0 in both");
    rig.controls.line().unplug();
    eventually("the end of the device", || rig.device.is_gone());
    assert_eq!(client.write("0 out 1"), Err(Errno::ENODEV));
    assert_eq!(client.levels(1), Err(Errno::ENODEV));
    assert_eq!(client.set_levels(1, 1), Err(Errno::ENODEV));
    let mut info = vec![0; 256];
    info[64] = 1;
    assert_eq!(client.ioctl(crate::ioctl::GET_LINEINFO, &info, 256), Err(Errno::ENODEV));
}

#[test]
fn a_block_that_is_to_be_left_interrupts_no_more_and_its_outputs_stay() {
    let mut rig = Rig::new();
    let client = rig.client(1);
    client.say("0 in both; 4 out 1; 5 in level-low");
    assert_eq!(client.event(), [LEVEL_LOW, 5, 1, 1]);
    let before = rig.controls.outputs();
    rig.running.as_ref().unwrap().quiesce();
    assert_eq!(rig.controls.register(IE), 0);
    assert_eq!(client.write("0 in both"), Err(Errno::ENODEV));
    drop(rig.running.take());
    assert_eq!(rig.controls.outputs(), before);
    rig.controls.set(0, true);
    assert_eq!(rig.controls.register(IE), 0);
}
