//! What becomes of a received character: input flags, and the two characters of software flow control.
//!
//! Mirrors `uart_insert_char` (`drivers/tty/serial/serial_core.c`) and the raw mode of `drivers/tty/n_tty.c`. There
//! is nobody to signal, so BRKINT swallows a break as the kernel does for a terminal without a foreground group.

use libc::{
    _POSIX_VDISABLE, BRKINT, ICRNL, IGNBRK, IGNCR, IGNPAR, INLCR, INPCK, ISTRIP, IXON, PARMRK,
};

use crate::termios::Termios;

/// Bytes that one character can become.
pub(crate) const MOST_BYTES: usize = 3;

/// What is wrong with a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Parity,
    Framing,
    Break,
}

/// What a character comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// These bytes, the first so many, go to the reader.
    Bytes([u8; MOST_BYTES], usize),
    /// The other end wants no more.
    Stop,
    /// The other end wants more.
    Start,
}

impl Input {
    const NOTHING: Self = Self::Bytes([0; MOST_BYTES], 0);

    fn one(byte: u8) -> Self {
        Self::Bytes([byte, 0, 0], 1)
    }

    fn marked(byte: u8) -> Self {
        Self::Bytes([0xFF, 0, byte], 3)
    }
}

/// Makes of a character what `termios` says.
pub(crate) fn process(termios: &Termios, byte: u8, fault: Fault) -> Input {
    let has = |flag| termios.has_input(flag);
    match fault {
        Fault::Break if has(IGNBRK) || has(BRKINT) => Input::NOTHING,
        Fault::Break if has(PARMRK) => Input::marked(0),
        Fault::Break => Input::one(0),
        Fault::Parity | Fault::Framing if has(IGNPAR) => Input::NOTHING,
        Fault::Parity | Fault::Framing if has(INPCK) && has(PARMRK) => Input::marked(byte),
        Fault::Parity | Fault::Framing if has(INPCK) => Input::one(0),
        Fault::Parity | Fault::Framing | Fault::None => sound(termios, byte),
    }
}

fn sound(termios: &Termios, byte: u8) -> Input {
    let has = |flag| termios.has_input(flag);
    let byte = if has(ISTRIP) { byte & 0x7F } else { byte };
    let is = |control: u8| control != _POSIX_VDISABLE && byte == control;
    match byte {
        _ if has(IXON) && is(termios.start()) => Input::Start,
        _ if has(IXON) && is(termios.stop()) => Input::Stop,
        b'\r' if has(IGNCR) => Input::NOTHING,
        b'\r' if has(ICRNL) => Input::one(b'\n'),
        b'\n' if has(INLCR) => Input::one(b'\r'),
        0xFF if has(PARMRK) => Input::Bytes([0xFF, 0xFF, 0], 2),
        _ => Input::one(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(iflag: u32, byte: u8, fault: Fault) -> Input {
        process(&Termios { iflag, ..Termios::default() }, byte, fault)
    }

    fn sound(iflag: u32, byte: u8) -> Input {
        input(iflag, byte, Fault::None)
    }

    #[test]
    fn raw_mode_changes_nothing() {
        for byte in 0..=u8::MAX {
            assert_eq!(sound(0, byte), Input::one(byte));
            assert_eq!(input(0, byte, Fault::Parity), Input::one(byte));
        }
    }

    #[test]
    fn line_ends_are_translated() {
        assert_eq!(sound(ICRNL, b'\r'), Input::one(b'\n'));
        assert_eq!(sound(INLCR, b'\n'), Input::one(b'\r'));
        assert_eq!(sound(IGNCR | ICRNL, b'\r'), Input::NOTHING);
        assert_eq!(sound(ISTRIP, 0xC1), Input::one(0x41));
    }

    #[test]
    fn errors_are_dropped_marked_or_zero() {
        for fault in [Fault::Parity, Fault::Framing] {
            assert_eq!(input(IGNPAR, b'x', fault), Input::NOTHING);
            assert_eq!(input(INPCK, b'x', fault), Input::one(0));
            assert_eq!(input(INPCK | PARMRK, b'x', fault), Input::marked(b'x'));
        }
        assert_eq!(sound(PARMRK, 0xFF), Input::Bytes([0xFF, 0xFF, 0], 2));
    }

    #[test]
    fn a_break_is_a_zero_unless_it_is_marked_or_swallowed() {
        assert_eq!(input(0, 0, Fault::Break), Input::one(0));
        assert_eq!(input(PARMRK, 0, Fault::Break), Input::marked(0));
        assert_eq!(input(IGNBRK, 0, Fault::Break), Input::NOTHING);
        assert_eq!(input(BRKINT, 0, Fault::Break), Input::NOTHING);
    }

    #[test]
    fn flow_control_characters_are_not_data() {
        assert_eq!((sound(IXON, 0x13), sound(IXON, 0x11)), (Input::Stop, Input::Start));
        assert_eq!(sound(0, 0x13), Input::one(0x13));
    }
}
