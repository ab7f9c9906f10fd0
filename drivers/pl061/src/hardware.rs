//! [`Hardware`]: the block's registers and all that is decided about its lines, under one lock.
//!
//! # Vocabulary
//!
//! - **sample**: what the top half saw: which lines interrupted, the levels then, and when.
//! - **told**: the level of a line at its last event, or when it was set up.
//! - **armed**, **fired**: a line that tells its level does so once; then its interrupt is off until it is set up again.
//!
//! # States of an input that tells something
//!
//! ```text
//!             set up                  interrupt                  bottom half
//!   (nothing) ──────▶ armed ──────────────────────▶ in the sample ──────────▶ armed (edge)
//!                       ▲                                             └─────▶ fired (level)
//!                       └────────────────────────── set up again ───────────────┘
//! ```
//!
//! # Which edges are seen
//!
//! The block has one latch a line. Edges of one line between two looks are one interrupt; that is the hardware's
//! limit, and no driver's. For a line that tells both edges the levels say more: if the line stands as it was told,
//! there were two edges at least, and both are told, with the same time; else one is. So what is told of such a line
//! alternates. For this the levels must be those after the last edge that was acknowledged and before the next one:
//! [`Hardware::sample`] acknowledges, looks, and looks whether an edge came meanwhile; then it does so again.
//!
//! # Why no interrupt is told for a line that was set up otherwise meanwhile
//!
//! Whoever sets lines up has delivery held, so no top half runs beside it, and takes them out of the sample.

use uio_core::device::Presence;
use uio_core::error::Errno;
use uio_core::io::{AccessError, Io, IoRegion};
use uio_core::time;

use crate::event::Id;
use crate::lines::{self, Change, Kind, LineState, To};
use crate::regs::{
    self, GpioAfsel, GpioData, GpioDir, GpioIbe, GpioIc, GpioIe, GpioIev, GpioIs, GpioMis, LINES,
    low_byte,
};

/// How often edges that come while the levels are looked at are waited out.
const LOOKS: usize = 4;

/// What the top half hands to the bottom half.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    /// Lines that interrupted.
    lines: u8,
    data: u8,
    /// When, in cycles of the counter; of the first interrupt, should there be two.
    cycles: u64,
}

/// What a sample comes to: at most two events a line.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct News {
    events: [(u8, Id); 2 * LINES],
    count: usize,
    /// When it was seen, in cycles of the counter.
    pub(crate) cycles: u64,
}

impl News {
    fn push(&mut self, line: usize, id: Id) {
        // CAST: a line's number is below 8.
        self.events[self.count] = (line as u8, id);
        self.count += 1;
    }

    /// Lines and what happened on them.
    pub(crate) fn events(&self) -> &[(u8, Id)] {
        &self.events[..self.count]
    }
}

/// Why a change is not made: what the client gets, and what the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) errno: Errno,
    pub(crate) cause: String,
    pub(crate) mend: &'static str,
}

impl From<AccessError> for Refusal {
    fn from(error: AccessError) -> Self {
        let mend = "bind it and start the daemon again";
        Self { errno: error.into(), cause: error.to_string(), mend }
    }
}

/// See the [module](self).
pub(crate) struct Hardware {
    regs: IoRegion,
    /// All lines may interrupt, or nothing answers any more.
    presence: Presence,
    kinds: [Kind; LINES],
    /// Lines that tell their level.
    levels: u8,
    fired: u8,
    told: u8,
    sample: Sample,
    stopped: bool,
}

impl Hardware {
    /// A block whose lines tell nothing. Their directions and levels are left as they are found.
    pub(crate) fn new(regs: IoRegion, presence: Presence) -> Result<Self, AccessError> {
        let mut hardware = Self {
            regs,
            presence,
            kinds: [Kind::None; LINES],
            levels: 0,
            fired: 0,
            told: 0,
            sample: Sample::default(),
            stopped: false,
        };
        hardware.silence(u8::MAX)?;
        Ok(hardware)
    }

