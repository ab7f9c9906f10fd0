//! One test for every `uio_dummy`: the model here, the kernel module in the test bench.
//!
//! The device is named by `UIOD_TEST_DEVICE` (`uio:uio_dummy` in the bench; `sim:uio_dummy` without it). Each
//! test opens it anew and leaves it quiet. Positions run freely from test to test, so nothing assumes zero.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec};
use uio_core::io::{Io, IoRegion};
use uio_core::irq::{Dispatcher, Flags, Handler, IrqLine, IrqReturn, Registration};
use uio_core::sync::WaitQueue;
use uio_dummy_model::{Controls, UioDummy};

const ID: usize = 0x00;
const VERSION: usize = 0x04;
const FIFO_BYTES: usize = 0x08;
const TICKS: usize = 0x0C;
const TX_TAIL: usize = 0x10;
const RX_HEAD: usize = 0x14;
const RAISED: usize = 0x18;
const CTRL: usize = 0x40;
const PERIOD_US: usize = 0x44;
const TX_HEAD: usize = 0x48;
const RX_TAIL: usize = 0x4C;

const ENABLE: u32 = 1;
const LOOPBACK: u32 = 2;
const TICK_IRQ: u32 = 4;

const DEADLINE: Duration = Duration::from_secs(120);

/// One device, one test at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Takes every interrupt, and leaves the line masked if it is told to.
struct Taker {
    line: IrqLine,
    hold: bool,
    taken: WaitQueue,
}

impl Handler for Taker {
    fn handle(&self) -> IrqReturn {
        if self.hold {
            self.line.mask();
        }
        self.taken.wake_all();
        IrqReturn::Handled
    }
}

/// The world around the device: raises storms.
enum World {
    Sim(Controls),
    Kernel(PathBuf),
}

impl World {
    fn storm(&self, events: u32) {
        match self {
            World::Sim(controls) => controls.storm(events),
            World::Kernel(path) => fs::write(path.join("storm"), events.to_string()).unwrap(),
        }
    }

    fn raised(&self) -> u32 {
        match self {
            World::Sim(controls) => controls.raised(),
            World::Kernel(path) => {
                fs::read_to_string(path.join("raised")).unwrap().trim().parse().unwrap()
            }
        }
    }
}

/// The device, opened, quiet, with no handler yet.
struct Bench {
    device: Arc<Device>,
    regs: IoRegion,
    fifo: IoRegion,
    world: World,
    _dispatcher: Dispatcher,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let spec = std::env::var("UIOD_TEST_DEVICE").unwrap_or("sim:uio_dummy".to_owned());
        let spec: DeviceSpec = spec.parse().unwrap();
        let controls = Arc::new(Mutex::new(None));
        let made = Arc::clone(&controls);
        let models = Models::new().with("uio_dummy", move || {
            let model = UioDummy::new()?;
            *made.lock().unwrap() = Some(model.controls());
            Ok(model)
        });
        let dispatcher = Dispatcher::start("irq/test").unwrap();
        let device = Device::open(&spec, &dispatcher, &models).unwrap();
        let world = match controls.lock().unwrap().take() {
            Some(controls) => World::Sim(controls),
            None => World::Kernel(sysfs_device()),
        };
        let regs = device.region(0, 0x50).unwrap();
        let fifo_bytes = regs.read32(FIFO_BYTES) as usize;
        let fifo = device.region(1, 2 * fifo_bytes).unwrap();
        let bench = Self { device, regs, fifo, world, _dispatcher: dispatcher, _turn: turn };
        // An expiry that was under way when the test before this one ended may still move bytes and raise. After
        // two counts that go on, it has ended.
        bench.enable(0);
        bench.some_ticks();
        bench.some_ticks();
        bench.regs.write32(CTRL, 0);
        bench.settle();
        bench
    }

    /// Forgets what the FIFOs hold.
    fn settle(&self) {
        self.regs.write32(TX_HEAD, self.regs.read32(TX_TAIL));
        self.regs.write32(RX_TAIL, self.regs.read32(RX_HEAD));
    }

    fn fifo_bytes(&self) -> u32 {
        self.regs.read32(FIFO_BYTES)
    }

    fn take_interrupts(&self, hold: bool) -> (IrqLine, Arc<Taker>, Registration) {
        let line = self.device.line(0).unwrap();
        let taker = Arc::new(Taker { line: line.clone(), hold, taken: WaitQueue::new() });
        let held = Registration::request(&line, Flags::empty(), "test", taker.clone()).unwrap();
        (line, taker, held)
    }

    /// Puts bytes into TX, as far as `data` goes, and says so.
    fn transmit(&self, data: &[u8]) {
        let head = self.regs.read32(TX_HEAD);
        for (index, &byte) in data.iter().enumerate() {
            let at = head.wrapping_add(index as u32) & (self.fifo_bytes() - 1);
            self.fifo.write8(at as usize, byte);
        }
        self.regs.write32(TX_HEAD, head.wrapping_add(data.len() as u32));
    }

    fn received(&self) -> u32 {
        self.regs.read32(RX_HEAD).wrapping_sub(self.regs.read32(RX_TAIL))
    }

    /// Takes `count` bytes from RX.
    fn receive(&self, count: u32) -> Vec<u8> {
        let tail = self.regs.read32(RX_TAIL);
        let bytes = self.fifo_bytes();
        let at = |index: u32| (bytes + (tail.wrapping_add(index) & (bytes - 1))) as usize;
        let data = (0..count).map(|index| self.fifo.read8(at(index))).collect();
        self.regs.write32(RX_TAIL, tail.wrapping_add(count));
        data
    }

    fn enable(&self, bits: u32) {
        self.regs.write32(PERIOD_US, 50);
        self.regs.write32(CTRL, ENABLE | bits);
    }

    /// Waits for some expiries of the timer.
    fn some_ticks(&self) {
        let start = self.regs.read32(TICKS);
        wait_until("ticks", || self.regs.read32(TICKS).wrapping_sub(start) >= 5);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.regs.write32(CTRL, 0);
    }
}

