//! The registers, and what the engine does with them. Plain values: no locks, no interrupts.

use crate::MEMORY;

pub(crate) const DONE: u32 = 1 << 10;
const AXI_WR_DATA: u32 = 1 << 9;
const AXI_RD_DATA: u32 = 1 << 8;
const AXI_RD_SRC_DSCR: u32 = 1 << 6;
const BYTE_CNT_OVRFL: u32 = 1 << 3;
const INV_APB: u32 = 1 << 0;
const CAUSES: u32 = 0xFFF;

const LINKED: u32 = 1 << 6;
const ENABLE: u32 = 1;

/// States of STATUS.
const IDLE: u32 = 0;
const AT_WORK: u32 = 2;
const FAILED: u32 = 3;

/// A copy, as the engine made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Where it read.
    pub src: u64,
    /// Where it wrote.
    pub dst: u64,
    /// Bytes.
    pub len: u32,
    /// What ISR got for it.
    pub causes: u32,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct State {
    isr: u32,
    imr: u32,
    /// CTRL0, CTRL1, FCI.
    ctrl: [u32; 3],
    status: u32,
    /// DATA_ATTR, DSCR_ATTR.
    attr: [u32; 2],
    src: [u32; 4],
    dst: [u32; 4],
    total: u32,
    account: [u32; 2],
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) writes: u64,
    pub(crate) fail: u32,
    pub(crate) short: Option<u32>,
    pub(crate) stalled: bool,
    pub(crate) ignores_stop: bool,
    pub(crate) to_lose: u32,
    /// A lost interrupt is signalled no more, until ISR is cleared.
    pub(crate) lost: bool,
    pub(crate) ends: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            isr: 0,
            imr: CAUSES,
            ctrl: [0x80, 0x3FF, 0],
            status: IDLE,
            attr: [0x0483_D20F, 0],
            src: [0; 4],
            dst: [0; 4],
            total: 0,
            account: [0; 2],
            transfers: Vec::new(),
            writes: 0,
            fail: 0,
            short: None,
            stalled: false,
            ignores_stop: false,
            to_lose: 0,
            lost: false,
            ends: false,
        }
    }

    /// Whether the channel asserts its line.
    pub(crate) fn level(&self) -> bool {
        self.isr & !self.imr != 0 && !self.lost
    }

    pub(crate) fn has_work(&self) -> bool {
        self.status == AT_WORK && !self.stalled
    }

    pub(crate) fn set_total(&mut self, bytes: u32) {
        self.total = bytes;
    }

    /// Sets causes.
    pub(crate) fn raise(&mut self, bits: u32) {
        self.isr |= bits;
        if self.to_lose > 0 && self.isr & !self.imr != 0 {
            self.to_lose -= 1;
            self.lost = true;
        }
    }

    /// A register without side effects; 0 where there is none.
    pub(crate) fn peek(&self, offset: usize) -> u32 {
        match offset {
            0x100 => self.isr,
            0x104 => self.imr,
            0x110 | 0x114 | 0x118 => self.ctrl[(offset - 0x110) / 4],
            0x11C => self.status,
            0x120 | 0x124 => self.attr[(offset - 0x120) / 4],
            0x128..0x138 => self.src[(offset - 0x128) / 4],
            0x138..0x148 => self.dst[(offset - 0x138) / 4],
            0x188 => self.total,
            0x190 | 0x194 => self.account[(offset - 0x190) / 4],
            0x200 => u32::from(self.status == AT_WORK),
            _ => 0,
        }
    }

    pub(crate) fn read(&mut self, offset: usize) -> u32 {
        if !is_register(offset) {
            self.raise(INV_APB);
        }
        let value = self.peek(offset);
        if let 0x190 | 0x194 = offset {
            self.account[(offset - 0x190) / 4] = 0;
        }
        value
    }

    /// An access of another width.
    pub(crate) fn misuse(&mut self) {
        self.raise(INV_APB);
    }

    pub(crate) fn write(&mut self, offset: usize, value: u32) {
        self.writes += 1;
        match offset {
            0x100 => {
                self.isr &= !value;
                self.lost = false;
            }
            0x108 => self.imr &= !(value & CAUSES),
            0x10C => self.imr |= value & CAUSES,
            0x110 => self.ctrl[0] = value & 0xFE,
            0x114 => self.ctrl[1] = value & 0x3FF,
            0x118 => self.ctrl[2] = value & 0x3F,
            0x120 => self.attr[0] = value & 0x0FFF_FFFF,
            0x124 => self.attr[1] = value & 0x1FF,
            0x128..0x138 => {
                self.src[(offset - 0x128) / 4] = value & descriptor_bits(offset - 0x128);
            }
            0x138..0x148 => {
                self.dst[(offset - 0x138) / 4] = value & descriptor_bits(offset - 0x138);
            }
            0x188 => self.total &= !value,
            0x200 => self.enable(value & ENABLE != 0),
            _ if is_register(offset) => {}
            _ => self.raise(INV_APB),
        }
    }

    fn enable(&mut self, on: bool) {
        if on {
            self.status = AT_WORK;
        } else if self.status == AT_WORK && !self.ignores_stop {
            self.status = IDLE;
        }
    }

    /// Carries out the copy in `memory`.
    pub(crate) fn transfer(&mut self, memory: &mut [u8]) {
        let (src, dst, len) = (address(&self.src), address(&self.dst), self.src[2]);
        let causes = self.copy(memory, src, dst, len);
        self.status = if causes & !(DONE | BYTE_CNT_OVRFL) == 0 { IDLE } else { FAILED };
        self.transfers.push(Transfer { src, dst, len, causes });
        self.raise(causes);
    }

    /// What ISR gets for it.
    fn copy(&mut self, memory: &mut [u8], src: u64, dst: u64, len: u32) -> u32 {
        if self.ctrl[0] & LINKED != 0 {
            return AXI_RD_SRC_DSCR;
        }
        let fail = std::mem::take(&mut self.fail);
        // CAST: 30 bits.
        let whole = len as usize;
        let (Some(from), Some(to)) = (place(memory, src, whole), place(memory, dst, whole)) else {
            let readable = place(memory, src, whole).is_some();
            return if readable { AXI_WR_DATA } else { AXI_RD_DATA };
        };
        let count = if fail == 0 { whole } else { whole / 2 };
        memory.copy_within(from..from + count, to);
        // CAST: 30 bits.
        let moved = self.short.take().unwrap_or(count as u32);
        let (total, overflows) = self.total.overflowing_add(moved);
        self.total = total;
        let overflow = if overflows { BYTE_CNT_OVRFL } else { 0 };
        overflow | if fail == 0 { DONE } else { fail }
    }
}

/// The bits that a word of a descriptor has.
fn descriptor_bits(offset: usize) -> u32 {
    match offset {
        0 => u32::MAX,
        4 => 0x0001_FFFF,
        8 => 0x3FFF_FFFF,
        _ => 0x1F,
    }
}

fn is_register(offset: usize) -> bool {
    matches!(offset, 0x0 | 0x100..0x1A0 | 0x200) && offset.is_multiple_of(4)
}

fn address(descriptor: &[u32; 4]) -> u64 {
    u64::from(descriptor[1]) << 32 | u64::from(descriptor[0])
}

/// Where `len` bytes at a bus address are in the memory.
fn place(memory: &[u8], address: u64, len: usize) -> Option<usize> {
    let at = usize::try_from(address.checked_sub(MEMORY)?).ok()?;
    (at.checked_add(len)? <= memory.len()).then_some(at)
}
