//! The model keeps the data sheet of the PC16550D: a test for each of its rules that a driver lives by.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ns16550_model::{Chip, Controls, Ier, Lsr, Mcr, Msr, Ns16550, Options, Plug};
use uio_core::device::sim::Model;
use uio_core::io::{Io, IoRegion, Width};
use uio_core::irq::LineSource;

const DATA: usize = 0;
const IER: usize = 1;
const IIR: usize = 2;
const FCR: usize = 2;
const LCR: usize = 3;
const MCR: usize = 4;
const LSR: usize = 5;
const MSR: usize = 6;
const SCR: usize = 7;

const FIFO: u8 = 0xC0;
const NOTHING: u8 = 0x01;
const TRANSMITTER: u8 = 0x02;
const RECEIVED: u8 = 0x04;
const LINE_STATUS: u8 = 0x06;
const TIMEOUT: u8 = 0x0C;

struct Bench {
    regs: IoRegion,
    line: Box<dyn LineSource>,
    end: Controls,
    _model: Ns16550,
}

impl Bench {
    fn with(options: Options) -> Self {
        let model = Ns16550::with_options(options).unwrap();
        let (_, region) = model.regions().swap_remove(0);
        let regs = IoRegion::model(region, Arc::new(AtomicBool::new(false)));
        let (line, end) = (model.line().unwrap().source(), model.controls());
        Self { regs, line, end, _model: model }
    }

    fn new() -> Self {
        Self::with(Options::default())
    }

    /// With FIFOs of this trigger (0 to 3), and these interrupts.
    fn fifo(trigger: u8, ier: Ier) -> Self {
        let bench = Self::new();
        bench.write(FCR, 1 | trigger << 6);
        bench.write(IER, ier.bits());
        bench
    }

    fn read(&self, register: usize) -> u8 {
        self.regs.read8(register)
    }

    fn write(&self, register: usize, value: u8) {
        self.regs.write8(register, value);
    }

    fn lsr(&self) -> Lsr {
        Lsr::from_bits_retain(self.read(LSR))
    }

    fn msr(&self) -> Msr {
        Msr::from_bits_retain(self.read(MSR))
    }

    /// Whether the line is asserted: it then fires at an unmask.
    fn is_asserted(&self) -> bool {
        self.line.unmask().unwrap();
        let fired = self.line.take().unwrap() > 0;
        self.line.mask().unwrap();
        fired
    }
}

#[test]
fn dlab_puts_the_divisor_in_the_place_of_data_and_ier() {
    let bench = Bench::new();
    bench.write(IER, 0x0F);
    bench.write(LCR, 0x83);
    bench.write(DATA, 0x0C);
    bench.write(IER, 0x01);
    assert_eq!((bench.read(DATA), bench.read(IER)), (0x0C, 0x01));
    bench.write(LCR, 0x03);
    assert_eq!((bench.read(IER), bench.read(LCR), bench.end.divisor()), (0x0F, 0x03, 0x010C));
    assert!(bench.end.sent().is_empty(), "a divisor is not sent");
}

#[test]
fn the_family_is_told_by_scratch_and_fifo_bits() {
    for (chip, scratch, iir) in [
        (Chip::I8250, 0xFF, NOTHING),
        (Chip::I16450, 0x5A, NOTHING),
        (Chip::I16550A, 0x5A, FIFO | NOTHING),
    ] {
        let bench = Bench::with(Options { chip, ..Options::default() });
        bench.write(SCR, 0x5A);
        bench.write(FCR, 1);
        assert_eq!((bench.read(SCR), bench.read(IIR)), (scratch, iir), "{chip:?}");
    }
}

#[test]
fn the_receive_interrupt_waits_for_the_trigger_level() {
    for (bits, level) in [(0, 1), (1, 4), (2, 8), (3, 14)] {
        let bench = Bench::fifo(bits, Ier::RX);
        bench.end.inject_running(&vec![b'x'; level - 1]);
        assert_eq!(bench.read(IIR), FIFO | NOTHING);
        bench.end.inject_running(b"x");
        assert!(bench.is_asserted());
        assert_eq!(bench.read(IIR), FIFO | RECEIVED);
        bench.read(DATA);
        assert!(!bench.is_asserted(), "below {level} again");
    }
}