    /// The top half's part: sees which lines interrupt, and acknowledges. `false` if none does. Levels stay, so that
    /// the interrupt has to be masked until the bottom half has seen to them.
    pub(crate) fn sample(&mut self) -> bool {
        let raw = self.regs.read::<GpioMis>().raw();
        // The upper bits are zero, unless nobody answers.
        if raw > u8::MAX.into() {
            self.presence.check();
            return false;
        }
        let mut fresh = low_byte(raw);
        if fresh == 0 {
            return false;
        }
        if self.sample.lines == 0 {
            self.sample.cycles = time::get_cycles();
        }
        for _ in 0..LOOKS {
            self.sample.lines |= fresh;
            self.regs.write(GpioIc::new(fresh.into()));
            self.sample.data = low_byte(self.regs.read::<GpioData>().raw());
            fresh = low_byte(self.regs.read::<GpioMis>().raw()) & !self.levels;
            if fresh == 0 {
                break;
            }
        }
        true
    }

    /// The bottom half's part: what the sample comes to. Levels that were told interrupt no more.
    pub(crate) fn take_news(&mut self) -> News {
        let sample = std::mem::take(&mut self.sample);
        let mut news = News { cycles: sample.cycles, ..News::default() };
        for line in lines::each(sample.lines) {
            self.tell(line, sample.data >> line & 1 != 0, &mut news);
        }
        let levels = sample.lines & self.levels;
        if levels != 0 {
            self.fired |= levels;
            // A device that is gone does not interrupt.
            let _ = self.disable(levels);
        }
        news
    }

    fn tell(&mut self, line: usize, high: bool, news: &mut News) {
        match self.kinds[line] {
            Kind::None => return,
            Kind::Rising => news.push(line, Id::Rising),
            Kind::Falling => news.push(line, Id::Falling),
            Kind::LevelHigh => news.push(line, Id::LevelHigh),
            Kind::LevelLow => news.push(line, Id::LevelLow),
            Kind::Both => {
                if high == (self.told >> line & 1 != 0) {
                    news.push(line, Id::edge_to(!high));
                }
                news.push(line, Id::edge_to(high));
            }
        }
        self.told = self.told & !(1 << line) | u8::from(high) << line;
    }

