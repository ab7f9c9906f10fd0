//! Blocks that are no PL031, and devices that go away.

use pl031_model::{Options, PL031_IDS};
use uio_core::chardev::CharDevice;
use uio_core::error::Errno;

use super::bench::{
    AIE_OFF, AIE_ON, ALM_READ, Bench, RD_TIME, Task, WKALM_RD, alarms, bare, wait_until,
};

#[test]
fn a_block_that_is_no_pl031_is_refused_with_what_it_is_and_left_alone() {
    let [_, rest @ ..] = PL031_IDS;
    let gpio = [[0x61].as_slice(), &rest].concat().try_into().unwrap();
    let mut st = PL031_IDS;
    (st[1], st[2]) = (0x00, 0x18);
    let mut other = PL031_IDS;
    other[7] = 0;
    for (ids, words) in [
        (gpio, "PrimeCell 0x061 of designer 0x41"),
        (st, "ST's variant"),
        (other, "identification reads 0x0005f00d"),
        ([0; 8], "nothing but zeroes"),
    ] {
        let bare = bare(Options { ids, started: false, ..Options::default() });
        let world = bare.world.clone();
        let error = bare.try_drive().map(drop).unwrap_err();
        assert_eq!(error.errno(), Errno::ENODEV);
        assert!(error.to_string().contains(words), "{error}");
        world.advance(1);
        assert_eq!(world.time(), 0, "it was not started");
    }
}

#[test]
fn a_later_revision_is_driven() {
    let mut ids = PL031_IDS;
    ids[2] = 0x34;
    let bench = Bench::with(Options { ids, ..Options::default() });
    bench.client.write("+0\n").unwrap();
    assert_eq!(bench.client.word(), alarms(1));
}

#[test]
fn a_device_that_is_gone_says_enodev_to_every_call() {
    let bench = Bench::new();
    bench.client.write("+10\n").unwrap();
    bench.world.unplug();
    wait_until("the end", || bench.device.is_gone());
    for cmd in [RD_TIME, WKALM_RD, ALM_READ, AIE_OFF] {
        assert_eq!(bench.client.ioctl(cmd, &[]), Err(Errno::ENODEV), "{cmd:#x}");
    }
    assert_eq!(bench.client.ioctl(AIE_ON, &[]).err(), None, "it is on, as far as anybody knows");
    for line in ["@5\n", "+5\n", "alarm @5\n"] {
        assert_eq!(bench.client.write(line), Err(Errno::ENODEV), "{line:?}");
    }
    assert_eq!(bench.client.try_read(4096), Err(Errno::ENODEV));
    bench.rtc.release(&bench.client.file);
}

#[test]
fn an_end_of_the_driver_leaves_the_clock_quiet() {
    let bench = Bench::new();
    bench.client.write("+10\n").unwrap();
    let client = bench.client.clone();
    let reading = Task::start(move || {
        let line = client.line();
        drop(client);
        line
    });
    reading.finish();
    let (world, device) = (bench.world.clone(), bench.device.clone());
    drop(bench);
    assert!(!world.is_unmasked() && !world.is_raised());
    world.advance(20);
    assert_eq!(world.interrupts(), 0);
    drop(device);
}