/// Where the module's attributes are.
fn sysfs_device() -> PathBuf {
    let devices = fs::read_dir("/sys/class/uio").expect("a kernel with UIO");
    let mut paths = devices.map(|entry| entry.unwrap().path());
    paths
        .find(|path| fs::read_to_string(path.join("name")).is_ok_and(|n| n.trim() == "uio_dummy"))
        .expect("a UIO device called uio_dummy")
        .join("device")
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::yield_now();
    }
}

#[test]
fn the_constant_registers_identify_the_device() {
    let bench = Bench::new();
    assert_eq!(bench.regs.read32(ID), 0x5544_4D59);
    assert_eq!(bench.regs.read32(VERSION), 1);
    assert!(bench.fifo_bytes().is_power_of_two() && bench.fifo_bytes() >= 4096);
    assert_eq!(bench.device.label(), "uio_dummy");
    let names: Vec<_> = bench.device.regions().iter().map(|region| region.name.clone()).collect();
    assert_eq!(names, ["regs", "fifo"]);
    assert!(bench.fifo.size() >= 2 * bench.fifo_bytes() as usize);
}

#[test]
fn ticks_count_expiries_since_enable() {
    let bench = Bench::new();
    let ticks = || bench.regs.read32(TICKS);
    bench.enable(0);
    bench.some_ticks();
    let start = ticks();
    wait_until("many ticks", || ticks().wrapping_sub(start) >= 50);
    let many = ticks();
    wait_until("a count that began anew", || {
        bench.regs.write32(CTRL, 0);
        // Long enough for an expiry to find ENABLE clear, if not the first time.
        (0..10_000).for_each(|_| drop(std::hint::black_box(ticks().to_string())));
        let last = ticks();
        bench.enable(0);
        let mut next = last;
        wait_until("a tick", || {
            next = ticks();
            next != last
        });
        next < many
    });
}

#[test]
fn loopback_moves_bytes_in_order_and_raises_the_interrupt() {
    let bench = Bench::new();
    let (line, _taker, _held) = bench.take_interrupts(false);
    bench.enable(LOOPBACK);
    for round in 0..20_u8 {
        let data: Vec<u8> = (0..200).map(|n| n ^ round).collect();
        bench.transmit(&data);
        wait_until("the bytes", || bench.received() == 200);
        assert_eq!(bench.receive(200), data);
    }
    // The device moves TX_TAIL after RX_HEAD.
    wait_until("an empty TX", || bench.regs.read32(TX_TAIL) == bench.regs.read32(TX_HEAD));
    wait_until("an interrupt for each", || line.stats().raised >= 20);
}

