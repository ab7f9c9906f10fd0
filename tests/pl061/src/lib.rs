//! A PrimeCell PL061, a block of eight GPIO lines, as a simulated model, and the other ends of its lines.
//!
//! | region 0 `regs` | name | | |
//! | --- | --- | --- | --- |
//! | 0x000 to 0x3fc | GPIODATA | rw | levels; bits 9 to 2 of the address say of which lines |
//! | 0x400 | GPIODIR | rw | 1: output |
//! | 0x404 | GPIOIS | rw | 1: interrupts by level, 0: by edge |
//! | 0x408 | GPIOIBE | rw | 1: by both edges |
//! | 0x40c | GPIOIEV | rw | 1: by the rising edge or high level, 0: by the other |
//! | 0x410 | GPIOIE | rw | 1: interrupts are let through |
//! | 0x414 | GPIORIS | ro | what would interrupt |
//! | 0x418 | GPIOMIS | ro | what interrupts |
//! | 0x41c | GPIOIC | wo | forgets edges |
//! | 0x420 | GPIOAFSEL | rw | 1: the line belongs to another block |
//! | 0xfe0 to 0xffc | | ro | what part it is, and that it is a PrimeCell |
//!
//! The registers behave as the manual says (ARM DDI 0190B). Where blocks differ, as those of emulators do, or may do
//! what drivers have to live with, [`Options`] say how this one is. The interrupt is a level, as on the chip.
//!
//! Neighbours: `block` has the registers; [`Controls`] are the outside.
#![forbid(unsafe_code)]

mod block;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uio_core::Result;
use uio_core::device::sim::{Model, SimLine};
use uio_core::io::{RegionModel, Width};
use uio_core::of::Node;

use block::Block;

const REGION_BYTES: usize = 0x1000;

/// What the lines are connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wiring {
    /// The outside alone.
    #[default]
    Open,
    /// Each line to the one four further on, and the outside where neither drives the other: what line 4 puts out,
    /// line 0 takes in.
    Looped,
}

/// How a block is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What its lines are connected to.
    pub wiring: Wiring,
    /// It does not keep what is written to lines that are inputs, as QEMU's.
    pub forgets_inputs: bool,
    /// It latches levels as it does edges, as QEMU's.
    pub latches_levels: bool,
    /// Lines that belong to another block at first.
    pub afsel: u8,
    /// What the device tree calls its lines (`gpio-line-names`), if it names them.
    pub names: &'static [&'static str],
    /// GPIOPeriphID0 to 3.
    pub part: [u8; 4],
    /// GPIOPCellID0 to 3.
    pub cell: [u8; 4],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wiring: Wiring::default(),
            forgets_inputs: false,
            latches_levels: false,
            afsel: 0,
            names: &[],
            part: [0x61, 0x10, 0x04, 0x00],
            cell: [0x0D, 0xF0, 0x05, 0xB1],
        }
    }
}

impl Options {
    /// As the block of QEMU's boards is.
    #[must_use]
    pub fn emulated() -> Self {
        Self { forgets_inputs: true, latches_levels: true, ..Self::default() }
    }
}

/// What the block's outputs show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outputs {
    /// The lines that it drives.
    pub driven: u8,
    /// Their levels.
    pub levels: u8,
}

/// An access of the driver to a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It reads at this offset.
    Read(usize),
    /// It writes there.
    Write(usize),
}

/// What the outside does right after an access.
#[derive(Debug, Clone, Copy)]
struct Cue {
    after: Access,
    mask: u8,
    levels: u8,
}

struct State {
    block: Block,
    cues: VecDeque<Cue>,
    misses: usize,
}

struct Hardware {
    names: &'static [&'static str],
    line: Arc<SimLine>,
    state: Mutex<State>,
}

impl Hardware {
    /// Does something to the block, then lets the interrupt follow.
    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state();
        let result = act(&mut state);
        // Under the lock, so that the line's last word is the block's.
        self.line.set_level(state.block.interrupts());
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An access is over: what the outside waited for it to do.
    fn follow(&mut self, access: Access) {
        if let Some(cue) = self.cues.front().copied().filter(|cue| cue.after == access) {
            self.cues.pop_front();
            self.block.drive(cue.mask, cue.levels);
        }
    }
}

