//! Devices opened, drivers bound, and released again in reverse order.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use uio_core::Result;
use uio_core::device::Device;
use uio_core::driver::{Bound, Probe};
use uio_core::error::Errno;
use uio_core::irq::Dispatcher;
use uio_core::softirq::Softirqs;

use crate::Program;
use crate::settings::{DeviceSettings, Settings};

/// A device went away.
#[derive(Debug)]
pub(crate) struct Gone {
    /// Its place in [`Daemon::units`].
    pub(crate) unit: usize,
    pub(crate) errno: Errno,
}

/// A device and its driver. The driver is dropped before the device that it uses.
pub(crate) struct Unit {
    pub(crate) driver: Arc<dyn Bound>,
    pub(crate) device: Arc<Device>,
}

/// All that runs. The units are dropped before the dispatcher that serves them, the latest first.
pub(crate) struct Daemon {
    pub(crate) units: Vec<Option<Arc<Unit>>>,
    pub(crate) softirqs: Arc<Softirqs>,
    dispatcher: Dispatcher,
}

impl Daemon {
    /// Opens every device and binds its driver. `gone` hears of devices that go away.
    ///
    /// # Errors
    ///
    /// The first failure; what had been started is released.
    pub(crate) fn start(
        settings: &Settings,
        program: &Program,
        gone: &UnboundedSender<Gone>,
    ) -> Result<Self> {
        let dispatcher = Dispatcher::start("irq/dispatch")?;
        let softirqs = Softirqs::attach(&dispatcher);
        let mut daemon = Self { units: Vec::new(), softirqs, dispatcher };
        for device in &settings.devices {
            daemon.start_unit(device, program, gone)?;
        }
        Ok(daemon)
    }

    fn start_unit(
        &mut self,
        settings: &DeviceSettings,
        program: &Program,
        gone: &UnboundedSender<Gone>,
    ) -> Result<()> {
        let device =
            Device::open_with(&settings.spec, &settings.open, &self.dispatcher, &program.models)?;
        let name = program.drivers.find(&device, settings.driver.as_deref())?;
        let instance = self.running().filter(|unit| unit.driver.name() == name).count();
        let probe = Probe {
            device: &device,
            softirqs: &self.softirqs,
            node: &settings.node,
            irq_types: settings.irq_types,
            instance,
        };
        let driver = program.drivers.bind(name, &probe)?;
        let (gone, unit) = (gone.clone(), self.units.len());
        // After the driver's own hook: the clients have their answer before anybody hears of it.
        device.on_gone(move |errno| {
            // Nobody listens any more when the daemon is on its way out.
            let _ = gone.send(Gone { unit, errno });
        });
        self.units.push(Some(Arc::new(Unit { driver, device })));
        Ok(())
    }

    /// The units that are there.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Arc<Unit>> {
        self.units.iter().flatten()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        while self.units.pop().is_some() {}
    }
}
