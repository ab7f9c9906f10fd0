//! The machine `virt`: which kernel, which UIO devices the overlays make, and what the power button does to the GPIO block.
#![forbid(unsafe_code)]

use std::fs::File;
use std::time::Duration;

use nix::poll::PollFlags;
use scenarios::{board, fd, monitor, uioctl, wait, world};
use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec};
use uio_core::io::{Io, IoRegion};
use uio_core::irq::Dispatcher;

/// Registers of the PL061 (ARM DDI 0190B).
const EDGE_OR_LEVEL: usize = 0x404;
const BOTH_EDGES: usize = 0x408;
const RISING: usize = 0x40c;
const ENABLED: usize = 0x410;
const RAW_STATUS: usize = 0x414;
const CLEAR: usize = 0x41c;

/// The line of the power button.
const BUTTON: u32 = 1 << 3;

/// The address of the data register that shows the button's line alone: the mask of lines is in the address.
const BUTTON_DATA: usize = 4 << 3;

#[test]
fn pages_are_as_large_as_the_kernels_name_says() {
    world::require_machine("virt");
    let release = board::kernel_release();
    let expected = if release.ends_with("-16k") { 16 << 10 } else { 4 << 10 };
    assert_eq!(board::page_size(), expected, "{release}");
}

#[test]
fn the_overlays_make_uio_devices_of_the_clock_and_the_gpio_block() {
    world::require_machine("virt");
    for (name, node, address) in
        [("rtc0", "pl031@9010000", 0x0901_0000), ("gpio0", "pl061@9030000", 0x0903_0000)]
    {
        let info = board::uio(name);
        assert!(board::has_node(node));
        assert_eq!(board::maps(&info), [(node, address)]);
        assert_eq!(info.driver.as_deref(), Some("uio_pdrv_genirq"));
        assert!(info.node().exists());
    }
}

/// A block of 512 bytes, inside a page whatever its size. Nothing is in the slot, and no driver wants it.
const SLOT: &str = "of:/virtio_mmio@a002600";

/// What a virtio slot reads at its beginning: "virt" (Virtual I/O Device 1.1, 4.2.2).
const MAGIC: u32 = 0x7472_6976;

#[test]
fn a_block_inside_a_page_is_mapped_where_it_is_and_ends_where_the_tree_says() {
    world::require_machine("virt");
    uioctl::run(&["bind", SLOT]).done();
    let dispatcher = Dispatcher::start("slot").expect("a dispatcher");
    let spec: DeviceSpec = SLOT.parse().expect("a device");
    let device = Device::open(&spec, &dispatcher, &Models::new()).expect("the slot opens");
    let info = device.regions()[0].clone();
    let in_page = 0xA00_2600 % board::page_size();
    assert_eq!(
        (info.address, info.offset, info.size),
        (Some(0xA00_2600 - in_page), in_page, 0x200)
    );
    let regs = device.region(0, 0x200).expect("its registers");
    assert_eq!(regs.try_read32(0), Ok(MAGIC));
    // Behind it, in the same page, is the next slot.
    assert!(regs.try_read32(0x200).is_err());
    drop((regs, device));
    uioctl::run(&["unbind", SLOT]).done();
}

/// The GPIO block without a driver: its registers, and the UIO device beside them.
struct Gpio {
    regs: IoRegion,
    uio: File,
    _dispatcher: Dispatcher,
}

impl Gpio {
    fn open() -> Self {
        let dispatcher = Dispatcher::start("gpio").expect("a dispatcher");
        let spec: DeviceSpec = "uio:gpio0".parse().expect("a device");
        let device = Device::open(&spec, &dispatcher, &Models::new()).expect("the block opens");
        let regs = device.region(0, 0x1000).expect("its registers");
        Self { regs, uio: fd::nonblocking(&board::uio("gpio0").node()), _dispatcher: dispatcher }
    }

    /// Has the button's line interrupt at one of its edges.
    fn arm(&self, rising: bool) {
        for (register, value) in [
            (ENABLED, 0),
            (EDGE_OR_LEVEL, 0),
            (BOTH_EDGES, 0),
            (RISING, if rising { BUTTON } else { 0 }),
            (CLEAR, 0xff),
            (ENABLED, BUTTON),
        ] {
            self.regs.write32(register, value);
        }
        fd::write(&self.uio, &1_u32.to_ne_bytes()).expect("the interrupt can be enabled");
    }

    /// How many interrupts there were, when another one has come.
    fn await_interrupt(&self) -> u32 {
        let ready = fd::ready_within(&self.uio, PollFlags::POLLIN, wait::DEADLINE);
        assert_eq!(ready, PollFlags::POLLIN, "no interrupt");
        let count = fd::read(&self.uio, 4).expect("the count");
        u32::from_ne_bytes(count.try_into().expect("four bytes"))
    }
}

#[test]
fn a_press_of_the_power_button_is_an_edge_up_and_an_edge_down() {
    world::require_machine("virt");
    let gpio = Gpio::open();
    gpio.arm(true);
    assert_eq!(fd::ready_within(&gpio.uio, PollFlags::POLLIN, Duration::ZERO), PollFlags::empty());
    monitor::press_power_button();
    let first = gpio.await_interrupt();
    assert_eq!(gpio.regs.read32(RAW_STATUS) & BUTTON, BUTTON);
    wait::until("the button to be let go", || gpio.regs.read32(BUTTON_DATA) == 0);

    gpio.arm(false);
    monitor::press_power_button();
    assert_eq!(gpio.await_interrupt(), first + 1);
    assert_eq!(gpio.regs.read32(BUTTON_DATA), 0, "it came at the end of the pulse");
    gpio.regs.write32(ENABLED, 0);
    gpio.regs.write32(CLEAR, 0xff);
}
