//! What the device holds, and what its engine does with it. Plain values: no locks, no interrupts.

use uio_core::device::sim::DmaBus;
use uio_core::mem::dma::Iova;

/// Size of the device's buffer, in bytes.
pub(crate) const BUFFER_BYTES: usize = 4096;
/// Where the buffer is, for DMA_SRC and DMA_DST.
const BUFFER_START: u64 = 0x4_0000;
/// The addresses of memory that the device can say.
const DMA_MASK: u64 = (1 << 28) - 1;

pub(crate) const COMPUTING: u32 = 0x01;
pub(crate) const RAISE_WHEN_DONE: u32 = 0x80;

pub(crate) const RUN: u64 = 0x1;
const TO_MEMORY: u64 = 0x2;
pub(crate) const DMA_RAISE: u64 = 0x4;

/// A transfer, as the device saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// From memory into the device's buffer; else the other way.
    pub to_device: bool,
    /// The address of memory, as the driver wrote it.
    pub asked: u64,
    /// The address that went over the bus: the low 28 bits.
    pub iova: u64,
    /// The place in the buffer, as the driver wrote it: 0x40000 is its first byte.
    pub place: u64,
    /// Bytes.
    pub len: u64,
    /// Whether the IOMMU refused it; the driver is not told.
    pub refused: bool,
}

impl Transfer {
    /// Whether the emulator lets it pass: the end, one behind the last byte, must be inside the buffer too.
    fn is_survived(&self) -> bool {
        let inside = |at: u64| (BUFFER_START..BUFFER_START + BUFFER_BYTES as u64).contains(&at);
        let end = self.place.wrapping_add(self.len);
        inside(self.place) && end > self.place && inside(end)
    }
}

/// See the [module](self).
pub(crate) struct State {
    pub(crate) liveness: u32,
    pub(crate) factorial: u32,
    pub(crate) status: u32,
    pub(crate) irq_status: u32,
    pub(crate) dma_src: u64,
    pub(crate) dma_dst: u64,
    pub(crate) dma_count: u64,
    pub(crate) dma_cmd: u64,
    pub(crate) buffer: Box<[u8; BUFFER_BYTES]>,
    pub(crate) stalled: bool,
    pub(crate) to_lose: u32,
    pub(crate) raised: u64,
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) crash: Option<Transfer>,
    pub(crate) ends: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            liveness: 0,
            factorial: 0,
            status: 0,
            irq_status: 0,
            dma_src: 0,
            dma_dst: 0,
            dma_count: 0,
            dma_cmd: 0,
            buffer: Box::new([0; BUFFER_BYTES]),
            stalled: false,
            to_lose: 0,
            raised: 0,
            transfers: Vec::new(),
            crash: None,
            ends: false,
        }
    }

    /// As after power-on; what was noted for whoever plays the world stays.
    pub(crate) fn reset(&mut self) {
        let fresh = Self::new();
        let (raised, transfers) = (self.raised, std::mem::take(&mut self.transfers));
        *self = Self { raised, transfers, crash: self.crash, ends: self.ends, ..fresh };
    }

    /// Whether there is anything to do for the engine.
    pub(crate) fn has_work(&self) -> bool {
        let may = !self.stalled && self.crash.is_none();
        may && (self.status & COMPUTING != 0 || self.dma_cmd & RUN != 0)
    }

    /// Ends a computation. Whether it is to raise an interrupt.
    pub(crate) fn compute(&mut self) -> bool {
        if self.status & COMPUTING == 0 {
            return false;
        }
        let factors = 1..=self.factorial;
        // From 34 on the product is 0, and stays it.
        let product = factors.take(34).fold(1_u32, u32::wrapping_mul);
        self.factorial = product;
        self.status &= !COMPUTING;
        self.status & RAISE_WHEN_DONE != 0
    }

    /// Carries out a transfer over `bus`, which is open if the device `is_master`. Whether it is to raise an
    /// interrupt.
    pub(crate) fn transfer(&mut self, bus: &DmaBus, is_master: bool) -> bool {
        if self.dma_cmd & RUN == 0 {
            return false;
        }
        let mut transfer = self.asked();
        if !transfer.is_survived() {
            self.crash = Some(transfer);
            return false;
        }
        transfer.refused = !is_master || !self.copy(bus, &transfer);
        self.transfers.push(transfer);
        self.dma_cmd &= !RUN;
        self.dma_cmd & DMA_RAISE != 0
    }

    /// What the registers ask for.
    fn asked(&self) -> Transfer {
        let to_device = self.dma_cmd & TO_MEMORY == 0;
        let (asked, place) = match to_device {
            true => (self.dma_src, self.dma_dst),
            false => (self.dma_dst, self.dma_src),
        };
        let (iova, len) = (asked & DMA_MASK, self.dma_count);
        Transfer { to_device, asked, iova, place, len, refused: false }
    }

    /// Moves the bytes of a transfer that is inside the buffer. Whether the IOMMU let it.
    fn copy(&mut self, bus: &DmaBus, transfer: &Transfer) -> bool {
        // CAST: both are below 4096.
        let (at, len) = ((transfer.place - BUFFER_START) as usize, transfer.len as usize);
        let bytes = &mut self.buffer[at..at + len];
        let done = match transfer.to_device {
            true => bus.read(Iova(transfer.iova), bytes),
            false => bus.write(Iova(transfer.iova), bytes),
        };
        done.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn computed(number: u32) -> u32 {
        let mut state = State { factorial: number, status: COMPUTING, ..State::new() };
        assert!(!state.compute(), "nobody asked for an interrupt");
        state.factorial
    }

    #[test]
    fn a_factorial_is_modulo_2_to_the_32() {
        assert_eq!([0, 1, 5, 12].map(computed), [1, 1, 120, 479_001_600]);
        assert_eq!(computed(13), 1_932_053_504);
        assert_eq!([34, 35, u32::MAX].map(computed), [0, 0, 0]);
    }

    #[test]
    fn a_transfer_that_touches_the_last_byte_ends_the_machine() {
        let survived = |place, len| {
            let asked = Transfer { to_device: true, asked: 0, iova: 0, place, len, refused: false };
            asked.is_survived()
        };
        assert!(survived(0x4_0000, 4095) && survived(0x4_0FFE, 1));
        assert!(!survived(0x4_0000, 4096) && !survived(0x4_0FFF, 1));
        assert!(!survived(0x4_0000, 0) && !survived(0x3_FFFF, 1) && !survived(0x4_0010, u64::MAX));
    }

    #[test]
    fn an_address_is_cut_to_28_bits_and_a_refusal_is_not_told() {
        let mut state = State {
            dma_src: 0xF_1000_0000,
            dma_dst: 0x4_0000,
            dma_count: 4,
            dma_cmd: RUN | DMA_RAISE,
            ..State::new()
        };
        assert!(state.transfer(&DmaBus::new(), true), "it raises its interrupt");
        let seen = state.transfers[0];
        assert_eq!((seen.asked, seen.iova, seen.refused), (0xF_1000_0000, 0, true));
        assert_eq!(state.dma_cmd, DMA_RAISE);
    }
}
