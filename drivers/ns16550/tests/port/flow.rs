//! Flow control: RTS and CTS, XON and XOFF, and the client's own hand.

use libc::{CRTSCTS, IXANY, IXOFF, IXON};
use ns16550_model::{Mcr, Msr};

use super::bench::{
    Bench, Count, TCFLSH, TCXONC, TIOCINQ, TIOCMGET, TIOCOUTQ, Task, Word, pattern, wait_until,
};

const XON: u8 = 0x11;
const XOFF: u8 = 0x13;

/// Sends the UART bytes until `enough`; how many.
fn pour(bench: &Bench, mut enough: impl FnMut() -> bool) -> usize {
    let mut sent = 0;
    wait_until("the ring's fill", || {
        sent += bench.end.offer(b"01234567");
        enough()
    });
    sent
}

#[test]
fn rts_falls_when_the_ring_is_nearly_full_and_rises_when_it_was_read() {
    let bench = Bench::new();
    bench.client.change(|termios| termios.set(Word::Cflag, CRTSCTS));
    let rts = || bench.end.outputs().contains(Mcr::RTS);
    assert!(rts());
    let sent = pour(&bench, || !rts());
    assert!(sent >= 48 * 1024, "not before three quarters: {sent}");
    assert_eq!(bench.client.get(TIOCMGET) & libc::TIOCM_RTS, 0);
    // A sender that is late to stop loses nothing, if it is no later than a FIFO is long.
    wait_until("an empty FIFO", || bench.end.unread() == 0);
    bench.end.inject(b"a late one");
    bench.client.read_exact(sent - 16 * 1024 - 100);
    assert!(!rts(), "more than a quarter is still there");
    bench.client.read_exact(200 + 10);
    wait_until("RTS", rts);
    bench.client.read_exact(16 * 1024 - 100);
    assert_eq!(bench.client.count(Count::Overrun), 0);
}

#[test]
fn the_output_stops_while_cts_is_off() {
    let bench = Bench::new();
    bench.end.set_inputs(Msr::CTS);
    wait_until("CTS", || bench.client.get(TIOCMGET) & libc::TIOCM_CTS != 0);
    bench.client.change(|termios| termios.set(Word::Cflag, CRTSCTS));
    bench.client.write_all(b"one");
    bench.expect_sent(b"one");
    bench.end.set_inputs(Msr::empty());
    wait_until("no CTS", || bench.client.get(TIOCMGET) & libc::TIOCM_CTS == 0);
    bench.client.write_all(b"two");
    let more = Task::start({
        let client = bench.client.clone();
        move || client.write_all(&pattern(5000))
    });
    wait_until("a full ring", || bench.client.get(TIOCOUTQ) == 4096);
    assert!(more.is_running() && bench.end.sent().is_empty());
    bench.end.set_inputs(Msr::CTS);
    more.finish();
    bench.expect_sent(&[b"two".as_slice(), &pattern(5000)].concat());
}

#[test]
fn without_crtscts_cts_means_nothing() {
    let bench = Bench::new();
    bench.client.write_all(b"out");
    bench.expect_sent(b"out");
}

#[test]
fn xoff_and_xon_are_sent_as_the_ring_fills_and_empties() {
    let bench = Bench::new();
    bench.client.change(|termios| termios.set(Word::Iflag, IXOFF));
    let mut told = Vec::new();
    let sent = pour(&bench, || {
        told.extend(bench.end.sent());
        !told.is_empty()
    });
    assert_eq!(told, [XOFF]);
    assert!(sent >= 48 * 1024, "not before three quarters: {sent}");
    bench.client.read_exact(sent);
    bench.expect_sent(&[XON]);
}

