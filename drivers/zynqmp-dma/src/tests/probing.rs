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
