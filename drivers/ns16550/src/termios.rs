//! `struct termios` as the kernel's ABI has it, and what of it this port can do.
//!
//! Mirrors `include/uapi/asm-generic/termbits.h`. The port is a raw transport: what asks for a line discipline
//! (canonical mode, signals, echo) is not offered, and reads back clear, so that a client can tell.

use std::time::Duration;

use libc::{
    B9600, CLOCAL, CMSPAR, CREAD, CRTSCTS, CS6, CS7, CS8, CSIZE, CSTOPB, ECHO, ECHONL, HUPCL,
    ICANON, ISIG, IUCLC, OCRNL, OFDEL, OFILL, ONLCR, OPOST, PARENB, PARODD, VMIN, VSTART, VSTOP,
    VTIME,
};

use crate::baud;
use crate::regs::Lcr;

/// Bytes of `struct termios`.
pub(crate) const TERMIOS_BYTES: usize = 36;

/// Control characters in the ABI (`NCCS`).
const NCCS: usize = 19;

/// Local flags that ask for a line discipline.
const NOT_OFFERED: u32 = ISIG | ICANON | ECHO | ECHONL;

/// Output flags that are carried out.
const OUTPUT: u32 = OPOST | ONLCR | OCRNL | OFILL | OFDEL;

/// What the port is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Termios {
    pub(crate) iflag: u32,
    pub(crate) oflag: u32,
    pub(crate) cflag: u32,
    pub(crate) lflag: u32,
    pub(crate) line: u8,
    pub(crate) cc: [u8; NCCS],
    /// Bits a second, both ways.
    pub(crate) speed: u32,
}

impl Default for Termios {
    /// Raw, 9600 baud, 8 data bits, no parity, 1 stop bit, no flow control. The characters are `INIT_C_CC`.
    fn default() -> Self {
        let mut cc = [0; NCCS];
        // INTR, QUIT, ERASE, KILL, EOF, TIME, MIN, SWTC, START, STOP, SUSP, EOL, REPRINT, DISCARD, WERASE, LNEXT.
        cc[..16]
            .copy_from_slice(b"\x03\x1c\x7f\x15\x04\x00\x01\x00\x11\x13\x1a\x00\x12\x0f\x17\x16");
        Self {
            iflag: 0,
            oflag: 0,
            cflag: B9600 | CS8 | CREAD | HUPCL | CLOCAL,
            lflag: 0,
            line: 0,
            cc,
            speed: 9600,
        }
    }
}

impl Termios {
    /// From the client's bytes, 36 or 44 of them; a speed that they do not say is that of `old`.
    pub(crate) fn parse(bytes: &[u8], old: &Self) -> Option<Self> {
        let word = |index: usize| {
            let bytes = bytes.get(index * 4..index * 4 + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let cflag = word(2)?;
        let other = word(10).unwrap_or(old.speed);
        Some(Self {
            iflag: word(0)?,
            oflag: word(1)?,
            cflag,
            lflag: word(3)?,
            line: *bytes.get(16)?,
            cc: bytes.get(17..TERMIOS_BYTES)?.try_into().ok()?,
            speed: baud::decode(cflag, other),
        })
    }

    /// Into the client's bytes, 36 or 44 of them.
    pub(crate) fn write(&self, to: &mut [u8]) {
        let words = [self.iflag, self.oflag, self.cflag, self.lflag];
        let words = words.iter().flat_map(|word| word.to_ne_bytes());
        let speeds = [self.speed; 2].into_iter().flat_map(u32::to_ne_bytes);
        let bytes = words.chain([self.line]).chain(self.cc).chain(speeds);
        to.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
    }

    /// Without what this port does not do, so that the client reads back what is so.
    pub(crate) fn offered(mut self) -> Self {
        self.iflag &= !IUCLC;
        self.oflag &= OUTPUT;
        self.lflag &= !NOT_OFFERED;
        self.line = 0;
        if self.cflag & PARENB == 0 {
            self.cflag &= !CMSPAR;
        }
        self
    }

    /// With the rate that the port really runs at. One that nobody could tell from the wanted one is reported as
    /// wanted.
    pub(crate) fn running_at(mut self, actual: u32) -> Self {
        if !baud::is_close(actual, self.speed) {
            self.speed = actual;
        }
        self.cflag = baud::encode(self.cflag, self.speed);
        self
    }

    /// The framing.
    pub(crate) fn lcr(&self) -> Lcr {
        Lcr::default()
            .with(Lcr::LENGTH, self.data_bits() - 5)
            .with(Lcr::STOP, self.has(CSTOPB))
            .with(Lcr::PARITY, self.has(PARENB))
            .with(Lcr::EVEN, self.has(PARENB) && !self.has(PARODD))
            .with(Lcr::STICK, self.has(PARENB) && self.has(CMSPAR))
    }

    /// How long a character takes on the wire at this rate (bits a second).
    pub(crate) fn character_time(&self, rate: u32) -> Duration {
        let bits =
            1 + self.data_bits() + u8::from(self.has(PARENB)) + 1 + u8::from(self.has(CSTOPB));
        Duration::from_secs(1) * u32::from(bits) / rate.max(1)
    }

    fn data_bits(&self) -> u8 {
        match self.cflag & CSIZE {
            CS8 => 8,
            CS7 => 7,
            CS6 => 6,
            _ => 5,
        }
    }

    /// Whether these bits of `c_cflag` are set.
    pub(crate) fn has(&self, cflag: u32) -> bool {
        self.cflag & cflag == cflag
    }

    /// Whether these bits of `c_iflag` are set.
    pub(crate) fn has_input(&self, iflag: u32) -> bool {
        self.iflag & iflag == iflag
    }

    /// RTS and CTS are used for flow control.
    pub(crate) fn hardware_flow(&self) -> bool {
        self.has(CRTSCTS)
    }

    /// The character that lets the sender go on.
    pub(crate) fn start(&self) -> u8 {
        self.cc[VSTART]
    }

    /// The character that stops the sender.
    pub(crate) fn stop(&self) -> u8 {
        self.cc[VSTOP]
    }

    /// Bytes that a read waits for.
    pub(crate) fn min(&self) -> usize {
        usize::from(self.cc[VMIN])
    }

    /// How long a read waits; zero: without end, or, with a minimum of 0, not at all.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_millis(100) * u32::from(self.cc[VTIME])
    }
}

#[cfg(test)]
mod tests {
    use libc::{B19200, BOTHER, CBAUD, CS5, IXON};

