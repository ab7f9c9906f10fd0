//! The model keeps the manual of the PL061 (ARM DDI 0190B): a test for each of its rules that a driver lives by.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pl061_model::{Access, Controls, Options, Outputs, Pl061, Wiring};
use uio_core::device::sim::Model;
use uio_core::io::{Io, IoRegion};
use uio_core::irq::LineSource;

const DATA: usize = 0x3FC;
const DIR: usize = 0x400;
const IS: usize = 0x404;
const IBE: usize = 0x408;
const IEV: usize = 0x40C;
const IE: usize = 0x410;
const RIS: usize = 0x414;
const MIS: usize = 0x418;
const IC: usize = 0x41C;
const AFSEL: usize = 0x420;

struct Bench {
    regs: IoRegion,
    line: Box<dyn LineSource>,
    end: Controls,
    _model: Pl061,
}

impl Bench {
    fn with(options: Options) -> Self {
        let model = Pl061::with_options(options).unwrap();
        let (_, region) = model.regions().swap_remove(0);
        let regs = IoRegion::model(region, Arc::new(AtomicBool::new(false)));
        let (line, end) = (model.line().unwrap().source(), model.controls());
        Self { regs, line, end, _model: model }
    }

    fn new() -> Self {
        Self::with(Options::default())
    }

    fn read(&self, offset: usize) -> u32 {
        self.regs.read32(offset)
    }

    fn write(&self, offset: usize, value: u32) {
        self.regs.write32(offset, value);
    }

    /// What lines detect, all of them by `IE` let through.
    fn detect(&self, is: u32, ibe: u32, iev: u32) {
        for (offset, value) in [(IS, is), (IBE, ibe), (IEV, iev), (IC, 0xFF), (IE, 0xFF)] {
            self.write(offset, value);
        }
    }

    /// Whether the interrupt is asserted: it then fires at an unmask.
    fn is_asserted(&self) -> bool {
        self.line.unmask().unwrap();
        let fired = self.line.take().unwrap() > 0;
        self.line.mask().unwrap();
        fired
    }
}

#[test]
fn after_a_reset_all_lines_are_inputs_and_nothing_interrupts() {
    let bench = Bench::new();
    for offset in [DIR, IS, IBE, IEV, IE, RIS, MIS, AFSEL, DATA] {
        assert_eq!(bench.read(offset), 0, "{offset:#x}");
    }
    bench.end.drive(0xFF, 0xFF);
    assert!(!bench.is_asserted());
}

#[test]
fn the_address_is_a_mask_for_reads_and_writes_of_data() {
    let bench = Bench::new();
    bench.write(DIR, 0xFF);
    bench.write(DATA, 0xAA);
    bench.write(0x0F << 2, 0xFF);
    assert_eq!(bench.end.outputs(), Outputs { driven: 0xFF, levels: 0xAF });
    bench.write(0, 0xFF);
    assert_eq!(bench.read(DATA), 0xAF, "an empty mask touches nothing");
    assert_eq!((bench.read(0xF0 << 2), bench.read(0), bench.read(1 << 2)), (0xA0, 0, 1));
}

#[test]
fn data_reads_the_line_of_an_input_and_the_written_level_of_an_output() {
    let bench = Bench::new();
    bench.end.drive(0xFF, 0x33);
    bench.write(DIR, 0x0F);
    bench.write(DATA, 0x05);
    assert_eq!(bench.read(DATA), 0x35);
    bench.end.drive(0xFF, 0xCC);
    assert_eq!(bench.read(DATA), 0xC5);
}

#[test]
fn a_level_written_to_an_input_shows_when_it_becomes_an_output() {
    for (forgets_inputs, levels) in [(false, 0x10), (true, 0)] {
        let bench = Bench::with(Options { forgets_inputs, ..Options::default() });
        bench.write(0x10 << 2, 0x10);
        assert_eq!(bench.end.outputs(), Outputs::default());
        bench.write(DIR, 0x10);
        assert_eq!(bench.end.outputs(), Outputs { driven: 0x10, levels }, "{forgets_inputs}");
    }
}

#[test]
fn an_edge_is_latched_until_it_is_cleared() {
    let bench = Bench::new();
    bench.detect(0, 0, 0x01);
    bench.end.set(0, true);
    bench.end.set(0, false);
    bench.end.set(0, true);
    assert_eq!((bench.read(RIS), bench.read(MIS)), (1, 1), "however often it came");
    assert!(bench.is_asserted());
    bench.write(IC, 0xFE);
    assert_eq!(bench.read(RIS), 1, "another line's bit clears nothing");
    bench.write(IC, 0x01);
    assert_eq!(bench.read(RIS), 0);
    assert!(!bench.is_asserted());
}

