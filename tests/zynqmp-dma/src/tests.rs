//! The rules of the data sheet, each by the registers alone.

use std::time::{Duration, Instant};

use uio_core::io::{RegionModel, Width};

use super::*;

const ISR: usize = 0x100;
const IMR: usize = 0x104;
const IEN: usize = 0x108;
const IDS: usize = 0x10C;
const STATUS: usize = 0x11C;
const TOTAL: usize = 0x188;
const CTRL2: usize = 0x200;

const DONE: u32 = 1 << 10;

fn read(channel: &ZynqmpDma, offset: usize) -> u32 {
    u32::try_from(channel.hardware.read(offset, Width::U32)).unwrap()
}

fn write(channel: &ZynqmpDma, offset: usize, value: u32) {
    channel.hardware.write(offset, Width::U32, value.into());
}

fn program(channel: &ZynqmpDma, src: u64, dst: u64, len: u32) {
    for (base, address) in [(0x128, src), (0x138, dst)] {
        write(channel, base, u32::try_from(address & 0xFFFF_FFFF).unwrap());
        write(channel, base + 4, u32::try_from(address >> 32).unwrap());
        write(channel, base + 8, len);
    }
    write(channel, CTRL2, 1);
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn copy(channel: &ZynqmpDma, src: u64, dst: u64, len: u32) -> u32 {
    program(channel, src, dst, len);
    until("the copy ends", || read(channel, CTRL2) == 0);
    read(channel, ISR)
}

#[test]
fn registers_are_as_after_a_reset() {
    let channel = ZynqmpDma::new().unwrap();
    let at_reset =
        [(ISR, 0), (IMR, 0xFFF), (0x110, 0x80), (0x114, 0x3FF), (STATUS, 0), (0x120, 0x0483_D20F)];
    for (offset, value) in at_reset {
        assert_eq!(read(&channel, offset), value, "{offset:#x}");
    }
    assert_eq!(read(&channel, CTRL2), 0);
}

#[test]
fn bits_that_a_register_has_not_read_as_0() {
    let channel = ZynqmpDma::new().unwrap();
    for (offset, bits) in [(0x12C, 0x1_FFFF), (0x130, 0x3FFF_FFFF), (0x134, 0x1F), (0x110, 0xFE)] {
        write(&channel, offset, u32::MAX);
        assert_eq!(read(&channel, offset), bits, "{offset:#x}");
    }
}

#[test]
fn a_copy_moves_counts_and_says_that_it_is_done() {
    let channel = ZynqmpDma::new().unwrap();
    channel.hardware.memory.bytes()[..8].copy_from_slice(b"01234567");
    assert_eq!(copy(&channel, MEMORY, MEMORY + 0x1000, 8), DONE);
    assert_eq!(channel.controls().memory(0x1000, 9), *b"01234567\xA5");
    assert_eq!((read(&channel, TOTAL), read(&channel, STATUS)), (8, 0));
    write(&channel, ISR, DONE);
    assert_eq!(copy(&channel, MEMORY, MEMORY + 0x1000, 16), DONE);
    assert_eq!(read(&channel, TOTAL), 24, "it goes on counting");
    write(&channel, TOTAL, u32::MAX);
    assert_eq!(read(&channel, TOTAL), 0, "what is written as 1 is cleared");
}

#[test]
fn isr_forgets_what_is_written_as_1_and_the_masks_decide_about_the_line() {
    let channel = ZynqmpDma::new().unwrap();
    channel.controls().raise(0x700);
    assert_eq!(channel.hardware.line.raised(), 0, "all are masked");
    write(&channel, ISR, 0x300);
    assert_eq!(read(&channel, ISR), DONE);
    write(&channel, IEN, 0x300);
    assert_eq!(read(&channel, IMR), 0xCFF);
    assert!(!channel.hardware.state().level());
    write(&channel, IEN, DONE);
    assert!(channel.hardware.state().level());
    write(&channel, IDS, 0xFFF);
    assert!(!channel.hardware.state().level() && read(&channel, IMR) == 0xFFF);
}

#[test]
fn what_leaves_the_memory_is_refused_by_the_bus() {
    let channel = ZynqmpDma::new().unwrap();
    assert_eq!(copy(&channel, MEMORY - 8, MEMORY, 8), 1 << 8);
    assert_eq!(read(&channel, STATUS), 3);
    write(&channel, ISR, u32::MAX);
    assert_eq!(copy(&channel, MEMORY, MEMORY + (1 << 20) - 8, 16), 1 << 9);
    write(&channel, ISR, u32::MAX);
    assert_eq!(copy(&channel, MEMORY, 1 << 48, 8), 1 << 9);
    write(&channel, ISR, u32::MAX);
    assert_eq!(copy(&channel, MEMORY, MEMORY + 8, 8), DONE, "it recovers");
}

#[test]
fn an_access_where_no_register_is_or_of_another_width_is_inv_apb() {
    let channel = ZynqmpDma::new().unwrap();
    for offset in [0x4, 0xFC, 0x1A0, 0x204] {
        write(&channel, ISR, u32::MAX);
        assert_eq!(read(&channel, offset), 0);
        assert_eq!(read(&channel, ISR), 1, "{offset:#x}");
    }
    write(&channel, ISR, u32::MAX);
    channel.hardware.write(IEN, Width::U8, 1);
    assert_eq!((read(&channel, ISR), read(&channel, IMR)), (1, 0xFFF));
}

#[test]
fn a_copy_can_be_stopped() {
    let channel = ZynqmpDma::new().unwrap();
    channel.controls().stall(true);
    program(&channel, MEMORY, MEMORY + 8, 8);
    assert_eq!(read(&channel, STATUS), 2);
    write(&channel, CTRL2, 0);
    assert_eq!((read(&channel, STATUS), read(&channel, ISR)), (0, 0));
    channel.controls().stall(false);
    assert_eq!(channel.controls().transfers(), []);
}

#[test]
fn the_byte_count_says_when_it_overflows() {
    let channel = ZynqmpDma::new().unwrap();
    channel.controls().set_total(u32::MAX - 7);
    assert_eq!(copy(&channel, MEMORY, MEMORY + 16, 16), DONE | 1 << 3);
    assert_eq!((read(&channel, TOTAL), read(&channel, STATUS)), (8, 0));
}
