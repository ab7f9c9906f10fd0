//! The modem lines: TIOCMGET and its like, the counts of their changes, and CTS as flow control.
//!
//! Mirrors `uart_tiocmget`, `uart_wait_modem_status` and `serial8250_modem_status`.

use libc::{TIOCM_CAR, TIOCM_CTS, TIOCM_DSR, TIOCM_DTR, TIOCM_RNG, TIOCM_RTS};
use uio_core::io::AccessError;

use crate::hardware::{Hardware, News};
use crate::regs::{Mcr, Msr};
use crate::stats::{Counts, bump};

/// The outputs that have no name in POSIX (`include/uapi/asm-generic/termios.h`).
const TIOCM_OUT1: i32 = 0x2000;
const TIOCM_OUT2: i32 = 0x4000;
const TIOCM_LOOP: i32 = 0x8000;

/// Bits of MSR that say what is, and not what changed.
const INPUTS: u8 = 0xF0;

impl Hardware {
    /// Looks at the inputs, and counts their changes.
    pub(crate) fn look_at_inputs(&mut self, news: &mut News) -> Result<(), AccessError> {
        let msr = self.parts.regs.read::<Msr>()?;
        if msr.raw() & !INPUTS == 0 {
            return Ok(());
        }
        self.inputs = Msr::new(msr.raw() & INPUTS);
        let counts = &mut self.counts;
        let changes = [
            (Msr::DELTA_CTS, &mut counts.cts),
            (Msr::DELTA_DSR, &mut counts.dsr),
            (Msr::TRAILING_RI, &mut counts.rng),
            (Msr::DELTA_DCD, &mut counts.dcd),
        ];
        changes.into_iter().filter(|(change, _)| msr.get(*change)).for_each(|(_, it)| bump(it));
        news.writable = true;
        Ok(())
    }

    /// The lines as TIOCMGET gives them.
    pub(crate) fn modem_bits(&self) -> i32 {
        let (mcr, msr) = (self.mcr(), self.inputs);
        let bits = [
            (mcr.get(Mcr::DTR), TIOCM_DTR),
            (mcr.get(Mcr::RTS), TIOCM_RTS),
            (mcr.get(Mcr::OUT1), TIOCM_OUT1),
            (mcr.get(Mcr::OUT2), TIOCM_OUT2),
            (mcr.get(Mcr::LOOP), TIOCM_LOOP),
            (msr.get(Msr::CTS), TIOCM_CTS),
            (msr.get(Msr::DSR), TIOCM_DSR),
            (msr.get(Msr::RI), TIOCM_RNG),
            (msr.get(Msr::DCD), TIOCM_CAR),
        ];
        bits.into_iter().filter(|(on, _)| *on).fold(0, |all, (_, bit)| all | bit)
    }

    /// Sets and clears outputs, as TIOCMBIS and TIOCMBIC do. OUT2, which carries the interrupt, is the driver's.
    pub(crate) fn change_outputs(&mut self, set: i32, clear: i32) -> Result<(), AccessError> {
        let outputs = [
            (TIOCM_DTR, Mcr::DTR),
            (TIOCM_RTS, Mcr::RTS),
            (TIOCM_OUT1, Mcr::OUT1),
            (TIOCM_LOOP, Mcr::LOOP),
        ];
        for (bit, output) in outputs {
            if (set | clear) & bit != 0 {
                self.outputs = self.outputs.with(output, set & bit != 0);
            }
        }
        self.write_mcr()
    }
}

/// What TIOCMIWAIT compares: the low bits of the four counts, and a mark that tells it from 0.
pub(crate) fn snapshot(counts: &Counts) -> u64 {
    let all = [counts.cts, counts.dsr, counts.rng, counts.dcd];
    all.iter().fold(1, |bits, count| bits << 15 | u64::from(count & 0x7FFF))
}

/// Whether one of the lines in `wanted` (TIOCM bits) changed between two snapshots.
pub(crate) fn has_changed(before: u64, after: u64, wanted: i32) -> bool {
    let lines = [(TIOCM_CTS, 45), (TIOCM_DSR, 30), (TIOCM_RNG, 15), (TIOCM_CAR, 0)];
    let differs = |shift: u32| (before ^ after) >> shift & 0x7FFF != 0;
    lines.iter().any(|&(line, shift)| wanted & line != 0 && differs(shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_tells_which_line_changed() {
        let before = Counts { cts: 1, dsr: 0x7FFF, rng: 3, dcd: 4, ..Counts::default() };
        let changed = |after, wanted| has_changed(snapshot(&before), snapshot(&after), wanted);
        assert!(!changed(before, TIOCM_CTS | TIOCM_DSR | TIOCM_RNG | TIOCM_CAR));
        assert!(changed(Counts { cts: 2, ..before }, TIOCM_CTS));
        assert!(changed(Counts { dsr: 0x8000, ..before }, TIOCM_DSR));
        assert!(changed(Counts { rng: 4, ..before }, TIOCM_RNG));
        assert!(changed(Counts { dcd: 5, ..before }, TIOCM_CAR));
        assert!(!changed(Counts { dcd: 5, ..before }, TIOCM_CTS | TIOCM_DSR | TIOCM_RNG));
        assert_ne!(snapshot(&Counts::default()), 0);
    }
}
