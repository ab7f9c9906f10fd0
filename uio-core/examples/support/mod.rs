//! What these examples share: simulated devices that are only an interrupt line, or only a bus master,
//! and a place to print to.
#![allow(dead_code, reason = "each example uses its part")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use uio_core::device::sim::{DmaBus, Model, Models, SimLine};
use uio_core::device::{Device, DeviceSpec};
use uio_core::io::RegionModel;
use uio_core::irq::Dispatcher;

/// The kernel's `pr_info`: the terminal, or the list of a test.
pub(crate) type Print = Arc<dyn Fn(&str) + Send + Sync>;

/// Prints to the terminal.
pub(crate) fn terminal() -> Print {
    Arc::new(|line| println!("{line}"))
}

struct OnlyALine(Arc<SimLine>);

impl Model for OnlyALine {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        Vec::new()
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        Some(Arc::clone(&self.0))
    }
}

/// A simulated device called `name`, and the end at which it raises its interrupt.
pub(crate) fn device(
    name: &str,
    dispatcher: &Dispatcher,
) -> uio_core::Result<(Arc<Device>, Arc<SimLine>)> {
    let line = SimLine::new()?;
    let made = Arc::clone(&line);
    let models = Models::new().with(name, move || Ok(OnlyALine(Arc::clone(&made))));
    let device = Device::open(&DeviceSpec::Sim(name.to_owned()), dispatcher, &models)?;
    Ok((device, line))
}

struct OnlyDma(Arc<DmaBus>);

impl Model for OnlyDma {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        Vec::new()
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        None
    }

    fn dma(&self) -> Option<Arc<DmaBus>> {
        Some(Arc::clone(&self.0))
    }
}

/// A simulated device called `name`, and the bus by which it reads and writes memory.
pub(crate) fn dma_device(
    name: &str,
    dispatcher: &Dispatcher,
) -> uio_core::Result<(Arc<Device>, Arc<DmaBus>)> {
    let bus = DmaBus::new();
    let made = Arc::clone(&bus);
    let models = Models::new().with(name, move || Ok(OnlyDma(Arc::clone(&made))));
    let device = Device::open(&DeviceSpec::Sim(name.to_owned()), dispatcher, &models)?;
    Ok((device, bus))
}

/// The kernel's `mdelay`: time passes, and the processor is busy.
pub(crate) fn mdelay(ms: u64) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(ms) {
        std::hint::spin_loop();
    }
}

/// Waits for what an example has set in motion.
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
