//! The chip: its registers, as the driver reads and writes them, its counter and its comparator.
//!
//! After the technical reference manual of the PrimeCell RTC (ARM DDI 0224). Pure: no locks, no threads; time
//! passes when [`Chip::advance`] says so.

/// Data register: the time in seconds.
const DR: usize = 0x000;
/// Match register.
const MR: usize = 0x004;
/// Load register.
const LR: usize = 0x008;
/// Control register: bit 0 starts the clock.
const CR: usize = 0x00C;
/// Interrupt mask set or clear register.
const IMSC: usize = 0x010;
/// Raw interrupt status.
const RIS: usize = 0x014;
/// Masked interrupt status.
const MIS: usize = 0x018;
/// Interrupt clear register.
const ICR: usize = 0x01C;
/// The first of eight identification registers, a byte in each.
const IDS: usize = 0xFE0;

/// Bytes of the region.
pub(crate) const REGION_BYTES: usize = 0x1000;

/// What the identification registers of ARM's PL031 read: the block's, then the PrimeCell's.
pub const PL031_IDS: [u8; 8] = [0x31, 0x10, 0x04, 0x00, 0x0D, 0xF0, 0x05, 0xB1];

/// When the comparator raises the interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Comparator {
    /// As soon as both values are equal: also when a write makes them so. As the data sheet has it, and QEMU.
    #[default]
    Equal,
    /// Only when the counter steps to the value: one that is written too late is missed.
    Step,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Chip {
    comparator: Comparator,
    ids: [u8; 8],
    time: u32,
    matches: u32,
    load: u32,
    started: bool,
    unmasked: bool,
    raised: bool,
}

/// An access that no driver should make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mistake;

impl Chip {
    pub(crate) fn new(comparator: Comparator, ids: [u8; 8], time: u32, started: bool) -> Self {
        Self { comparator, ids, time, matches: 0, load: 0, started, unmasked: false, raised: false }
    }

    /// The driver reads a register.
    pub(crate) fn read(&self, offset: usize) -> Result<u32, Mistake> {
        match offset {
            DR => Ok(self.time),
            MR => Ok(self.matches),
            LR => Ok(self.load),
            CR => Ok(self.started.into()),
            IMSC => Ok(self.unmasked.into()),
            RIS => Ok(self.raised.into()),
            MIS => Ok(self.interrupts().into()),
            IDS.. if offset < REGION_BYTES => Ok(self.ids[(offset - IDS) / 4].into()),
            _ => Err(Mistake),
        }
    }

    /// The driver writes a register.
    pub(crate) fn write(&mut self, offset: usize, value: u32) -> Result<(), Mistake> {
        match offset {
            MR => {
                self.matches = value;
                self.compare();
            }
            LR => {
                (self.load, self.time) = (value, value);
                self.compare();
            }
            // Once started it runs until it is reset.
            CR => self.started |= value & 1 != 0,
            IMSC => self.unmasked = value & 1 != 0,
            ICR => self.raised &= value & 1 == 0,
            _ => return Err(Mistake),
        }
        Ok(())
    }

    /// So many seconds pass. The counter goes on at 0 after its last value.
    pub(crate) fn advance(&mut self, seconds: u32) {
        if !self.started {
            return;
        }
        self.raised |= self.seconds_to_match().is_some_and(|ahead| ahead <= seconds);
        self.time = self.time.wrapping_add(seconds);
    }

    /// When the counter steps to the match value, in seconds; `None`: it is there, the next time is in 136 years.
    pub(crate) fn seconds_to_match(&self) -> Option<u32> {
        Some(self.matches.wrapping_sub(self.time)).filter(|ahead| self.started && *ahead > 0)
    }

    /// Whether the interrupt is asserted: a level, until ICR or the mask takes it away.
    pub(crate) fn interrupts(&self) -> bool {
        self.raised && self.unmasked
    }

    /// Has the comparator say that it has found both values equal.
    pub(crate) fn raise(&mut self) {
        self.raised = true;
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised
    }

    pub(crate) fn time(&self) -> u32 {
        self.time
    }

    pub(crate) fn matches(&self) -> u32 {
        self.matches
    }

    pub(crate) fn is_unmasked(&self) -> bool {
        self.unmasked
    }

    fn compare(&mut self) {
        let equal = self.started && self.time == self.matches;
        self.raised |= equal && self.comparator == Comparator::Equal;
    }
}
