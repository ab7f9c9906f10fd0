//! A client of the node of `zynqmp-dma`, as `docs/zynqmp-dma.md` tells it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use uio_core::chardev::{IoctlCmd, ioctl};

const INFO: IoctlCmd = IoctlCmd(0x8020_5A00);
const MODE: IoctlCmd = IoctlCmd(0x4010_5A01);
const SUBMIT: IoctlCmd = IoctlCmd(0x4020_5A02);
const WAIT: IoctlCmd = IoctlCmd(0x8010_5A03);
const STATS: IoctlCmd = IoctlCmd(0x8038_5A04);

/// A copy, in bytes of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// From there.
    pub src: u64,
    /// To there.
    pub dst: u64,
    /// So many.
    pub len: u64,
    /// What is told with its end.
    pub cookie: u64,
}

impl Copy {
    fn bytes(&self) -> Vec<u8> {
        [self.src, self.dst, self.len, self.cookie].map(u64::to_ne_bytes).concat()
    }
}

/// How one ended: its cookie, and 0 or the number of the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The client's.
    pub cookie: u64,
    /// 0 if it went well.
    pub error: i32,
}

impl Completion {
    fn parse(bytes: &[u8; 16]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let word = |index: usize| u64::from(u32::from_ne_bytes(words[index]));
        let cookie =
            u64::from_ne_bytes([words[0], words[1]].concat().try_into().unwrap_or_default());
        Self { cookie, error: i32::try_from(word(2)).unwrap_or(i32::MAX) }
    }
}

/// What may be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Bytes of the memory.
    pub bytes: u64,
    /// Where the engine has it.
    pub bus: u64,
    /// The longest copy.
    pub longest: u64,
    /// What offsets and lengths are multiples of.
    pub align: u32,
    /// Copies of an open file that may be in flight.
    pub in_flight: u32,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Interrupts.
    pub interrupts: u64,
    /// Copies that went well.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Copies that failed.
    pub errors: u64,
    /// Those of them that were given up.
    pub timeouts: u64,
    /// Copies of which the interrupt was lost.
    pub lost_interrupts: u64,
    /// Copies that never reached the engine.
    pub refused: u64,
}

/// An open file of the node.
#[derive(Debug)]
pub struct Zdma(File);

impl Zdma {
    /// Opens the node.
    ///
    /// # Panics
    ///
    /// If it does not open.
    pub fn open(node: &Path) -> Self {
        let file = File::options().read(true).write(true).open(node);
        Self(file.unwrap_or_else(|error| panic!("{}: {error}", node.display())))
    }

    /// Opens it for copies and how they end.
    ///
    /// # Panics
    ///
    /// If that cannot be.
    pub fn queue(node: &Path) -> Self {
        let file = Self::open(node);
        file.mode(2, 0).expect("a mode that there is");
        file
    }

    /// Opens it for the memory itself, from `offset` on.
    ///
    /// # Panics
    ///
    /// If that cannot be.
    pub fn memory(node: &Path, offset: u64) -> Self {
        let file = Self::open(node);
        file.seek(offset);
        file
    }

    /// Goes to a place of the memory.
    ///
    /// # Panics
    ///
    /// If there is no such place.
    pub fn seek(&self, offset: u64) {
        self.mode(1, offset).expect("a place in the memory");
    }

    fn mode(&self, mode: u64, offset: u64) -> Result<(), Errno> {
        let mut argument = [mode, offset].map(u64::to_ne_bytes).concat();
        ioctl(&self.0, MODE, &mut argument).map(drop)
    }

    /// What may be copied.
    ///
    /// # Panics
    ///
    /// If the node does not say.
    pub fn info(&self) -> Info {
        let words = self.words::<4>(INFO);
        let [align, in_flight] = [words[3] & 0xFFFF_FFFF, words[3] >> 32];
        let narrow = |word: u64| u32::try_from(word).expect("half a word");
        let (align, in_flight) = (narrow(align), narrow(in_flight));
        Info { bytes: words[0], bus: words[1], longest: words[2], align, in_flight }
    }

    /// What is counted.
    ///
    /// # Panics
    ///
    /// If the node does not say.
    pub fn stats(&self) -> Stats {
        let [interrupts, copies, bytes, errors, timeouts, lost_interrupts, refused] =
            self.words::<7>(STATS);
        Stats { interrupts, copies, bytes, errors, timeouts, lost_interrupts, refused }
    }

    fn words<const N: usize>(&self, cmd: IoctlCmd) -> [u64; N] {
        let mut answer = vec![0; N * 8];
        ioctl(&self.0, cmd, &mut answer).expect("the node knows it");
        let (words, _) = answer.as_chunks::<8>();
        std::array::from_fn(|index| u64::from_ne_bytes(words[index]))
    }

    /// Queues a copy, by an ioctl.
    ///
    /// # Errors
    ///
    /// What the node says.
    pub fn submit(&self, copy: &Copy) -> Result<(), Errno> {
        ioctl(&self.0, SUBMIT, &mut copy.bytes()).map(drop)
    }

    /// Waits for the next copy to end, by an ioctl.
    ///
    /// # Errors
    ///
    /// What the node says.
    pub fn wait(&self) -> Result<Completion, Errno> {
        let mut answer = [0; 16];
        ioctl(&self.0, WAIT, &mut answer)?;
        Ok(Completion::parse(&answer))
    }

    /// Queues copies by a write; how many of them.
    ///
    /// # Errors
    ///
    /// What the node says.
    pub fn write_copies(&mut self, copies: &[Copy]) -> io::Result<usize> {
        let bytes: Vec<u8> = copies.iter().flat_map(Copy::bytes).collect();
        Ok(self.0.write(&bytes)? / 32)
    }

    /// Reads how copies ended: one at least, `most` at most.
    ///
    /// # Errors
    ///
    /// What the node says.
    pub fn read_completions(&mut self, most: usize) -> io::Result<Vec<Completion>> {
        let mut bytes = vec![0; most * 16];
        let count = self.0.read(&mut bytes)?;
        let (pieces, _) = bytes[..count].as_chunks::<16>();
        Ok(pieces.iter().map(Completion::parse).collect())
    }

    /// Writes all of it.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn put(&mut self, data: &[u8]) {
        self.0.write_all(data).expect("the memory takes it");
    }

    /// Reads so many bytes.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn get(&mut self, buf: &mut [u8]) {
        self.0.read_exact(buf).expect("the memory has it");
    }
}

impl AsFd for Zdma {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Bytes that are the same for the same seed and no other.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((state ^ state >> 29).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A checksum that tells where each word stands: Fletcher's, of words of 64 bits. The length is a multiple of 8.
pub fn checksum(bytes: &[u8]) -> (u64, u64) {
    let (words, rest) = bytes.as_chunks::<8>();
    debug_assert!(rest.is_empty(), "whole words");
    words.iter().fold((1, 0), |(sum, sums): (u64, u64), word| {
        let sum = sum.wrapping_add(u64::from_le_bytes(*word));
        (sum, sums.wrapping_add(sum))
    })
}
