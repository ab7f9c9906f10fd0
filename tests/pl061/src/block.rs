//! The block: its registers, as the driver reads and writes them, its lines, and its interrupt.
//!
//! After the PrimeCell GPIO (PL061) technical reference manual, ARM DDI 0190B. Pure: no locks, no threads, no time.

use crate::{Options, Outputs, Wiring};

pub(crate) const DIR: usize = 0x400;
pub(crate) const IS: usize = 0x404;
pub(crate) const IBE: usize = 0x408;
pub(crate) const IEV: usize = 0x40C;
pub(crate) const IE: usize = 0x410;
pub(crate) const RIS: usize = 0x414;
pub(crate) const MIS: usize = 0x418;
pub(crate) const IC: usize = 0x41C;
pub(crate) const AFSEL: usize = 0x420;

/// Where GPIODATA ends.
const WINDOW_END: usize = 0x400;
/// Where the identification registers begin: four of the part, four of all PrimeCells.
const ID: usize = 0xFE0;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Block {
    options: Options,
    /// What was written, for the lines that are outputs.
    data: u8,
    dir: u8,
    is: u8,
    ibe: u8,
    iev: u8,
    ie: u8,
    afsel: u8,
    /// Edges that were detected.
    latched: u8,
    /// What the outside does to the lines.
    outside: u8,
    showing: Outputs,
    /// What the outputs showed, one after the other.
    pub(crate) shown: Vec<Outputs>,
}

impl Block {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            data: 0,
            dir: 0,
            is: 0,
            ibe: 0,
            iev: 0,
            ie: 0,
            afsel: options.afsel,
            latched: 0,
            outside: 0,
            showing: Outputs::default(),
            shown: Vec::new(),
        }
    }

    /// The driver reads a register; nothing if there is none.
    pub(crate) fn read(&self, offset: usize) -> Option<u8> {
        Some(match offset {
            // CAST: bits 9 to 2 of the offset.
            0..WINDOW_END => self.pins() & (offset >> 2) as u8,
            DIR => self.dir,
            IS => self.is,
            IBE => self.ibe,
            IEV => self.iev,
            IE => self.ie,
            RIS => self.ris(),
            MIS => self.ris() & self.ie,
            AFSEL => self.afsel,
            ID.. => self.id((offset - ID) / 4),
            _ => return None,
        })
    }

    fn id(&self, index: usize) -> u8 {
        [self.options.part, self.options.cell].concat()[index]
    }

    /// The driver writes a register; `false` if there is none to be written.
    pub(crate) fn write(&mut self, offset: usize, value: u8) -> bool {
        let before = self.pins();
        match offset {
            // CAST: bits 9 to 2 of the offset.
            0..WINDOW_END => self.write_data((offset >> 2) as u8, value),
            DIR => self.dir = value,
            IS => self.sense(|block| &mut block.is, value),
            IBE => self.sense(|block| &mut block.ibe, value),
            IEV => self.sense(|block| &mut block.iev, value),
            IE => self.ie = value,
            IC => self.latched &= !value,
            AFSEL => self.afsel = value,
            _ => return false,
        }
        self.note_changes(before);
        self.note_outputs();
        true
    }

    fn write_data(&mut self, mask: u8, value: u8) {
        let mask = if self.options.forgets_inputs { mask & self.dir } else { mask };
        self.data = self.data & !mask | value & mask;
    }

    /// Changes what is detected, which the detector may take for an edge: the manual has the driver clear it.
    fn sense(&mut self, register: impl Fn(&mut Self) -> &mut u8, value: u8) {
        let changed = std::mem::replace(register(self), value) ^ value;
        self.latched |= changed;
    }

    /// The outside drives the lines of `mask`.
    pub(crate) fn drive(&mut self, mask: u8, levels: u8) {
        let before = self.pins();
        self.outside = self.outside & !mask | levels & mask;
        self.note_changes(before);
    }

    /// Whether the interrupt is asserted.
    pub(crate) fn interrupts(&self) -> bool {
        self.ris() & self.ie != 0
    }

    pub(crate) fn outputs(&self) -> Outputs {
        Outputs { driven: self.dir, levels: self.data & self.dir }
    }

    /// The levels of all lines.
    fn pins(&self) -> u8 {
        let inputs = match self.options.wiring {
            Wiring::Open => self.outside,
            Wiring::Looped => {
                // A line is wired to the one four further on.
                let driven = self.dir.rotate_left(4);
                self.data.rotate_left(4) & driven | self.outside & !driven
            }
        };
        self.data & self.dir | inputs & !self.dir
    }

    fn ris(&self) -> u8 {
        let there = !(self.pins() ^ self.iev) & !self.dir;
        self.is & there | (if self.options.latches_levels { 0xFF } else { !self.is }) & self.latched
    }

    /// Edges are detected on inputs.
    fn note_changes(&mut self, before: u8) {
        let now = self.pins();
        let changed = (before ^ now) & !self.dir;
        let wanted = self.ibe | !(now ^ self.iev);
        self.latched |= changed & wanted & !self.is;
        if self.options.latches_levels {
            self.latched |= self.is & !(now ^ self.iev) & !self.dir;
        }
    }

    fn note_outputs(&mut self) {
        let now = self.outputs();
        if now != self.showing {
            self.showing = now;
            self.shown.push(now);
        }
    }
}