#[test]
fn what_does_not_fit_into_rx_stays_in_tx() {
    let bench = Bench::new();
    let size = bench.fifo_bytes();
    bench.enable(LOOPBACK);
    let data: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
    bench.transmit(&data);
    wait_until("a full RX", || bench.received() == size);
    bench.transmit(&data[..1000]);
    bench.some_ticks();
    assert_eq!(bench.received(), size);
    assert_eq!(bench.regs.read32(TX_HEAD).wrapping_sub(bench.regs.read32(TX_TAIL)), 1000);
    assert_eq!(bench.receive(size), data);
    wait_until("the rest", || bench.received() == 1000);
    assert_eq!(bench.receive(1000), data[..1000]);
}

#[test]
fn without_loopback_nothing_moves_and_nothing_is_raised() {
    let bench = Bench::new();
    let before = bench.world.raised();
    bench.transmit(b"stay");
    bench.enable(0);
    bench.some_ticks();
    assert_eq!(bench.received(), 0);
    assert_eq!(bench.world.raised(), before);
    bench.regs.write32(CTRL, 0);
    bench.settle();
}

#[test]
fn tick_irq_raises_at_every_expiry() {
    let bench = Bench::new();
    let (line, _taker, _held) = bench.take_interrupts(false);
    bench.enable(TICK_IRQ);
    wait_until("a hundred interrupts", || line.stats().raised >= 100);
    bench.regs.write32(CTRL, 0);
}

#[test]
fn a_nonsense_fill_moves_nothing() {
    let bench = Bench::new();
    let head = bench.regs.read32(TX_HEAD);
    bench.regs.write32(TX_HEAD, head.wrapping_add(bench.fifo_bytes() + 1));
    bench.enable(LOOPBACK);
    bench.some_ticks();
    assert_eq!(bench.received(), 0);
    bench.regs.write32(TX_HEAD, head);
}

#[test]
fn the_line_masks_itself_and_what_comes_up_meanwhile_fires_after_unmasking() {
    let bench = Bench::new();
    let before = bench.world.raised();
    let (line, _taker, _held) = bench.take_interrupts(true);
    bench.world.storm(10);
    let stats = || line.stats();
    // A round counts as handled when its handlers have returned, and so have masked the line; its events were
    // counted as raised before.
    wait_until("the first", || stats().handled == 1);
    assert_eq!(stats().raised, 1, "only the first fires: {:?}", stats());
    assert_eq!(bench.world.raised().wrapping_sub(before), 10);
    line.unmask();
    wait_until("the other nine, as one", || stats().handled == 2);
    assert_eq!((stats().raised, stats().missed), (10, 8));
    line.unmask();
}

#[test]
fn a_million_interrupts_are_all_counted() {
    let bench = Bench::new();
    let before = bench.world.raised();
    let (line, _taker, _held) = bench.take_interrupts(false);
    // In gusts, so that the dispatcher takes part again and again.
    (0..1000).for_each(|_| bench.world.storm(1000));
    wait_until("every interrupt", || line.stats().raised >= 1_000_000);
    let raised = u64::from(bench.world.raised().wrapping_sub(before));
    let stats = line.stats();
    assert_eq!((stats.raised, raised), (1_000_000, 1_000_000));
    assert_eq!(bench.regs.read32(RAISED), bench.world.raised());
    wait_until("the last round", || line.stats().handled + line.stats().missed == 1_000_000);
    let stats = line.stats();
    println!("1,000,000 raised: {} rounds, {} coalesced", stats.handled, stats.missed);
}

#[test]
fn an_open_resets_the_line() {
    {
        let bench = Bench::new();
        let (line, taker, _held) = bench.take_interrupts(true);
        bench.world.storm(5);
        let ready = taker.taken.wait_until_timeout(DEADLINE, || line.stats().raised == 1);
        assert!(ready.is_ready());
    }
    let bench = Bench::new();
    let (line, _taker, _held) = bench.take_interrupts(false);
    bench.world.storm(1);
    wait_until("the new one", || line.stats().handled >= 1);
    assert_eq!(line.stats().raised, 1, "what was pending before the open is forgotten");
}