fn is_word(offset: usize, width: Width) -> bool {
    width == Width::U32 && offset.is_multiple_of(4)
}

impl RegionModel for Hardware {
    fn size(&self) -> usize {
        REGION_BYTES
    }

    fn read(&self, offset: usize, width: Width) -> u64 {
        self.with(|state| {
            let value = if is_word(offset, width) { state.block.read(offset) } else { None };
            state.misses += usize::from(value.is_none());
            state.follow(Access::Read(offset));
            u64::from(value.unwrap_or(0))
        })
    }

    fn write(&self, offset: usize, width: Width, value: u64) {
        self.with(|state| {
            // CAST: a register has eight bits.
            let hit = is_word(offset, width) && state.block.write(offset, value as u8);
            state.misses += usize::from(!hit);
            state.follow(Access::Write(offset));
        });
    }
}

/// The model of a block.
#[derive(Debug)]
pub struct Pl061(Controls);

impl Pl061 {
    /// A block whose lines 4 to 7 are wired to its lines 0 to 3.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn looped() -> Result<Self> {
        Self::with_options(Options { wiring: Wiring::Looped, ..Options::default() })
    }

    /// A block as `options` say.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn with_options(options: Options) -> Result<Self> {
        let block = Block::new(options);
        let state = Mutex::new(State { block, cues: VecDeque::new(), misses: 0 });
        Ok(Self(Controls(Arc::new(Hardware {
            names: options.names,
            line: SimLine::new()?,
            state,
        }))))
    }

    /// The outside, which may go anywhere.
    pub fn controls(&self) -> Controls {
        self.0.clone()
    }
}

impl Model for Pl061 {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        let hardware: Arc<dyn RegionModel> = self.0.0.clone();
        vec![("regs".to_owned(), hardware)]
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        Some(Arc::clone(&self.0.0.line))
    }

    fn of_node(&self) -> Option<Node> {
        let node = Node::new("/pl061@9030000").with_compatible(&["arm,pl061"]);
        let node = node.with_reg(None, 0x0903_0000, REGION_BYTES as u64);
        let names = self.0.0.names;
        Some(if names.is_empty() { node } else { node.with_strings("gpio-line-names", names) })
    }
}

/// The other ends of the lines, and what an engineer with a probe would see.
#[derive(Clone)]
pub struct Controls(Arc<Hardware>);

impl Controls {
    /// Drives the lines of `mask`, together. What is driven stays.
    pub fn drive(&self, mask: u8, levels: u8) {
        self.0.with(|state| state.block.drive(mask, levels));
    }

    /// Drives one line.
    pub fn set(&self, line: u8, high: bool) {
        self.drive(1 << line, u8::from(high) << line);
    }

    /// Drives lines right after the driver makes an access, once. Several such orders are carried out one after the
    /// other.
    pub fn drive_after(&self, after: Access, mask: u8, levels: u8) {
        self.0.with(|state| state.cues.push_back(Cue { after, mask, levels }));
    }

    /// Orders of [`drive_after`](Self::drive_after) that are still waited for.
    pub fn orders(&self) -> usize {
        self.0.state().cues.len()
    }

    /// What the outputs show.
    pub fn outputs(&self) -> Outputs {
        self.0.state().block.outputs()
    }

    /// Takes what the outputs have shown so far, one after the other.
    pub fn shown(&self) -> Vec<Outputs> {
        std::mem::take(&mut self.0.state().block.shown)
    }

    /// A register, without the effects of an access; 0 if there is none.
    pub fn register(&self, offset: usize) -> u8 {
        self.0.state().block.read(offset).unwrap_or(0)
    }

    /// Accesses of the driver that missed a register, or had the wrong width.
    pub fn mistakes(&self) -> usize {
        self.0.state().misses
    }

    /// The interrupt line, to unplug it or to count.
    pub fn line(&self) -> &Arc<SimLine> {
        &self.0.line
    }
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.state().block.fmt(f)
    }
}