#[test]
fn fewer_characters_time_out_when_the_line_is_quiet() {
    let bench = Bench::fifo(3, Ier::RX);
    bench.end.inject(b"ab");
    assert_eq!(bench.read(IIR), FIFO | TIMEOUT);
    assert_eq!((bench.read(DATA), bench.read(DATA)), (b'a', b'b'));
    assert_eq!(bench.read(IIR), FIFO | NOTHING);
    assert!(!bench.lsr().contains(Lsr::DATA_READY));
}

#[test]
fn the_interrupt_of_the_empty_transmitter_is_said_once_and_cleared_by_iir_or_a_character() {
    let bench = Bench::fifo(0, Ier::empty());
    bench.write(IER, Ier::TX.bits());
    assert!(bench.is_asserted(), "enabling it while the transmitter is empty is enough");
    assert_eq!(bench.read(IIR), FIFO | TRANSMITTER);
    assert_eq!(bench.read(IIR), FIFO | NOTHING);
    assert!(!bench.is_asserted());
    bench.end.hold_transmitter(true);
    bench.write(DATA, b'a');
    assert!(bench.is_asserted(), "the character went on into the shift register");
    bench.write(DATA, b'b');
    assert!(!bench.is_asserted(), "a character clears it");
    bench.end.transmit(1);
    assert_eq!(bench.read(IIR), FIFO | TRANSMITTER);
}

#[test]
fn iir_of_a_more_urgent_cause_does_not_clear_the_transmitters() {
    let bench = Bench::fifo(0, Ier::RX | Ier::TX);
    bench.end.inject(b"a");
    assert_eq!(bench.read(IIR), FIFO | RECEIVED);
    bench.read(DATA);
    assert_eq!(bench.read(IIR), FIFO | TRANSMITTER);
}

#[test]
fn the_transmitter_is_empty_in_two_steps() {
    let bench = Bench::fifo(0, Ier::empty());
    bench.end.hold_transmitter(true);
    bench.write(DATA, b'a');
    bench.write(DATA, b'b');
    assert!(!bench.lsr().intersects(Lsr::THR_EMPTY | Lsr::TX_EMPTY));
    bench.end.transmit(1);
    assert!(bench.lsr().contains(Lsr::THR_EMPTY) && !bench.lsr().contains(Lsr::TX_EMPTY));
    bench.end.transmit(1);
    assert!(bench.lsr().contains(Lsr::THR_EMPTY | Lsr::TX_EMPTY));
    assert_eq!(bench.end.sent(), b"ab");
}

#[test]
fn more_than_the_transmitter_holds_is_a_mistake_of_the_driver() {
    let bench = Bench::fifo(0, Ier::empty());
    bench.end.hold_transmitter(true);
    // One in the shift register, sixteen in the FIFO.
    (0..17).for_each(|n| bench.write(DATA, n));
    assert_eq!(bench.end.mistakes(), 0);
    bench.write(DATA, 17);
    assert_eq!(bench.end.mistakes(), 1);
}

#[test]
fn an_overrun_loses_the_newest_and_is_said_once() {
    let bench = Bench::fifo(0, Ier::LINE);
    bench.end.inject(b"0123456789abcdefXY");
    assert_eq!(bench.read(IIR), FIFO | LINE_STATUS);
    assert!(bench.lsr().contains(Lsr::OVERRUN));
    assert!(!bench.lsr().contains(Lsr::OVERRUN), "cleared by the read");
    let data: Vec<u8> = (0..16).map(|_| bench.read(DATA)).collect();
    assert_eq!(data, b"0123456789abcdef");
}

#[test]
fn without_fifos_an_overrun_loses_the_oldest() {
    let bench = Bench::new();
    bench.end.inject(b"ab");
    assert!(bench.lsr().contains(Lsr::OVERRUN | Lsr::DATA_READY));
    assert_eq!(bench.read(DATA), b'b');
}

#[test]
fn an_error_is_that_of_the_character_at_the_top() {
    let bench = Bench::fifo(0, Ier::LINE);
    bench.end.inject(b"a");
    bench.end.inject_error(b'b', Lsr::PARITY);
    bench.end.inject_break();
    assert_eq!(bench.read(IIR), FIFO | NOTHING, "the first has none");
    assert_eq!(bench.lsr() & !Lsr::TX_EMPTY, Lsr::DATA_READY | Lsr::THR_EMPTY | Lsr::ERROR_IN_FIFO);
    bench.read(DATA);
    assert_eq!(bench.read(IIR), FIFO | LINE_STATUS);
    assert!(bench.lsr().contains(Lsr::PARITY | Lsr::ERROR_IN_FIFO));
    assert!(!bench.lsr().contains(Lsr::PARITY), "cleared by the read");
    bench.read(DATA);
    assert!(bench.lsr().contains(Lsr::BREAK | Lsr::FRAMING));
    assert_eq!(bench.read(DATA), 0);
    assert!(!bench.lsr().contains(Lsr::ERROR_IN_FIFO));
}

