//! What comes after the output: tcdrain, TCSETSW, TCSETSF, breaks. Each waits, and holds no thread.

use uio_core::chardev::CharDevice;
use uio_core::chardev::{IoctlArg, IoctlCmd};
use uio_core::error::Errno;

use super::bench::{
    Bench, Client, TCFLSH, TCGETS, TCSBRK, TCSETS, TCSETSF, TCSETSW, TIOCINQ, TIOCOUTQ, Task,
    wait_until,
};

const TCSBRKP: u32 = 0x5425;
const TIOCSBRK: u32 = 0x5427;
const TIOCCBRK: u32 = 0x5428;

fn drain(client: &Client) -> Task<Result<(), Errno>> {
    let client = client.clone();
    Task::start(move || client.command(TCSBRK, 1))
}

#[test]
fn tcdrain_returns_when_the_last_bit_is_on_the_wire() {
    let bench = Bench::new();
    bench.client.command(TCSBRK, 1).unwrap();
    bench.end.hold_transmitter(true);
    bench.client.write_all(b"0123456789abcdefXYZ");
    let draining = drain(&bench.client);
    let mut sent = Vec::new();
    while sent.len() < 18 {
        let left = 19 - sent.len();
        assert!(draining.is_running(), "{left} characters are not out");
        sent.extend(send_one(&bench));
    }
    wait_until("an empty ring", || bench.client.get(TIOCOUTQ) == 0);
    assert!(draining.is_running(), "the last one is in the shift register");
    sent.extend(send_one(&bench));
    draining.finish().unwrap();
    assert_eq!(sent, b"0123456789abcdefXYZ");
}

/// Lets one character out, when the driver has put it there: it may have been kept from its processor.
fn send_one(bench: &Bench) -> Vec<u8> {
    let mut sent = Vec::new();
    wait_until("a character to go out", || {
        bench.end.transmit(1);
        sent = bench.end.sent();
        !sent.is_empty()
    });
    sent
}

#[test]
fn a_drain_does_not_hold_up_others() {
    let bench = Bench::new();
    bench.end.hold_transmitter(true);
    bench.client.write_all(b"x");
    let draining = drain(&bench.client);
    bench.end.inject(b"in");
    assert_eq!(bench.client.read_exact(2), b"in");
    bench.client.write_all(b"y");
    assert!(draining.is_running());
    bench.end.hold_transmitter(false);
    draining.finish().unwrap();
}

#[test]
fn flushing_the_output_ends_a_drain() {
    let bench = Bench::new();
    bench.end.hold_transmitter(true);
    bench.client.write_all(&[b'x'; 100]);
    let draining = drain(&bench.client);
    bench.client.command(TCFLSH, libc::TCOFLUSH as u64).unwrap();
    bench.end.hold_transmitter(false);
    draining.finish().unwrap();
    assert!(bench.end.sent().len() <= 17, "no more than was in the UART");
}

#[test]
fn tcsetsw_changes_the_settings_after_the_output() {
    let bench = Bench::new();
    let before = bench.end.lcr();
    let mut termios = bench.client.ioctl(TCGETS, 0, &[]).unwrap();
    // CS7 for CS8.
    termios[8] = termios[8] & !0x30 | 0x20;
    bench.end.hold_transmitter(true);
    bench.client.write_all(b"in eight bits");
    let (client, wanted) = (bench.client.clone(), termios.clone());
    let setting = Task::start(move || client.ioctl(TCSETSW, 0, &wanted));
    wait_until("an empty ring", || bench.client.get(TIOCOUTQ) == 0);
    bench.end.transmit(12);
    assert!(setting.is_running() && bench.end.lcr() == before);
    bench.end.transmit(1);
    setting.finish().unwrap();
    assert_eq!(bench.end.lcr(), 0x02);
    assert_eq!(bench.client.ioctl(TCGETS, 0, &[]).unwrap(), termios);
}

#[test]
fn tcsetsf_forgets_the_input_and_tcsets_does_not() {
    let bench = Bench::new();
    let termios = bench.client.ioctl(TCGETS, 0, &[]).unwrap();
    bench.end.inject(b"abc");
    wait_until("the input", || bench.client.get(TIOCINQ) == 3);
    bench.client.ioctl(TCSETS, 0, &termios).unwrap();
    assert_eq!(bench.client.get(TIOCINQ), 3);
    bench.client.ioctl(TCSETSF, 0, &termios).unwrap();
    assert_eq!(bench.client.get(TIOCINQ), 0);
}

#[test]
fn a_break_comes_after_the_output_and_ends_by_itself() {
    let bench = Bench::new();
    bench.end.hold_transmitter(true);
    bench.client.write_all(b"x");
    let client = bench.client.clone();
    let breaking = Task::start(move || client.command(TCSBRK, 0));
    wait_until("an empty ring", || bench.client.get(TIOCOUTQ) == 0);
    assert_eq!(bench.end.breaks(), 0);
    bench.end.hold_transmitter(false);
    wait_until("the break", || bench.end.breaks() == 1);
    breaking.finish().unwrap();
    assert!(!bench.end.sends_break());
    bench.client.command(TCSBRKP, 1).unwrap();
    assert_eq!((bench.end.breaks(), bench.end.sends_break()), (2, false));
}

#[test]
fn a_break_whose_caller_went_away_ends_all_the_same() {
    let bench = Bench::new();
    let (mut state, cmd) = (0, IoctlCmd(TCSBRKP));
    let mut arg = IoctlArg { value: 1, input: &[], output: &mut [], state: &mut state };
    let begun = bench.port.ioctl(&bench.client.file, cmd, &mut arg);
    assert_eq!((begun, bench.end.breaks()), (Err(Errno::EAGAIN), 1));
    wait_until("the end of the break", || !bench.end.sends_break());
}

#[test]
fn a_break_may_be_held() {
    let bench = Bench::new();
    bench.client.command(TIOCSBRK, 0).unwrap();
    bench.client.command(TCSBRKP, 1).unwrap();
    assert!(bench.end.sends_break(), "as long as it is held");
    bench.client.command(TIOCCBRK, 0).unwrap();
    assert!(!bench.end.sends_break());
}