    /// Makes all changes, one after the other, or none.
    ///
    /// # Errors
    ///
    /// - `EBUSY` if a line belongs to another block of the chip;
    /// - `EPERM` if the level of an input is to be set;
    /// - `ENODEV` if the device is gone, or is going.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> Result<(), Refusal> {
        self.allow(changes)?;
        for change in changes {
            self.carry_out(change)?;
        }
        Ok(())
    }

    fn allow(&self, changes: &[Change]) -> Result<(), Refusal> {
        if self.stopped {
            return Err(AccessError::Gone.into());
        }
        let taken = low_byte(self.regs.try_read::<GpioAfsel>()?.raw());
        let mut outputs = low_byte(self.regs.try_read::<GpioDir>()?.raw());
        for change in changes {
            if change.lines & taken != 0 {
                return Err(taken_by_hardware(change.lines & taken));
            }
            match change.to {
                To::Input(_) => outputs &= !change.lines,
                To::OutputAsIs | To::Output(_) => outputs |= change.lines,
                To::Level(_) if change.lines & !outputs != 0 => {
                    return Err(no_output(change.lines & !outputs));
                }
                To::Level(_) => {}
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, change: &Change) -> Result<(), AccessError> {
        let lines = change.lines;
        match change.to {
            To::Input(kind) => self.make_inputs(lines, kind),
            To::OutputAsIs => {
                let levels = regs::read_data(&self.regs, lines)?;
                self.make_outputs(lines, levels)
            }
            To::Output(levels) => self.make_outputs(lines, levels),
            To::Level(levels) => regs::write_data(&self.regs, lines, levels),
        }
    }

    fn make_outputs(&mut self, lines: u8, levels: u8) -> Result<(), AccessError> {
        self.silence(lines)?;
        // First the level, so that the line does not show another one for a moment; and once more, since a block may
        // not keep what is written to inputs.
        regs::write_data(&self.regs, lines, levels)?;
        let outputs = self.regs.try_read::<GpioDir>()?.raw() | u32::from(lines);
        self.regs.try_write(GpioDir::new(outputs))?;
        regs::write_data(&self.regs, lines, levels)
    }

    fn make_inputs(&mut self, lines: u8, kind: Kind) -> Result<(), AccessError> {
        self.silence(lines)?;
        let outputs = self.regs.try_read::<GpioDir>()?.raw() & !u32::from(lines);
        self.regs.try_write(GpioDir::new(outputs))?;
        if kind == Kind::None {
            return Ok(());
        }
        let with = |old: u32, on: bool| {
            let lines = u32::from(lines);
            if on { old | lines } else { old & !lines }
        };
        let regs = &self.regs;
        let (is, ibe, iev) =
            (regs.try_read::<GpioIs>()?, regs.try_read::<GpioIbe>()?, regs.try_read::<GpioIev>()?);
        regs.try_write(GpioIs::new(with(is.raw(), kind.is_level())))?;
        regs.try_write(GpioIbe::new(with(ibe.raw(), kind == Kind::Both)))?;
        regs.try_write(GpioIev::new(with(iev.raw(), kind.is_upward())))?;
        self.arm(lines, kind)
    }

    /// Lets lines interrupt from now on, whatever they did before.
    fn arm(&mut self, lines: u8, kind: Kind) -> Result<(), AccessError> {
        lines::each(lines).for_each(|line| self.kinds[line] = kind);
        if kind.is_level() {
            self.levels |= lines;
        }
        self.told = self.told & !lines | self.settled(lines)?;
        let enabled = self.regs.try_read::<GpioIe>()?.raw() | u32::from(lines);
        self.regs.try_write(GpioIe::new(enabled))
    }

    /// Forgets the edges of lines so far, and says what their levels are after the last of them.
    fn settled(&self, lines: u8) -> Result<u8, AccessError> {
        let edges = lines & !self.levels;
        let mut levels = 0;
        for _ in 0..LOOKS {
            self.regs.try_write(GpioIc::new(lines.into()))?;
            levels = regs::read_data(&self.regs, lines)?;
            if low_byte(self.regs.try_read::<regs::GpioRis>()?.raw()) & edges == 0 {
                break;
            }
        }
        Ok(levels)
    }

    /// Has lines tell nothing, not even what is in the sample.
    fn silence(&mut self, lines: u8) -> Result<(), AccessError> {
        lines::each(lines).for_each(|line| self.kinds[line] = Kind::None);
        self.levels &= !lines;
        self.fired &= !lines;
        self.sample.lines &= !lines;
        self.disable(lines)?;
        self.regs.try_write(GpioIc::new(lines.into()))
    }

    fn disable(&self, lines: u8) -> Result<(), AccessError> {
        let enabled = self.regs.try_read::<GpioIe>()?.raw() & !u32::from(lines);
        self.regs.try_write(GpioIe::new(enabled))
    }

    /// No line interrupts any more, and none is set up. Outputs stay as they are.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        // A device that is gone is quiet.
        let _ = self.silence(u8::MAX);
    }

    /// The levels of the lines of `mask`, of one moment.
    pub(crate) fn levels(&self, mask: u8) -> Result<u8, AccessError> {
        regs::read_data(&self.regs, mask)
    }

    /// How all lines stand.
    pub(crate) fn states(&self) -> Result<[LineState; LINES], AccessError> {
        let outputs = low_byte(self.regs.try_read::<GpioDir>()?.raw());
        let taken = low_byte(self.regs.try_read::<GpioAfsel>()?.raw());
        let levels = self.levels(u8::MAX)?;
        let has = |bits: u8, line: usize| bits >> line & 1 != 0;
        Ok(std::array::from_fn(|line| LineState {
            output: has(outputs, line),
            high: has(levels, line),
            kind: self.kinds[line],
            fired: has(self.fired, line),
            taken: has(taken, line),
        }))
    }
}

fn taken_by_hardware(lines: u8) -> Refusal {
    Refusal {
        errno: Errno::EBUSY,
        cause: format!("{}: another block of the chip has it (GPIOAFSEL)", lines::named(lines)),
        mend: "give the pin to the GPIO block in the chip's pin control",
    }
}

fn no_output(lines: u8) -> Refusal {
    Refusal {
        errno: Errno::EPERM,
        cause: format!("{}: an input has no level to set", lines::named(lines)),
        mend: "make it an output with `out`",
    }
}
