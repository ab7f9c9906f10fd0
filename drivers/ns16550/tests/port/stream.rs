//! Bytes: whole, in order, both ways, however the interrupts fall.

use std::thread;
use std::time::Duration;

use ns16550_model::{Chip, Options, Plug};
use uio_core::chardev::{CharDevice, PollEvents};
use uio_core::error::Errno;
use uio_core::io::Width;

use super::bench::{Bench, Client, Count, TIOCINQ, TIOCOUTQ, Task, pattern, wait_until};

const MEBIBYTE: usize = 1 << 20;

/// How long a full UART is left alone.
const FULL: Duration = Duration::from_micros(50);

/// Sends `data` to the UART in bursts of odd sizes, as far as there is room.
fn send(bench: &Bench, data: Vec<u8>) -> Task<()> {
    let end = bench.end.clone();
    Task::start(move || {
        let mut at = 0;
        while at < data.len() {
            let burst = 1 + usize::from(data[at]) % 23;
            let taken = end.offer(&data[at..data.len().min(at + burst)]);
            at += taken;
            if taken == 0 {
                // The UART is full. Who asks on and on has the model's lock all the time, and on a busy machine the driver
                // never gets it.
                thread::sleep(FULL);
            } else if burst.is_multiple_of(5) {
                thread::yield_now();
            }
        }
    })
}

/// Takes what the UART sends, until there are `count` bytes.
fn collect(bench: &Bench, count: usize) -> Task<Vec<u8>> {
    let end = bench.end.clone();
    Task::start(move || {
        let mut sent = Vec::new();
        while sent.len() < count {
            sent.extend(end.sent());
            thread::yield_now();
        }
        sent
    })
}

fn both_ways(options: Options, count: usize) {
    let bench = Bench::with(options);
    let (input, output) = (pattern(count), pattern(count + 1)[1..].to_vec());
    let (sender, collector) = (send(&bench, input.clone()), collect(&bench, count));
    let (client, data) = (bench.client.clone(), output.clone());
    let writer = Task::start(move || client.write_all(&data));
    assert!(bench.client.read_exact(count) == input, "what came in");
    sender.finish();
    writer.finish();
    assert!(collector.finish() == output, "what went out");
    assert_eq!(bench.client.count(Count::Overrun), 0);
    assert_eq!(bench.client.count(Count::Rx) as usize, count);
    assert_eq!(bench.client.count(Count::Tx) as usize, count);
}

#[test]
fn a_mebibyte_goes_both_ways_at_once_and_is_whole() {
    both_ways(Options::default(), MEBIBYTE);
}

#[test]
fn registers_that_stand_apart_serve_as_well() {
    both_ways(Options { shift: 2, width: Width::U32, ..Options::default() }, MEBIBYTE / 8);
    both_ways(Options { shift: 1, width: Width::U16, ..Options::default() }, MEBIBYTE / 8);
}

#[test]
fn uarts_without_fifos_serve_as_well() {
    both_ways(Options { chip: Chip::I16450, ..Options::default() }, MEBIBYTE / 16);
    both_ways(Options { chip: Chip::I8250, ..Options::default() }, MEBIBYTE / 16);
}

#[test]
fn a_loop_back_plug_gives_back_what_is_written() {
    let bench = Bench::with(Options { plug: Plug::Looped, ..Options::default() });
    let data = pattern(MEBIBYTE / 4);
    let (client, written) = (bench.client.clone(), data.clone());
    let writer = Task::start(move || client.write_all(&written));
    assert!(bench.client.read_exact(data.len()) == data);
    writer.finish();
    assert_eq!(bench.client.count(Count::Overrun), 0);
}

#[test]
fn a_nonblocking_client_never_waits() {
    let bench = Bench::new();
    let client = bench.client.with_flags(libc::O_NONBLOCK);
    assert_eq!(client.try_read(1), Err(Errno::EAGAIN));
    bench.end.hold_transmitter(true);
    let mut written = 0;
    let full = loop {
        match client.port.write(&client.file, &[b'x'; 1000]) {
            Ok(count) => written += count,
            Err(errno) => break errno,
        }
    };
    assert_eq!(full, Errno::EAGAIN);
    assert!(!client.port.poll(&client.file).contains(PollEvents::OUT));
    bench.end.hold_transmitter(false);
    bench.expect_sent(&vec![b'x'; written]);
    assert!(client.port.poll(&client.file).contains(PollEvents::OUT));
}

#[test]
fn the_queues_are_counted() {
    let bench = Bench::new();
    bench.end.inject(b"12345");
    wait_until("five bytes", || bench.client.get(TIOCINQ) == 5);
    assert!(bench.port.poll(&bench.client.file).contains(PollEvents::IN));
    bench.end.hold_transmitter(true);
    bench.client.write_all(&[b'x'; 100]);
    // The FIFO was empty, and got what it holds.
    wait_until("a full FIFO", || bench.client.get(TIOCOUTQ) == 84);
    bench.end.hold_transmitter(false);
    wait_until("an empty queue", || bench.client.get(TIOCOUTQ) == 0);
}

#[test]
fn what_was_written_gets_out_after_the_last_close() {
    let bench = Bench::new();
    bench.end.hold_transmitter(true);
    bench.client.write_all(&pattern(1000));
    bench.client.close();
    bench.end.hold_transmitter(false);
    bench.expect_sent(&pattern(1000));
}

#[test]
fn what_comes_while_nobody_has_the_port_open_is_dropped() {
    let bench = Bench::new();
    bench.end.inject(b"unread");
    wait_until("the bytes", || bench.client.get(TIOCINQ) == 6);
    bench.client.close();
    wait_until("the end", || bench.end.ier().is_empty());
    bench.end.inject(b"unheard");
    let late = Client::of(&bench.port, 2, 0);
    late.open().unwrap();
    bench.end.inject(b"heard");
    assert_eq!(late.read(100).unwrap(), b"heard");
}

#[test]
fn a_device_that_is_gone_leaves_the_port_harmless() {
    let bench = Bench::new();
    bench.end.line().unplug();
    wait_until("the end", || bench.device.is_gone());
    assert_eq!(bench.client.command(super::bench::TCSBRK, 0), Err(Errno::ENODEV));
    bench.client.close();
}
