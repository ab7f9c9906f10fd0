//! Baud rates: the divisor that comes nearest to one, and how termios writes them.
//!
//! Mirrors `drivers/tty/tty_baudrate.c` and `uart_get_divisor` of `drivers/tty/serial/serial_core.c`.

use libc::{
    B50, B75, B110, B134, B150, B200, B300, B600, B1200, B1800, B2400, B4800, B9600, B19200,
    B38400, B57600, B115200, B230400, B460800, B500000, B576000, B921600, B1000000, B1152000,
    B1500000, B2000000, B2500000, B3000000, B3500000, B4000000, BOTHER, CBAUD, CIBAUD,
};

/// Clock of the UART on PCs and of QEMU's cards, in Hz: 16 times 115200.
pub(crate) const PC_CLOCK: u32 = 1_843_200;

/// The rates that have a number of their own.
const NAMED: [(u32, u32); 30] = [
    (B50, 50),
    (B75, 75),
    (B110, 110),
    (B134, 134),
    (B150, 150),
    (B200, 200),
    (B300, 300),
    (B600, 600),
    (B1200, 1200),
    (B1800, 1800),
    (B2400, 2400),
    (B4800, 4800),
    (B9600, 9600),
    (B19200, 19200),
    (B38400, 38400),
    (B57600, 57600),
    (B115200, 115_200),
    (B230400, 230_400),
    (B460800, 460_800),
    (B500000, 500_000),
    (B576000, 576_000),
    (B921600, 921_600),
    (B1000000, 1_000_000),
    (B1152000, 1_152_000),
    (B1500000, 1_500_000),
    (B2000000, 2_000_000),
    (B2500000, 2_500_000),
    (B3000000, 3_000_000),
    (B3500000, 3_500_000),
    (B4000000, 4_000_000),
];

/// A divisor, and the rate that it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Divisor {
    pub(crate) value: u16,
    /// Bits a second.
    pub(crate) actual: u32,
}

impl Divisor {
    /// The divisor of `clock` (Hz) that comes nearest to `rate`; `None` if none comes anywhere near: the rate is
    /// beyond what the clock makes.
    pub(crate) fn nearest(clock: u32, rate: u32) -> Option<Self> {
        if rate == 0 {
            return None;
        }
        let base = clock / 16;
        let value = u16::try_from((base + rate / 2) / rate).ok().filter(|value| *value > 0)?;
        Some(Self { value, actual: (base + u32::from(value) / 2) / u32::from(value) })
    }
}

/// Whether a rate is as good as the other: what the receiver of a character does not notice.
pub(crate) fn is_close(actual: u32, wanted: u32) -> bool {
    actual.abs_diff(wanted) <= wanted / 50
}

/// The rate that `cflag` names; with BOTHER it is `other`. 0 is B0: hang up.
pub(crate) fn decode(cflag: u32, other: u32) -> u32 {
    match cflag & CBAUD {
        BOTHER => other,
        code => NAMED.iter().find(|(name, _)| *name == code).map_or(0, |(_, rate)| *rate),
    }
}

/// Where the input's rate stands in `c_cflag` (`IBSHIFT`).
const INPUT_SHIFT: u32 = 16;

/// `cflag` with this rate: by its number if it has one, else BOTHER. A client that names the rate of the input too,
/// which is the same, gets that back.
pub(crate) fn encode(cflag: u32, rate: u32) -> u32 {
    let named = NAMED.iter().find(|(_, named)| *named == rate);
    let code = match named {
        // A client that says BOTHER gets BOTHER back.
        Some(_) if cflag & CBAUD == BOTHER => BOTHER,
        Some((code, _)) => *code,
        None => BOTHER,
    };
    let input = if cflag & CIBAUD == 0 { 0 } else { code << INPUT_SHIFT };
    (cflag & !(CBAUD | CIBAUD)) | code | input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_divisor_is_the_nearest_and_says_what_it_makes() {
        let at = |rate| Divisor::nearest(PC_CLOCK, rate).map(|it| (it.value, it.actual));
        assert_eq!(at(115_200), Some((1, 115_200)));
        assert_eq!(at(9600), Some((12, 9600)));
        assert_eq!(at(100_000), Some((1, 115_200)));
        assert_eq!(at(50), Some((2304, 50)));
        assert_eq!(at(110), Some((1047, 110)));
        assert_eq!((at(0), at(1), at(500_000)), (None, None, None));
    }

    #[test]
    fn every_named_rate_reads_back() {
        for (code, rate) in NAMED {
            assert_eq!(decode(encode(0, rate), 0), rate);
            assert_eq!(encode(0, rate), code);
        }
        assert_eq!(decode(encode(0, 12345), 12345), 12345);
        assert_eq!(decode(0, 12345), 0, "B0");
        assert_eq!(encode(BOTHER, 9600), BOTHER, "as the client said it");
        assert_eq!(encode(B50 | B50 << 16, 9600), B9600 | B9600 << 16, "the input's too");
    }

    #[test]
    fn two_percent_are_close() {
        assert!(is_close(9600, 9600) && is_close(9792, 9600) && !is_close(9793, 9600));
    }
}
