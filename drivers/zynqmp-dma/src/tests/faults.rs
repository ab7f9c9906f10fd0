//! The channel at its worst: errors, silence, lies, and its end.

use super::*;

/// Bits of ISR that end a copy: writing and reading refused, descriptors, a register that is not there.
const ERROR_BITS: [u32; 5] = [1 << 9, 1 << 8, 1 << 7, 1 << 6, 1];

#[test]
fn an_error_interrupt_ends_its_copy_with_eio_and_the_channel_goes_on() {
    for bit in ERROR_BITS {
        let rig = Rig::new();
        let client = rig.queue(1);
        rig.controls.stall(true);
        rig.controls.fail_next(bit);
        for cookie in 1..4 {
            client.submit(0, 64, 64, cookie).unwrap();
        }
        rig.controls.stall(false);
        let told = [client.wait(), client.wait(), client.wait()];
        assert_eq!(told, [Ok((1, number(Errno::EIO))), Ok((2, 0)), Ok((3, 0))], "{bit:#x}");
        assert_eq!((rig.stat(ERRORS), rig.stat(COPIES)), (1, 2));
        assert_eq!(rig.controls.register(0x104), 0xFFF & !0x7C9, "its interrupts are on again");
    }
}

#[test]
fn a_copy_that_falls_short_is_an_error() {
    let rig = Rig::new();
    let client = rig.queue(1);
    rig.controls.fall_short_next(32);
    client.submit(0, 64, 64, 1).unwrap();
    assert_eq!(client.wait(), Ok((1, number(Errno::EIO))));
    client.submit(0, 64, 64, 2).unwrap();
    assert_eq!(client.wait(), Ok((2, 0)));
}

#[test]
fn an_echo_that_fails_is_told_to_its_writer() {
    let rig = Rig::new();
    let client = rig.client(1);
    rig.controls.fail_next(1 << 8);
    assert_eq!(client.write(b"Hello"), Err(Errno::EIO));
    assert_eq!(client.read_all(), b"");
    assert_eq!(client.write(b"Hello"), Ok(5));
    assert_eq!(client.read_all(), b"Hello");
    assert_eq!(rig.node.engine.keep.memory.free(), 64 << 10);
}

#[test]
fn a_copy_that_never_ends_is_given_up_and_the_next_has_its_turn() {
    let rig = Rig::new();
    let client = rig.queue(1);
    rig.controls.stall(true);
    client.submit(0, 64, 64, 1).unwrap();
    client.submit(0, 64, 64, 2).unwrap();
    assert_eq!(client.wait(), Ok((1, number(Errno::ETIMEDOUT))));
    rig.controls.stall(false);
    assert_eq!(client.wait(), Ok((2, 0)));
    assert_eq!((rig.stat(TIMEOUTS), rig.stat(COPIES)), (1, 1));
}

#[test]
fn a_channel_that_does_not_stop_is_left_alone_until_it_does() {
    let rig = Rig::new();
    let (client, writer) = (rig.queue(1), rig.client(2));
    rig.controls.stall(true);
    rig.controls.ignore_stop(true);
    assert_eq!(writer.try_write(b"Hello"), Err(Errno::EAGAIN));
    client.submit(0, 64, 64, 1).unwrap();
    assert_eq!(writer.write(b"Hello"), Err(Errno::ETIMEDOUT));
    assert_eq!(client.wait(), Ok((1, number(Errno::EIO))), "it was not tried");
    assert_eq!(client.submit(0, 64, 64, 2), Err(Errno::EIO));
    let free = rig.node.engine.keep.memory.free();
    assert_eq!(free, (64 << 10) - 256, "what the channel may write to is given to nobody");
    rig.controls.stall(false);
    eventually("the channel rests", || client.submit(0, 64, 64, 3).is_ok());
    assert_eq!(client.wait(), Ok((3, 0)));
    assert_eq!(rig.node.engine.keep.memory.free(), 64 << 10);
}

#[test]
fn an_interrupt_that_is_lost_costs_a_moment_and_no_more() {
    let rig = Rig::new();
    let client = rig.queue(1);
    rig.controls.lose_interrupts(1);
    client.submit(0, 64, 64, 1).unwrap();
    client.submit(0, 64, 64, 2).unwrap();
    assert_eq!([client.wait(), client.wait()], [Ok((1, 0)), Ok((2, 0))]);
    eventually("it is counted", || rig.stat(LOST) == 1);
}