#[test]
fn fcr_clears_each_fifo_and_a_change_of_mode_both() {
    let bench = Bench::fifo(0, Ier::empty());
    bench.end.hold_transmitter(true);
    let fill = || {
        bench.end.inject(b"r");
        bench.write(DATA, b't');
        bench.write(DATA, b't');
    };
    fill();
    bench.write(FCR, 0x03);
    assert_eq!(bench.lsr() & (Lsr::DATA_READY | Lsr::THR_EMPTY), Lsr::empty());
    fill();
    bench.write(FCR, 0x05);
    assert_eq!(bench.lsr() & (Lsr::DATA_READY | Lsr::THR_EMPTY), Lsr::DATA_READY | Lsr::THR_EMPTY);
    bench.write(FCR, 0x00);
    assert!(!bench.lsr().contains(Lsr::DATA_READY));
}

#[test]
fn modem_inputs_leave_their_changes_until_msr_is_read() {
    let bench = Bench::fifo(0, Ier::MODEM);
    bench.end.set_inputs(Msr::CTS | Msr::RI);
    assert_eq!(bench.read(IIR), FIFO, "modem status");
    assert_eq!(bench.msr(), Msr::CTS | Msr::RI | Msr::DELTA_CTS, "only the end of a ring counts");
    assert!(!bench.is_asserted());
    bench.end.set_inputs(Msr::DCD);
    let changes = Msr::DELTA_CTS | Msr::TRAILING_RI | Msr::DELTA_DCD;
    assert_eq!(bench.msr(), Msr::DCD | changes);
    assert_eq!(bench.msr(), Msr::DCD);
}

#[test]
fn loopback_leads_outputs_to_inputs_and_keeps_off_the_wire() {
    let bench = Bench::fifo(0, Ier::empty());
    bench.write(MCR, (Mcr::LOOP | Mcr::RTS | Mcr::OUT2).bits());
    assert_eq!(bench.msr() & Msr::INPUTS, Msr::CTS | Msr::DCD);
    bench.write(DATA, b'x');
    bench.end.inject(b"y");
    assert_eq!(bench.read(DATA), b'x');
    assert!(!bench.lsr().contains(Lsr::DATA_READY) && bench.end.sent().is_empty());
}

#[test]
fn a_loop_back_plug_waits_for_room_and_leads_the_lines_back() {
    let bench = Bench::with(Options { plug: Plug::Looped, ..Options::default() });
    bench.write(FCR, 1);
    bench.write(MCR, (Mcr::RTS | Mcr::DTR).bits());
    assert_eq!(bench.msr() & Msr::INPUTS, Msr::CTS | Msr::DSR | Msr::DCD);
    (0..32).for_each(|n| bench.write(DATA, n));
    assert!(!bench.lsr().contains(Lsr::THR_EMPTY));
    let data: Vec<u8> = (0..32).map(|_| bench.read(DATA)).collect();
    assert_eq!(data, (0..32).collect::<Vec<u8>>());
    assert!(bench.lsr().contains(Lsr::TX_EMPTY) && !bench.lsr().contains(Lsr::OVERRUN));
    bench.write(LCR, 0x40);
    assert!(bench.lsr().contains(Lsr::BREAK) && bench.end.breaks() == 1);
}

#[test]
fn the_line_is_a_level() {
    let bench = Bench::fifo(0, Ier::RX);
    bench.end.inject(b"a");
    assert!(bench.is_asserted() && bench.is_asserted(), "as long as the cause is there");
    bench.read(IIR);
    assert!(bench.is_asserted(), "to ask is not to answer");
    bench.read(DATA);
    assert!(!bench.is_asserted());
}

#[test]
fn registers_stand_apart_by_the_shift_and_answer_at_their_width() {
    let options = Options { shift: 2, width: Width::U32, ..Options::default() };
    let bench = Bench::with(options);
    assert_eq!(bench.regs.size(), 32);
    bench.regs.write32(SCR << 2, 0xA5);
    assert_eq!(bench.regs.read32(SCR << 2), 0xA5);
    assert_eq!(bench.end.mistakes(), 0);
    bench.regs.read8(SCR << 2);
    bench.regs.write16(2, 0);
    assert_eq!(bench.end.mistakes(), 2);
}
