//! The model keeps the manual of the PL031 (ARM DDI 0224): a test for each of its rules that a driver lives by.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pl031_model::{Comparator, Controls, Options, PL031_IDS, Pl031, Time};
use uio_core::device::sim::Model;
use uio_core::io::{Io, IoRegion};
use uio_core::irq::LineSource;

const DR: usize = 0x00;
const MR: usize = 0x04;
const LR: usize = 0x08;
const CR: usize = 0x0C;
const IMSC: usize = 0x10;
const RIS: usize = 0x14;
const MIS: usize = 0x18;
const ICR: usize = 0x1C;
const IDS: usize = 0xFE0;

/// How long anything may take.
const LONG: Duration = Duration::from_secs(60);

struct Bench {
    regs: IoRegion,
    line: Box<dyn LineSource>,
    world: Controls,
    _model: Pl031,
}

impl Bench {
    fn with(options: Options) -> Self {
        let model = Pl031::with(options).unwrap();
        let (_, region) = model.regions().swap_remove(0);
        let regs = IoRegion::model(region, Arc::new(AtomicBool::new(false)));
        let (line, world) = (model.line().unwrap().source(), model.controls());
        Self { regs, line, world, _model: model }
    }

    /// It shows 1000 seconds.
    fn new() -> Self {
        Self::with(Options { start: 1000, ..Options::default() })
    }

    fn read(&self, offset: usize) -> u32 {
        self.regs.read32(offset)
    }

    fn write(&self, offset: usize, value: u32) {
        self.regs.write32(offset, value);
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
fn the_data_register_counts_seconds_and_the_load_register_sets_them() {
    let bench = Bench::new();
    assert_eq!(bench.read(DR), 1000);
    bench.world.advance(7);
    assert_eq!(bench.read(DR), 1007);
    bench.write(LR, 500);
    assert_eq!((bench.read(DR), bench.read(LR)), (500, 500));
    bench.world.advance(1);
    assert_eq!((bench.read(DR), bench.read(LR)), (501, 500), "RTCLR is what was written last");
}

#[test]
fn a_clock_that_was_not_started_stands_still_and_one_that_was_cannot_be_stopped() {
    let bench = Bench::with(Options { start: 5, started: false, ..Options::default() });
    bench.world.advance(10);
    assert_eq!((bench.read(CR), bench.read(DR)), (0, 5));
    bench.write(CR, 1);
    bench.world.advance(10);
    bench.write(CR, 0);
    bench.world.advance(10);
    assert_eq!((bench.read(CR), bench.read(DR)), (1, 25));
}

#[test]
fn the_interrupt_is_raised_when_the_time_is_the_match_value_and_not_before() {
    let bench = Bench::new();
    bench.write(IMSC, 1);
    bench.write(MR, 1010);
    assert_eq!(bench.read(MR), 1010);
    bench.world.advance(9);
    assert_eq!((bench.read(RIS), bench.read(MIS)), (0, 0));
    assert!(!bench.is_asserted());
    bench.world.advance(1);
    assert_eq!((bench.read(RIS), bench.read(MIS)), (1, 1));
    assert!(bench.is_asserted());
}

#[test]
fn the_mask_holds_the_interrupt_and_not_its_raw_status() {
    let bench = Bench::new();
    bench.write(MR, 1001);
    bench.world.advance(1);
    assert_eq!((bench.read(RIS), bench.read(MIS)), (1, 0));
    assert!(!bench.is_asserted());
    bench.write(IMSC, 1);
    assert!(bench.read(MIS) == 1 && bench.is_asserted(), "what was held comes through");
    bench.write(IMSC, 0);
    assert!(!bench.is_asserted());
}

#[test]
fn the_interrupt_stays_until_it_is_cleared() {
    let bench = Bench::new();
    bench.write(IMSC, 1);
    bench.write(MR, 1001);
    bench.world.advance(100);
    assert!(bench.is_asserted() && bench.is_asserted());
    bench.write(ICR, 0);
    assert!(bench.is_asserted(), "bit 0 clears");
    bench.write(ICR, 1);
    assert_eq!(bench.read(RIS), 0);
    assert!(!bench.is_asserted());
}

#[test]
fn a_match_value_that_has_passed_is_not_met_again_before_the_counter_comes_round() {
    let bench = Bench::new();
    bench.write(IMSC, 1);
    bench.write(MR, 999);
    bench.world.advance(u32::MAX - 1);
    assert_eq!(bench.read(RIS), 0);
    bench.world.advance(1);
    assert_eq!((bench.read(RIS), bench.read(DR)), (1, 999));
}

#[test]
fn the_counter_begins_anew_after_its_last_value() {
    let bench = Bench::with(Options { start: u32::MAX, ..Options::default() });
    bench.write(MR, 0);
    bench.world.advance(1);
    assert_eq!((bench.read(DR), bench.read(RIS)), (0, 1));
}

#[test]
fn a_write_that_makes_both_equal_raises_unless_only_steps_are_looked_at() {
    for (comparator, raised) in [(Comparator::Equal, 1), (Comparator::Step, 0)] {
        let bench = Bench::with(Options { start: 1000, comparator, ..Options::default() });
        bench.write(MR, 1000);
        assert_eq!(bench.read(RIS), raised, "{comparator:?}");
        bench.write(ICR, 1);
        bench.write(MR, 2000);
        bench.write(LR, 2000);
        assert_eq!(bench.read(RIS), raised, "{comparator:?}");
        bench.write(ICR, 1);
        bench.write(MR, 2001);
        bench.world.advance(1);
        assert_eq!(bench.read(RIS), 1, "{comparator:?}: a step is seen by both");
    }
}

#[test]
fn the_identification_registers_say_who_it_is() {
    let bench = Bench::new();
    let ids: Vec<u32> = (0..8).map(|index| bench.read(IDS + 4 * index)).collect();
    assert_eq!(ids, PL031_IDS.map(u32::from));
    assert_eq!(bench.regs.size(), 0x1000);
}

#[test]
fn what_no_driver_should_do_is_counted_and_has_no_effect() {
    let bench = Bench::new();
    assert_eq!(bench.world.mistakes(), 0);
    bench.write(DR, 1);
    bench.write(RIS, 1);
    bench.write(MIS, 1);
    bench.write(IDS, 1);
    assert_eq!(bench.read(ICR), 0);
    assert_eq!(bench.read(0x20), 0);
    assert_eq!(bench.regs.read16(DR), 0);
    bench.regs.write8(LR, 1);
    assert_eq!((bench.world.mistakes(), bench.read(DR), bench.read(RIS)), (8, 1000, 0));
}

#[test]
fn a_tick_comes_before_the_access_that_was_named() {
    let bench = Bench::new();
    bench.world.tick_before(2);
    assert_eq!((bench.read(DR), bench.read(DR)), (1000, 1000));
    assert!(bench.world.tick_is_pending());
    assert_eq!((bench.read(DR), bench.read(DR)), (1001, 1001));
    assert!(!bench.world.tick_is_pending());
}

#[test]
fn with_the_real_time_it_goes_by_itself_and_raises_though_nobody_looks() {
    let bench = Bench::with(Options { start: 1000, time: Time::Real, ..Options::default() });
    bench.write(IMSC, 1);
    bench.line.unmask().unwrap();
    // On a slow machine the time has gone on; the interrupt has then been raised already.
    bench.write(MR, 1003);
    let begin = Instant::now();
    while bench.line.take().unwrap() == 0 {
        assert!(begin.elapsed() < LONG, "no interrupt");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(bench.read(DR) >= 1003 && bench.read(MIS) == 1);
}
