//! An event, and its two forms: the kernel's `struct gpio_v2_line_event`, and a line of text.

use std::fmt::Write;

/// Bytes of `struct gpio_v2_line_event`.
pub(crate) const EVENT_BYTES: usize = 48;

const NS_PER_S: u64 = 1_000_000_000;

/// What happened. The first two have the numbers of the kernel's `enum gpio_v2_line_event_id`; the kernel has no events
/// of levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Id {
    #[default]
    Rising = 1,
    Falling = 2,
    LevelHigh = 3,
    LevelLow = 4,
}

impl Id {
    /// The edge that leads to a level.
    pub(crate) const fn edge_to(high: bool) -> Self {
        if high { Self::Rising } else { Self::Falling }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Rising => "rising",
            Self::Falling => "falling",
            Self::LevelHigh => "level-high",
            Self::LevelLow => "level-low",
        }
    }
}

/// Something that happened on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// Of `CLOCK_MONOTONIC`.
    pub(crate) timestamp_ns: u64,
    pub(crate) id: Id,
    pub(crate) line: u8,
    /// Its number among all events, the first being 1.
    pub(crate) seqno: u32,
    /// Its number among those of its line.
    pub(crate) line_seqno: u32,
}

impl Event {
    /// As `struct gpio_v2_line_event`.
    pub(crate) fn to_bytes(self) -> [u8; EVENT_BYTES] {
        let mut bytes = [0; EVENT_BYTES];
        let words = [self.id as u32, self.line.into(), self.seqno, self.line_seqno];
        bytes[..8].copy_from_slice(&self.timestamp_ns.to_ne_bytes());
        for (place, word) in bytes[8..24].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// As a line of text: seconds, the line, what happened.
    pub(crate) fn write_text(&self, text: &mut String) {
        let (s, ns) = (self.timestamp_ns / NS_PER_S, self.timestamp_ns % NS_PER_S);
        // A String takes everything.
        let _ = writeln!(text, "{s:>6}.{ns:09} line {} {}", self.line, self.id.word());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: Event =
        Event { timestamp_ns: 12_034_567_891, id: Id::Falling, line: 3, seqno: 7, line_seqno: 2 };

    #[test]
    fn an_event_has_the_layout_of_the_kernel() {
        let bytes = EVENT.to_bytes();
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(u64::from_ne_bytes(bytes[..8].try_into().unwrap()), 12_034_567_891);
        assert_eq!([8, 12, 16, 20].map(word), [2, 3, 7, 2]);
        assert!(bytes[24..].iter().all(|byte| *byte == 0), "the padding");
    }

    #[test]
    fn a_line_of_text_says_when_where_and_what() {
        let mut text = String::new();
        EVENT.write_text(&mut text);
        assert_eq!(text, "    12.034567891 line 3 falling\n");
    }
}
