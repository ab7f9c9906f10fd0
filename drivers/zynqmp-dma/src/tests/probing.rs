//! What the driver asks of a device before it takes it.

use super::*;

fn refused(options: Options) -> (Errno, String) {
    let error = Rig::try_with(options).err().expect("it is refused");
    (error.errno(), error.to_string())
}

#[test]
fn without_a_carve_out_it_needs_the_users_word() {
    let (errno, text) = refused(Options { memory: 0, ..Options::default() });
    assert_eq!(errno, Errno::EPERM);
    assert!(text.contains("carve-out") && text.contains("--i-accept-dma-risk"), "{text}");
}

#[test]
fn a_carve_out_that_is_too_small_is_refused() {
    let (errno, text) = refused(Options { memory: 64 << 10, ..Options::default() });
    assert_eq!(errno, Errno::EINVAL);
    assert!(text.contains("0x20000 is the least"), "{text}");
}

#[test]
fn a_bus_of_an_unknown_width_is_refused() {
    let (errno, text) = refused(Options { bus_width: 32, ..Options::default() });
    assert_eq!(errno, Errno::EINVAL);
    assert!(text.contains("xlnx,bus-width = <32>"), "{text}");
}

#[test]
fn the_channel_is_set_up_for_simple_mode_and_left_quiet() {
    let mut rig = Rig::new();
    assert_eq!((rig.controls.register(0x110), rig.controls.register(0x120)), (0, 0x0483_D20F));
    assert_eq!(rig.controls.register(0x104), 0xFFF & !0x7C9);
    drop(rig.running.take());
    assert_eq!(rig.controls.register(0x104), 0xFFF);
}

#[test]
fn an_engine_that_sees_the_caches_is_told_to_look() {
    let rig = Rig::with(Options { is_coherent: true, ..Options::default() });
    assert_eq!(rig.controls.register(0x120), 0x0483_D20F | 0xF << 22 | 0xF << 8);
    let client = rig.queue(1);
    client.submit(0, 64, 64, 1).unwrap();
    assert_eq!(client.wait(), Ok((1, 0)));
    assert_eq!((rig.controls.register(0x134), rig.controls.register(0x144)), (1, 1));
}
