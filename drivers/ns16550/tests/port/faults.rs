//! Errors of the line: counted, and told to the reader as he wants it.

use libc::{BRKINT, IGNBRK, IGNPAR, INPCK, PARMRK};
use ns16550_model::Lsr;

use super::bench::{Bench, Count, TIOCINQ, Word, wait_until};

#[test]
fn each_kind_of_error_is_counted_and_raw_mode_passes_the_character() {
    let bench = Bench::new();
    for (errors, count) in [
        (Lsr::PARITY, Count::Parity),
        (Lsr::FRAMING, Count::Frame),
        (Lsr::BREAK | Lsr::FRAMING, Count::Brk),
    ] {
        for round in 1..=3 {
            bench.end.inject_error(b'e', errors);
            bench.end.inject(b"s");
            let data = bench.client.read_exact(2);
            let first = if errors.contains(Lsr::BREAK) { 0 } else { b'e' };
            assert_eq!(data, [first, b's'], "{errors:?}");
            assert_eq!(bench.client.count(count), round, "{errors:?}");
        }
    }
    assert_eq!(bench.client.count(Count::Frame), 3, "that of a break is none of its own");
}

#[test]
fn an_error_stays_with_its_character() {
    let bench = Bench::new();
    bench.client.change(|termios| termios.set(Word::Iflag, INPCK | PARMRK));
    bench.end.inject(b"ab");
    bench.end.inject_error(b'c', Lsr::PARITY);
    bench.end.inject(b"d");
    bench.end.inject_break();
    bench.end.inject(&[0xFF]);
    let wanted = [b'a', b'b', 0xFF, 0, b'c', b'd', 0xFF, 0, 0, 0xFF, 0xFF];
    assert_eq!(bench.client.read_exact(wanted.len()), wanted);
}

#[test]
fn what_the_client_ignores_is_not_read_and_still_counted() {
    let bench = Bench::new();
    bench.client.change(|termios| termios.set(Word::Iflag, IGNPAR | IGNBRK));
    bench.end.inject_error(b'x', Lsr::FRAMING);
    bench.end.inject_break();
    bench.end.inject(b"sound");
    assert_eq!(bench.client.read_exact(5), b"sound");
    assert_eq!((bench.client.count(Count::Frame), bench.client.count(Count::Brk)), (1, 1));
    bench.client.change(|termios| {
        termios.clear(Word::Iflag, IGNBRK);
        termios.set(Word::Iflag, BRKINT);
    });
    bench.end.inject_break();
    bench.end.inject(b"!");
    assert_eq!(bench.client.read_exact(1), b"!", "a break that would be a signal");
}

#[test]
fn without_flow_control_what_the_reader_leaves_stays_in_the_uart_and_then_overruns() {
    let bench = Bench::new();
    let fill = |count: usize| {
        let mut at = 0;
        wait_until("room in the ring", || {
            at += bench.end.offer(&vec![b'x'; count - at]);
            at == count
        });
    };
    // As much as the ring takes, less the room of one marked character.
    fill(64 * 1024 - 2);
    wait_until("the ring", || bench.client.get(TIOCINQ) == 64 * 1024 - 2);
    bench.end.inject(b"0123456789abcdef");
    assert_eq!(bench.client.count(Count::Overrun), 0);
    assert_eq!(bench.end.unread(), 16, "they wait in the UART");
    bench.end.inject(b"lost");
    assert_eq!(bench.client.read_exact(64 * 1024 - 2), vec![b'x'; 64 * 1024 - 2]);
    assert_eq!(bench.client.read_exact(16), b"0123456789abcdef");
    assert_eq!(bench.client.count(Count::Overrun), 1);
    bench.end.inject(b"on");
    assert_eq!(bench.client.read_exact(2), b"on");
}
