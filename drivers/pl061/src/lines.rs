//! What a line can be, and what a client asks it to be.

use crate::regs::LINES;

/// What an input tells by events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// Nothing.
    #[default]
    None,
    /// That it goes from low to high.
    Rising,
    /// That it goes from high to low.
    Falling,
    /// Either.
    Both,
    /// That it is high: once, until it is armed again.
    LevelHigh,
    /// That it is low: once, until it is armed again.
    LevelLow,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::None, Self::Rising, Self::Falling, Self::Both, Self::LevelHigh, Self::LevelLow];

    /// As a command has it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rising => "rising",
            Self::Falling => "falling",
            Self::Both => "both",
            Self::LevelHigh => "level-high",
            Self::LevelLow => "level-low",
        }
    }

    pub(crate) const fn is_level(self) -> bool {
        matches!(self, Self::LevelHigh | Self::LevelLow)
    }

    /// The bit of GPIOIEV.
    pub(crate) const fn is_upward(self) -> bool {
        matches!(self, Self::Rising | Self::LevelHigh)
    }
}

/// What lines are to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// Inputs that tell this.
    Input(Kind),
    /// Outputs at the levels that they have.
    OutputAsIs,
    /// Outputs at the levels of these bits.
    Output(u8),
    /// Outputs, as they are already, at the levels of these bits.
    Level(u8),
}

/// One thing that a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// The lines, a bit for each.
    pub(crate) lines: u8,
    pub(crate) to: To,
}

/// How a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineState {
    pub(crate) output: bool,
    pub(crate) high: bool,
    pub(crate) kind: Kind,
    /// It told its level, and is not armed.
    pub(crate) fired: bool,
    /// It belongs to another block of the chip.
    pub(crate) taken: bool,
}

/// The numbers of the lines in `mask`, the lowest first.
pub(crate) fn each(mask: u8) -> impl Iterator<Item = usize> {
    (0..LINES).filter(move |line| mask >> line & 1 != 0)
}

/// The lines of `mask`, as a message names them: `line 3`, `lines 0 and 3`, `lines 1, 2 and 5`.
pub(crate) fn named(mask: u8) -> String {
    let mut numbers: Vec<String> = each(mask).map(|line| line.to_string()).collect();
    let last = numbers.pop().unwrap_or_default();
    if numbers.is_empty() {
        return format!("line {last}");
    }
    format!("lines {} and {last}", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_named_as_one_says_them() {
        assert_eq!(named(0b1000), "line 3");
        assert_eq!(named(0b1001), "lines 0 and 3");
        assert_eq!(named(0b10_0110), "lines 1, 2 and 5");
    }
}