    use super::*;

    /// Bytes of `struct termios2`, which has the two speeds.
    const TERMIOS2_BYTES: usize = 44;

    #[test]
    fn a_termios_reads_back_as_it_was_written() {
        let termios = Termios { iflag: IXON, cflag: B19200 | CS7, ..Termios::default() };
        let mut bytes = [0; TERMIOS2_BYTES];
        termios.write(&mut bytes);
        let wanted = Termios { speed: 19200, ..termios };
        assert_eq!(Termios::parse(&bytes[..TERMIOS_BYTES], &Termios::default()), Some(wanted));
        assert_eq!(Termios::parse(&bytes[..35], &Termios::default()), None);
    }

    #[test]
    fn the_speed_of_bother_is_in_termios2_or_the_old_one() {
        let termios = Termios { cflag: BOTHER | CS8, speed: 31250, ..Termios::default() };
        let mut bytes = [0; TERMIOS2_BYTES];
        termios.write(&mut bytes);
        let old = Termios::default();
        assert_eq!(Termios::parse(&bytes, &old).unwrap().speed, 31250);
        assert_eq!(Termios::parse(&bytes[..TERMIOS_BYTES], &old).unwrap().speed, 9600);
    }

    #[test]
    fn framing_is_written_as_the_data_sheet_has_it() {
        let lcr = |cflag| Termios { cflag, ..Termios::default() }.lcr().raw();
        assert_eq!(lcr(CS8), 0x03);
        assert_eq!(lcr(CS5), 0x00);
        assert_eq!(lcr(CS7 | PARENB), 0x1A, "even");
        assert_eq!(lcr(CS7 | PARENB | PARODD), 0x0A, "odd");
        assert_eq!(lcr(CS8 | PARENB | PARODD | CMSPAR), 0x2B, "mark");
        assert_eq!(lcr(CS8 | PARENB | CMSPAR), 0x3B, "space");
        assert_eq!(lcr(CS6 | CSTOPB), 0x05);
    }

    #[test]
    fn what_is_not_offered_reads_back_clear() {
        let asked = Termios { lflag: ICANON | ECHO | ISIG | libc::IEXTEN, ..Termios::default() };
        assert_eq!(asked.offered().lflag, libc::IEXTEN);
    }

    #[test]
    fn a_rate_that_is_far_off_is_reported_as_it_is() {
        let asked = |speed| Termios { cflag: CS8 | BOTHER, speed, ..Termios::default() };
        assert_eq!(asked(100_000).running_at(115_200).speed, 115_200);
        assert_eq!(asked(114_000).running_at(115_200).speed, 114_000);
        let named = Termios { cflag: CS8 | B19200, speed: 19200, ..Termios::default() };
        let far = named.running_at(23040);
        assert_eq!((far.cflag & CBAUD, far.speed), (BOTHER, 23040));
    }

    #[test]
    fn a_character_takes_the_time_of_its_bits() {
        assert_eq!(Termios::default().character_time(10_000), Duration::from_millis(1));
    }
}