#[test]
fn iev_says_which_edge_and_ibe_says_both() {
    let bench = Bench::new();
    // Line 0 falling, line 1 rising, lines 2 and 3 both, whatever IEV says.
    bench.detect(0, 0x0C, 0x0A);
    bench.end.drive(0x0F, 0x0F);
    assert_eq!(bench.read(RIS), 0x0E);
    bench.write(IC, 0xFF);
    bench.end.drive(0x0F, 0x00);
    assert_eq!(bench.read(RIS), 0x0D);
}

#[test]
fn a_level_interrupts_while_it_is_there_and_is_not_cleared() {
    let bench = Bench::new();
    // Line 0 low, line 1 high.
    bench.detect(0x03, 0, 0x02);
    assert_eq!(bench.read(RIS), 0x01);
    bench.write(IC, 0xFF);
    assert_eq!(bench.read(RIS), 0x01, "it is no latch");
    bench.end.drive(0x03, 0x03);
    assert_eq!(bench.read(RIS), 0x02);
    bench.end.drive(0x03, 0x01);
    assert_eq!(bench.read(RIS), 0);
}

#[test]
fn a_block_that_latches_levels_forgets_them_when_they_are_cleared_and_gone() {
    let bench = Bench::with(Options::emulated());
    bench.detect(0x02, 0, 0x02);
    bench.end.set(1, true);
    bench.end.set(1, false);
    assert_eq!(bench.read(RIS), 0x02, "gone, and latched");
    bench.write(IC, 0x02);
    assert_eq!(bench.read(RIS), 0);
    bench.end.set(1, true);
    bench.write(IC, 0x02);
    assert_eq!(bench.read(RIS), 0x02, "still there");
}

#[test]
fn ie_lets_through_and_hides_and_forgets_nothing() {
    let bench = Bench::new();
    bench.detect(0, 0xFF, 0);
    bench.write(IE, 0);
    bench.end.set(5, true);
    assert_eq!((bench.read(RIS), bench.read(MIS)), (0x20, 0));
    assert!(!bench.is_asserted());
    bench.write(IE, 0x20);
    assert!(bench.is_asserted());
}

#[test]
fn outputs_do_not_interrupt() {
    let bench = Bench::new();
    bench.write(DIR, 0x01);
    bench.detect(0, 0x01, 0);
    bench.write(DATA, 0x01);
    bench.write(DATA, 0x00);
    assert_eq!(bench.read(RIS), 0);
    bench.detect(0x01, 0, 0);
    assert_eq!(bench.read(RIS), 0, "nor by their level");
}

#[test]
fn a_change_of_what_is_detected_may_look_like_an_edge() {
    let bench = Bench::new();
    bench.write(IEV, 0x04);
    assert_eq!(bench.read(RIS), 0x04);
    bench.write(IC, 0x04);
    assert_eq!(bench.read(RIS), 0);
}

#[test]
fn it_says_what_it_is() {
    let bench = Bench::new();
    let ids: Vec<u32> = (0xFE0..0x1000).step_by(4).map(|offset| bench.read(offset)).collect();
    assert_eq!(ids, [0x61, 0x10, 0x04, 0x00, 0x0D, 0xF0, 0x05, 0xB1]);
}

#[test]
fn looped_lines_take_in_what_the_others_put_out() {
    let bench = Bench::with(Options { wiring: Wiring::Looped, ..Options::default() });
    bench.detect(0, 0xFF, 0);
    bench.write(DIR, 0x90);
    bench.write(0x90 << 2, 0x10);
    assert_eq!((bench.read(DATA), bench.read(RIS)), (0x11, 0x01));
    bench.write(IC, 0xFF);
    bench.write(0x90 << 2, 0x80);
    assert_eq!((bench.read(DATA), bench.read(RIS)), (0x88, 0x09));
    bench.end.set(1, true);
    assert_eq!(bench.read(DATA), 0x8A, "nobody drives line 1 but the outside");
}

#[test]
fn the_outside_can_act_between_two_accesses() {
    let bench = Bench::new();
    bench.end.drive_after(Access::Write(IC), 0x01, 0x01);
    bench.end.drive_after(Access::Read(DATA), 0x01, 0x00);
    assert_eq!(bench.read(DATA), 0, "not yet");
    bench.write(IC, 0);
    assert_eq!((bench.read(DATA), bench.read(DATA)), (1, 0));
    assert_eq!(bench.end.orders(), 0);
}

#[test]
fn an_access_that_misses_a_register_is_a_mistake() {
    let bench = Bench::new();
    bench.read(0x424);
    bench.write(RIS, 1);
    bench.regs.read8(DIR);
    assert_eq!(bench.end.mistakes(), 3);
}
