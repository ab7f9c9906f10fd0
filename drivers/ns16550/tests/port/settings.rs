//! Settings: what is set is in the registers, and what is read back is so.

use libc::{
    B9600, B115200, BOTHER, CBAUD, CMSPAR, CRTSCTS, CS5, CS7, CS8, CSIZE, CSTOPB, ECHO, ICANON,
    ICRNL, INLCR, ISIG, IXON, ONLCR, OPOST, PARENB, PARODD,
};
use ns16550_model::{Chip, Options};
use uio_core::chardev::CharDevice;
use uio_core::error::Errno;
use uio_core::io::Width;

use super::bench::{Bench, Client, TCGETS, TCSETS, TCSETS2, Termios, Word, closed};

const TIOCEXCL: u32 = 0x540C;
const TIOCNXCL: u32 = 0x540D;
const TIOCGPGRP: u32 = 0x540F;
const TIOCGWINSZ: u32 = 0x5413;
const TIOCSWINSZ: u32 = 0x5414;
const TIOCGSERIAL: u32 = 0x541E;
const TIOCSSERIAL: u32 = 0x541F;
const TIOCGETD: u32 = 0x5424;
const TIOCGSID: u32 = 0x5429;
const TIOCGEXCL: u32 = 0x8004_5440;

fn with_cflag(bench: &Bench, clear: u32, set: u32) -> Termios {
    bench.client.change(|termios| {
        termios.clear(Word::Cflag, clear);
        termios.set(Word::Cflag, set);
    })
}

#[test]
fn a_fresh_port_is_raw_9600_8n1() {
    let bench = Bench::new();
    let termios = bench.client.termios();
    assert_eq!((termios.get(Word::Iflag), termios.get(Word::Oflag)), (0, 0));
    assert_eq!(termios.get(Word::Lflag), 0);
    assert_eq!(termios.get(Word::Cflag) & (CBAUD | CSIZE | PARENB | CRTSCTS), B9600 | CS8);
    assert_eq!((termios.get(Word::Ispeed), termios.get(Word::Ospeed)), (9600, 9600));
    assert_eq!((bench.end.divisor(), bench.end.lcr()), (12, 0x03));
}

#[test]
fn framing_and_rate_reach_the_registers_and_read_back() {
    let bench = Bench::new();
    for (cflag, lcr) in [
        (CS7 | PARENB, 0x1A),
        (CS7 | PARENB | PARODD, 0x0A),
        (CS8 | PARENB | PARODD | CMSPAR, 0x2B),
        (CS8 | PARENB | CMSPAR, 0x3B),
        (CS5 | CSTOPB, 0x04),
    ] {
        let framing = CSIZE | CSTOPB | PARENB | PARODD | CMSPAR;
        let back = with_cflag(&bench, framing | CBAUD, cflag | B115200);
        assert_eq!(back.get(Word::Cflag) & (framing | CBAUD), cflag | B115200);
        assert_eq!((bench.end.lcr(), bench.end.divisor()), (lcr, 1));
    }
}

#[test]
fn settings_survive_the_last_close() {
    let bench = Bench::new();
    let before = with_cflag(&bench, CBAUD, B115200);
    bench.client.close();
    bench.client.open().unwrap();
    assert_eq!(bench.client.termios(), before);
    assert_eq!(bench.end.divisor(), 1);
}

#[test]
fn any_rate_may_be_asked_for_and_the_real_one_is_told() {
    let bench = Bench::new();
    let ask = |rate| {
        bench.client.change(|termios| {
            termios.clear(Word::Cflag, CBAUD);
            termios.set(Word::Cflag, BOTHER);
            termios.put(Word::Ispeed, rate);
            termios.put(Word::Ospeed, rate);
        })
    };
    let told = |rate| ask(rate).get(Word::Ospeed);
    assert_eq!((told(38_000), bench.end.divisor()), (38_000, 3), "1 % off");
    assert_eq!((told(100_000), bench.end.divisor()), (115_200, 1), "15 % off");
    assert_eq!((told(10), bench.end.divisor()), (10, 11_520));
    assert_eq!(ask(10).get(Word::Cflag) & CBAUD, BOTHER);
    assert_eq!((told(4_000_000), bench.end.divisor()), (10, 11_520), "beyond the clock: as before");
}

#[test]
fn the_trigger_level_follows_the_rate() {
    let bench = Bench::new();
    assert_eq!(bench.end.trigger(), Some(8));
    with_cflag(&bench, CBAUD, libc::B1200);
    assert_eq!(bench.end.trigger(), Some(1));
}

#[test]
fn termios_and_termios2_are_the_same_settings() {
    let bench = Bench::new();
    let long = with_cflag(&bench, CBAUD, B115200);
    let mut short = bench.client.ioctl(TCGETS, 0, &[]).unwrap();
    assert_eq!((short.len(), long.0.len()), (36, 44));
    assert_eq!(short, long.0[..36]);
    short[8] &= !(CBAUD as u8 & 0x0F);
    short[9] &= !0x10;
    short[8] |= B9600 as u8;
    bench.client.ioctl(TCSETS, 0, &short).unwrap();
    assert_eq!(bench.client.termios().get(Word::Ospeed), 9600);
}

