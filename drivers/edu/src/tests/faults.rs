//! What goes wrong: interrupts that are lost, engines that do not stop, no IOMMU, the end.

use std::time::Instant;

use super::*;
use crate::engine::DEADLINE;
use crate::ioctl::FACTORIAL;

#[test]
fn a_lost_interrupt_is_noticed_and_the_answer_is_right() {
    for types in BOTH {
        let rig = Rig::with(Options::default(), types);
        rig.controls.lose_interrupts(1);
        let start = Instant::now();
        assert_eq!(rig.client(1).word(FACTORIAL, 7), Ok(5040));
        assert!(start.elapsed() >= DEADLINE);
        eventually("it to be counted", || rig.stats()[8] == 1);
        assert_eq!(rig.client(1).word(FACTORIAL, 8), Ok(40_320), "and it goes on");
    }
}

#[test]
fn what_does_not_end_is_given_up_and_the_engine_comes_back_by_itself() {
    let rig = Rig::new();
    let client = rig.client(1);
    rig.controls.stall(true);
    let waiting = std::thread::scope(|scope| {
        let first = scope.spawn(|| client.dma_write(0, b"first"));
        eventually("it to run", || !rig.node.dma().unwrap().is_idle());
        let second = scope.spawn(|| rig.client(2).dma_write(0, b"second"));
        [first, second].map(|thread| thread.join().unwrap())
    });
    let mut ends: Vec<_> = waiting.into_iter().map(|result| result.unwrap_err()).collect();
    ends.sort_unstable_by_key(|errno| *errno as i32);
    assert_eq!(ends, [Errno::EIO, Errno::ETIMEDOUT]);
    assert_eq!(client.dma_read(0, 1), Err(Errno::EIO), "refused at once");
    assert_eq!(rig.stats()[7], 1);
    rig.controls.stall(false);
    eventually("the device to stop", || client.dma_write(0, b"third").is_ok());
    assert_eq!(client.dma_read(0, 5).unwrap(), b"third");
}

#[test]
fn a_device_that_has_a_reset_is_reset() {
    let rig = Rig::with(Options { reset: true, ..Options::default() }, IrqTypes::ALL);
    let client = rig.client(1);
    rig.controls.stall(true);
    assert_eq!(client.word(FACTORIAL, 5), Err(Errno::ETIMEDOUT));
    // The reset has taken the stall away too.
    eventually("the device to be back", || client.word(FACTORIAL, 5) == Ok(120));
    assert!(rig.controls.is_master(), "after the reset it masters the bus again");
}

#[test]
fn without_an_iommu_there_is_no_dma_and_the_rest_works() {
    let options = Options { dma: false, ..Options::default() };
    let rig = Rig::with(options, IrqTypes::INTX);
    let client = rig.client(1);
    assert_eq!(client.word(FACTORIAL, 6), Ok(720));
    assert_eq!(client.dma_write(0, b"x"), Err(Errno::EOPNOTSUPP));
    assert_eq!(client.dma_read(0, 1), Err(Errno::EOPNOTSUPP));
    assert_eq!(client.write(b"x"), Err(Errno::EOPNOTSUPP));
    assert_eq!(client.read(1), Err(Errno::EOPNOTSUPP));
    assert!(!rig.controls.is_master(), "there is no reason to let it");
    assert_eq!(rig.stats()[9], 0);
    assert!(Rig::with(options, IrqTypes::MSI).controls.is_master(), "a message is a write");
}

#[test]
fn quiesce_takes_no_more_requests_and_ends_the_dma_of_what_does_not_stop() {
    let rig = Rig::new();
    let client = rig.client(1);
    client.dma_write(0, b"x").unwrap();
    rig.controls.stall(true);
    let (mut state, cmd) = (0, crate::ioctl::DMA_WRITE);
    let begun = client.try_ioctl(cmd, &edu_dma(0, 1), &mut [], &mut state);
    assert_eq!(begun, Err(Errno::EAGAIN));
    rig.running.as_ref().unwrap().quiesce();
    assert!(!rig.controls.is_master());
    assert_eq!(client.dma_write(0, b"x"), Err(Errno::ENODEV));
    assert_eq!(client.word(FACTORIAL, 1), Err(Errno::ENODEV));
}

#[test]
fn a_driver_that_goes_leaves_the_device_quiet() {
    let mut rig = Rig::new();
    assert!(rig.controls.is_master());
    rig.running = None;
    assert!(!rig.controls.is_master() && !rig.controls.uses_messages());
}

#[test]
fn a_device_that_is_gone_is_an_error_and_no_wait() {
    for types in BOTH {
        let rig = Rig::with(Options::default(), types);
        rig.controls.unplug();
        eventually("it to be gone", || rig.device.is_gone());
        assert_eq!(rig.client(1).word(FACTORIAL, 5), Err(Errno::ENODEV));
        assert_eq!(rig.client(1).dma_write(0, b"x"), Err(Errno::ENODEV));
    }
}

#[test]
fn a_kind_of_interrupt_that_the_device_has_not_is_refused() {
    let rig = std::panic::catch_unwind(|| Rig::with(Options::default(), IrqTypes::MSIX));
    let told = rig.err().and_then(|cause| cause.downcast::<String>().ok()).unwrap();
    assert!(told.contains("MSI-X") && told.contains("ENOSPC"), "{told}");
}