#[test]
fn xoff_goes_out_before_what_waits_and_past_a_stopped_output() {
    let bench = Bench::new();
    bench.client.change(|termios| termios.set(Word::Cflag, CRTSCTS));
    bench.client.write_all(b"waits for CTS");
    bench.client.command(TCXONC, libc::TCIOFF as u64).unwrap();
    bench.expect_sent(&[XOFF]);
    bench.client.command(TCXONC, libc::TCION as u64).unwrap();
    bench.expect_sent(&[XON]);
    bench.end.set_inputs(Msr::CTS);
    bench.expect_sent(b"waits for CTS");
}

#[test]
fn a_received_xoff_stops_the_output_until_xon() {
    let bench = Bench::new();
    bench.client.change(|termios| termios.set(Word::Iflag, IXON));
    bench.end.inject(&[b'a', XOFF, b'b']);
    assert_eq!(bench.client.read_exact(2), b"ab", "it is not data");
    bench.client.write_all(b"held");
    bench.end.inject(b"c");
    assert_eq!(bench.client.read_exact(1), b"c", "any other character changes nothing");
    assert!(bench.end.sent().is_empty());
    bench.end.inject(&[XON]);
    bench.expect_sent(b"held");
}

#[test]
fn with_ixany_any_character_lets_the_output_go_on() {
    let bench = Bench::new();
    bench.client.change(|termios| termios.set(Word::Iflag, IXON | IXANY));
    bench.end.inject(&[XOFF, b'-']);
    assert_eq!(bench.client.read_exact(1), b"-");
    bench.end.inject(&[XOFF]);
    wait_until("the character", || bench.client.count(Count::Rx) == 3);
    bench.client.write_all(b"held");
    bench.end.inject(b"!");
    bench.expect_sent(b"held");
    assert_eq!(bench.client.read_exact(1), b"!", "and is data all the same");
}

#[test]
fn turning_ixon_off_frees_the_output() {
    let bench = Bench::new();
    bench.client.change(|termios| termios.set(Word::Iflag, IXON));
    bench.end.inject(&[XOFF]);
    wait_until("the character", || bench.client.count(Count::Rx) == 1);
    bench.client.write_all(b"held");
    bench.client.change(|termios| termios.clear(Word::Iflag, IXON));
    bench.expect_sent(b"held");
}

#[test]
fn the_client_suspends_and_resumes_its_output() {
    let bench = Bench::new();
    bench.client.command(TCXONC, libc::TCOOFF as u64).unwrap();
    bench.client.write_all(b"later");
    bench.end.inject(b"x");
    wait_until("a run of the bottom half", || bench.client.get(TIOCINQ) == 1);
    assert!(bench.end.sent().is_empty());
    bench.client.command(TCXONC, libc::TCOON as u64).unwrap();
    bench.expect_sent(b"later");
    assert!(bench.client.command(TCXONC, 4).is_err());
}

#[test]
fn flushing_forgets_each_queue_by_itself() {
    let bench = Bench::new();
    bench.client.command(TCXONC, libc::TCOOFF as u64).unwrap();
    bench.client.write_all(b"out");
    bench.end.inject(b"in");
    wait_until("both", || bench.client.get(TIOCINQ) == 2);
    bench.client.command(TCFLSH, libc::TCIFLUSH as u64).unwrap();
    assert_eq!((bench.client.get(TIOCINQ), bench.client.get(TIOCOUTQ)), (0, 3));
    bench.client.command(TCFLSH, libc::TCOFLUSH as u64).unwrap();
    assert_eq!(bench.client.get(TIOCOUTQ), 0);
    bench.client.command(TCXONC, libc::TCOON as u64).unwrap();
    bench.client.write_all(b"new");
    bench.expect_sent(b"new");
}

#[test]
fn flushing_the_input_lets_a_throttled_sender_go_on() {
    let bench = Bench::new();
    bench.client.change(|termios| termios.set(Word::Cflag, CRTSCTS));
    let rts = || bench.end.outputs().contains(Mcr::RTS);
    pour(&bench, || !rts());
    bench.client.command(TCFLSH, libc::TCIFLUSH as u64).unwrap();
    wait_until("RTS", rts);
}