#[test]
fn a_line_discipline_is_not_offered_and_that_reads_back() {
    let bench = Bench::new();
    let back = bench.client.change(|termios| termios.set(Word::Lflag, ICANON | ISIG | ECHO));
    assert_eq!(back.get(Word::Lflag), 0);
    bench.end.inject(b"no line");
    assert_eq!(bench.client.read(100).unwrap().len(), 7);
}

#[test]
fn line_ends_are_translated_both_ways() {
    let bench = Bench::new();
    bench.client.change(|termios| {
        termios.set(Word::Iflag, ICRNL);
        termios.set(Word::Oflag, OPOST | ONLCR);
    });
    bench.end.inject(b"a\rb");
    assert_eq!(bench.client.read_exact(3), b"a\nb");
    bench.client.write_all(b"c\nd");
    bench.expect_sent(b"c\r\nd");
    bench.client.change(|termios| termios.put(Word::Iflag, INLCR | IXON));
    bench.end.inject(b"\n");
    assert_eq!(bench.client.read_exact(1), b"\r");
}

#[test]
fn the_chip_is_told_by_tiocgserial() {
    let layouts = [(0, Width::U8), (2, Width::U32)];
    for (chip, kind, fifo) in [(Chip::I8250, 1, 1), (Chip::I16450, 2, 1), (Chip::I16550A, 4, 16)] {
        for (shift, width) in layouts {
            let bench = Bench::with(Options { chip, shift, width, ..Options::default() });
            let serial = bench.client.ioctl(TIOCGSERIAL, 0, &[]).unwrap();
            let word = |at: usize| i32::from_ne_bytes(serial[at..at + 4].try_into().unwrap());
            assert_eq!((word(0), word(20), word(28)), (kind, fifo, 115_200), "{chip:?}");
            assert_eq!(serial[56], shift as u8);
        }
    }
}

#[test]
fn tiocsserial_changes_what_may_be_changed_and_root_alone_the_clock() {
    let bench = Bench::new();
    let mut serial = bench.client.ioctl(TIOCGSERIAL, 0, &[]).unwrap();
    // ASYNC_LOW_LATENCY.
    serial[17] |= 0x20;
    bench.client.ioctl(TIOCSSERIAL, 0, &serial).unwrap();
    assert_eq!(bench.end.trigger(), Some(1));
    serial[28..32].copy_from_slice(&1_000_000_u32.to_ne_bytes());
    assert_eq!(bench.client.ioctl(TIOCSSERIAL, 0, &serial), Err(Errno::EPERM));
    let mut root = bench.client.clone();
    root.file.uid = 0;
    root.ioctl(TIOCSSERIAL, 0, &serial).unwrap();
    assert_eq!(bench.end.divisor(), 104, "9600 of another clock");
    serial[0] = 99;
    assert_eq!(root.ioctl(TIOCSSERIAL, 0, &serial), Err(Errno::EINVAL));
}

#[test]
fn exclusive_use_keeps_others_out() {
    let bench = Bench::new();
    let other = Client::of(&bench.port, 2, 0);
    bench.client.command(TIOCEXCL, 0).unwrap();
    assert_eq!((bench.client.get(TIOCGEXCL), other.open()), (1, Err(Errno::EBUSY)));
    bench.client.command(TIOCNXCL, 0).unwrap();
    other.open().unwrap();
    bench.client.command(TIOCEXCL, 0).unwrap();
    bench.client.close();
    other.close();
    other.open().unwrap();
}

#[test]
fn it_is_a_terminal_without_a_session() {
    let bench = Bench::new();
    assert_eq!(bench.client.get(TIOCGETD), 0, "N_TTY");
    assert_eq!(bench.client.ioctl(TIOCGWINSZ, 0, &[]).unwrap(), [0; 8]);
    let window = [24, 0, 80, 0, 0, 0, 0, 0];
    bench.client.ioctl(TIOCSWINSZ, 0, &window).unwrap();
    assert_eq!(bench.client.ioctl(TIOCGWINSZ, 0, &[]).unwrap(), window);
    for cmd in [TIOCGPGRP, TIOCGSID, 0x540E, 0x5422] {
        assert_eq!(bench.client.command(cmd, 0), Err(Errno::ENOTTY), "{cmd:#x}");
    }
}

#[test]
fn a_short_argument_is_refused() {
    use uio_core::chardev::{IoctlArg, IoctlCmd};
    let bench = Bench::new();
    let mut state = 0;
    let mut arg = IoctlArg { value: 0, input: &[0; 10], output: &mut [], state: &mut state };
    let result = bench.port.ioctl(&bench.client.file, IoctlCmd(TCSETS2), &mut arg);
    assert_eq!(result, Err(Errno::EINVAL));
}

#[test]
fn what_is_no_uart_is_refused_with_what_it_answered() {
    // Accesses of the wrong width: the model answers all ones.
    let options = Options { shift: 0, width: Width::U16, ..Options::default() };
    let error = closed(Options { width: Width::U32, ..options });
    assert!(error.is_err(), "registers that overlap");
    let bench = Bench::new();
    let region = bench.device.region(0, 8).unwrap();
    let settings = ns16550::Settings { base: 1, ..ns16550::Settings::default() };
    let line = bench.device.line(0).unwrap();
    let softirqs = &bench._softirqs;
    let error = ns16550::Port::new("sim", region, settings, &line, softirqs).unwrap_err();
    assert_eq!(error.errno(), Errno::ENODEV);
    assert!(error.to_string().contains("cannot drive sim"), "{error}");
}
