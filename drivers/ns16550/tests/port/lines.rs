//! Modem lines: read, set, waited for; what opening, closing and B0 do to them.

use libc::{CBAUD, HUPCL, TIOCM_CAR, TIOCM_CTS, TIOCM_DSR, TIOCM_DTR, TIOCM_RNG, TIOCM_RTS};
use ns16550_model::{Mcr, Msr, Options};

use super::bench::{
    Bench, Client, Count, TIOCMBIC, TIOCMBIS, TIOCMGET, TIOCMSET, Task, Word, closed, wait_until,
};

const TIOCMIWAIT: u32 = 0x545C;
const TIOCM_OUT1: i32 = 0x2000;
const TIOCM_OUT2: i32 = 0x4000;
const TIOCM_LOOP: i32 = 0x8000;

#[test]
fn inputs_are_read_and_their_changes_counted() {
    let bench = Bench::new();
    let inputs = TIOCM_CTS | TIOCM_DSR | TIOCM_RNG | TIOCM_CAR;
    bench.end.set_inputs(Msr::CTS | Msr::DSR | Msr::RI | Msr::DCD);
    wait_until("the inputs", || bench.client.get(TIOCMGET) & inputs == inputs);
    bench.end.set_inputs(Msr::empty());
    wait_until("no inputs", || bench.client.get(TIOCMGET) & inputs == 0);
    let count = |which| bench.client.count(which);
    assert_eq!((count(Count::Cts), count(Count::Dsr), count(Count::Dcd)), (2, 2, 2));
    assert_eq!(count(Count::Rng), 1, "a ring counts when it ends");
}

#[test]
fn outputs_are_set_one_by_one_or_all_at_once() {
    let bench = Bench::new();
    let outputs = || bench.end.outputs() & !Mcr::OUT2;
    assert_eq!(outputs(), Mcr::DTR | Mcr::RTS, "as opening leaves them");
    bench.client.set(TIOCMBIC, TIOCM_RTS);
    assert_eq!(outputs(), Mcr::DTR);
    bench.client.set(TIOCMBIS, TIOCM_RTS | TIOCM_OUT1);
    assert_eq!(outputs(), Mcr::DTR | Mcr::RTS | Mcr::OUT1);
    bench.client.set(TIOCMSET, TIOCM_DTR);
    assert_eq!(outputs(), Mcr::DTR);
    assert_eq!(bench.client.get(TIOCMGET) & !TIOCM_OUT2, TIOCM_DTR);
    assert!(bench.end.outputs().contains(Mcr::OUT2), "it carries the interrupt");
}

#[test]
fn the_loop_of_the_uart_gives_back_what_is_written() {
    let bench = Bench::new();
    bench.client.set(TIOCMBIS, TIOCM_LOOP);
    bench.client.write_all(b"round");
    assert_eq!(bench.client.read_exact(5), b"round");
    bench.client.set(TIOCMBIC, TIOCM_LOOP);
    bench.client.write_all(b"out");
    bench.expect_sent(b"out");
}

#[test]
fn tiocmiwait_waits_for_the_lines_that_it_names() {
    let bench = Bench::new();
    let client = bench.client.clone();
    let waiting = Task::start(move || client.command(TIOCMIWAIT, TIOCM_CAR as u64));
    // It may not have begun to wait yet: the line changes until it has noticed.
    bench.end.set_inputs(Msr::CTS);
    wait_until("CTS", || bench.client.get(TIOCMGET) & TIOCM_CTS != 0);
    assert!(waiting.is_running(), "another line");
    let mut carrier = Msr::CTS;
    wait_until("the carrier", || {
        carrier ^= Msr::DCD;
        bench.end.set_inputs(carrier);
        !waiting.is_running()
    });
    waiting.finish().unwrap();
}

#[test]
fn the_first_open_raises_dtr_and_rts_and_the_last_close_drops_them() {
    let bench = closed(Options::default()).unwrap();
    assert!(bench.end.outputs().is_empty());
    let (first, second) = (bench.client.clone(), Client::of(&bench.port, 2, 0));
    first.open().unwrap();
    second.open().unwrap();
    let both = Mcr::DTR | Mcr::RTS;
    assert!(bench.end.outputs().contains(both));
    first.close();
    assert!(bench.end.outputs().contains(both));
    second.close();
    wait_until("the hang-up", || bench.end.outputs().is_empty());
}

#[test]
fn without_hupcl_the_last_close_leaves_dtr_and_rts() {
    let bench = Bench::new();
    bench.client.change(|termios| termios.clear(Word::Cflag, HUPCL));
    bench.client.close();
    wait_until("the end", || bench.end.ier().is_empty());
    assert!(bench.end.outputs().contains(Mcr::DTR | Mcr::RTS));
}

#[test]
fn b0_hangs_up_and_any_other_rate_comes_back() {
    let bench = Bench::new();
    let both = Mcr::DTR | Mcr::RTS;
    let hung_up = bench.client.change(|termios| termios.clear(Word::Cflag, CBAUD));
    assert_eq!((hung_up.get(Word::Cflag) & CBAUD, hung_up.get(Word::Ospeed)), (0, 0));
    assert!(!bench.end.outputs().intersects(both));
    bench.client.change(|termios| termios.set(Word::Cflag, libc::B19200));
    assert!(bench.end.outputs().contains(both));
    assert_eq!(bench.end.divisor(), 6);
}