#[test]
fn an_interrupt_for_no_reason_ends_nothing() {
    let rig = Rig::new();
    let client = rig.queue(1);
    rig.controls.raise(1 << 10);
    eventually("it is acknowledged", || rig.controls.register(0x100) == 0);
    rig.controls.stall(true);
    client.submit(0, 64, 64, 1).unwrap();
    for _ in 0..5 {
        rig.controls.raise(1 << 10);
        eventually("it is acknowledged", || rig.controls.register(0x100) == 0);
    }
    assert_eq!(client.try_read(16), Err(Errno::EAGAIN), "it runs still");
    rig.controls.stall(false);
    assert_eq!(client.wait(), Ok((1, 0)));
    assert_eq!((rig.stat(COPIES), rig.stat(ERRORS)), (1, 0));
}

#[test]
fn when_the_device_is_gone_all_in_flight_end_with_enodev() {
    let rig = Rig::new();
    let (client, writer) = (rig.queue(1), rig.client(2));
    rig.controls.stall(true);
    for cookie in 0..20 {
        client.submit(0, 64, 64, cookie).unwrap();
    }
    assert_eq!(writer.try_write(b"Hello"), Err(Errno::EAGAIN));
    let engine = Arc::clone(&rig.node.engine);
    // As the driver does it, when the registry tells.
    rig.device.on_gone(move |_| engine.gone());
    rig.controls.unplug();
    for cookie in 0..20 {
        assert_eq!(client.wait(), Ok((cookie, number(Errno::ENODEV))));
    }
    assert_eq!(writer.write(b"Hello"), Err(Errno::ENODEV));
    assert_eq!(client.submit(0, 64, 64, 1), Err(Errno::ENODEV));
    eventually("the regions say so", || rig.device.is_gone());
    client.mode(1, 0).unwrap();
    assert_eq!(client.read(8), Err(Errno::ENODEV), "and the memory is gone with it");
}

#[test]
fn quiescing_stops_the_channel_before_the_memory_goes() {
    let mut rig = Rig::new();
    let client = rig.queue(1);
    rig.controls.stall(true);
    client.submit(0, 64, 64, 1).unwrap();
    client.submit(0, 64, 64, 2).unwrap();
    rig.running.as_ref().unwrap().quiesce();
    let mut told = [client.wait().unwrap(), client.wait().unwrap()];
    told.sort_unstable();
    assert_eq!(told, [(1, number(Errno::ENODEV)), (2, number(Errno::ENODEV))]);
    assert_eq!((rig.controls.register(0x11C), rig.controls.register(0x200)), (0, 0), "it rests");
    assert_eq!(client.submit(0, 64, 64, 3), Err(Errno::ENODEV));
    rig.controls.stall(false);
    drop(rig.running.take());
    assert_eq!(rig.controls.transfers(), [], "nothing was written behind the driver's back");
    assert_eq!(rig.controls.register(0x104), 0xFFF, "and nothing raises");
}

#[test]
fn what_runs_may_end_before_the_channel_is_stopped() {
    let rig = Rig::with(Options { delay: Duration::from_millis(5), ..Options::default() });
    let client = rig.queue(1);
    client.submit(0, 64, 64, 1).unwrap();
    rig.running.as_ref().unwrap().quiesce();
    assert_eq!(client.wait(), Ok((1, 0)));
}

#[test]
fn memory_that_a_channel_may_write_to_is_kept_from_everybody() {
    let mut rig = Rig::new();
    let client = rig.queue(1);
    rig.controls.stall(true);
    rig.controls.ignore_stop(true);
    client.submit(0, 64, 64, 1).unwrap();
    drop(rig.running.take());
    assert_eq!(client.wait(), Ok((1, number(Errno::ENODEV))));
    let keep = Arc::downgrade(&rig.node.engine.keep);
    let memory = rig.node.engine.keep.memory.clone();
    drop(client);
    rig.node = {
        let other = Rig::new();
        Arc::clone(&other.node)
    };
    assert!(keep.upgrade().is_some(), "though nobody holds it");
    assert_eq!(memory.free(), 64 << 10);
}
