//! Bytes that tell where they come from: patterns, and records of several writers.

/// A stream of bytes that looks random and is the same every time.
#[derive(Debug, Clone)]
pub struct Pattern(u64);

impl Pattern {
    /// One of many streams.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Its next bytes.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next_byte()).collect()
    }

    /// Fails unless `bytes` are its next ones.
    ///
    /// # Panics
    ///
    /// At the first that is another one.
    pub fn check(&mut self, bytes: &[u8]) {
        for (index, &byte) in bytes.iter().enumerate() {
            assert_eq!(byte, self.next_byte(), "byte {index} of {}", bytes.len());
        }
    }

    /// Marsaglia's xorshift, the upper byte.
    fn next_byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_be_bytes()[0]
    }
}

/// A piece of a writer's stream: who wrote it, and how many of that writer came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// The writer.
    pub writer: u32,
    /// Its number.
    pub number: u32,
}

impl Record {
    /// Bytes of a record.
    pub const BYTES: usize = 8;

    /// As it is written.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        (u64::from(self.writer) << 32 | u64::from(self.number)).to_be_bytes()
    }

    /// The records in `bytes`.
    ///
    /// # Panics
    ///
    /// If one is torn.
    pub fn all(bytes: &[u8]) -> Vec<Self> {
        assert_eq!(bytes.len() % Self::BYTES, 0, "a torn record");
        let pieces = bytes.chunks_exact(Self::BYTES);
        let value = |piece: &[u8]| piece.iter().fold(0, |all, &byte| all << 8 | u64::from(byte));
        // CAST: the halves.
        let record = |all: u64| Self { writer: (all >> 32) as u32, number: all as u32 };
        pieces.map(|piece| record(value(piece))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_the_same_every_time() {
        let bytes = Pattern::new(7).take(1000);
        Pattern::new(7).check(&bytes);
        assert_ne!(Pattern::new(8).take(1000), bytes);
    }

    #[test]
    #[should_panic(expected = "byte 3")]
    fn a_wrong_byte_is_found() {
        let mut bytes = Pattern::new(7).take(10);
        bytes[3] ^= 1;
        Pattern::new(7).check(&bytes);
    }

    #[test]
    fn records_come_back() {
        let record = Record { writer: 3, number: 0x01020304 };
        assert_eq!(Record::all(&record.to_bytes()), [record]);
    }
}
