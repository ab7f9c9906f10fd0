//! Devices: regions and interrupt lines, whatever they are behind.
//!
//! A [`Device`] is opened from a [`DeviceSpec`] (`sim:uio_dummy`, `uio:uio0`, `of:arm,pl031`) and looks the same on every
//! backend; a driver cannot tell which it runs on.
//!
//! | backend | regions | lines |
//! | --- | --- | --- |
//! | [`sim`] | a model in this process | an eventfd |
//! | `uio` | `mmap` of `/dev/uioN` | `read` and `write` of `/dev/uioN` |
//! | `uio_pci` | `mmap`, `pread` and `pwrite` of `resourceN` | `/dev/uioN`, re-armed by `config` |
//! | `vfio` | `mmap` of the function, else `pread` and `pwrite` | an eventfd for each vector |
//!
//! # When a device goes away
//!
//! Unbinding and unplugging show first on the interrupt line; or at an access that finds no memory, which reads as
//! ones and at once has all regions say [`Gone`](crate::io::AccessError::Gone); or the kernel asks for the device.
//! Then, once and in this order: the lines take no more interrupts; the memory behind every mapping is replaced by
//! ones; regions say `Gone`; the hooks of [`Device::on_gone`] are called; what the device holds for its driver
//! ([`Devres`]) is released; the device is closed. All but the last, which may take long, is done on the
//! dispatcher, or on the thread of the device that the kernel asks for; that one first calls the hooks of
//! [`Device::on_remove_requested`].

mod backend;
mod bus;
mod devres;
mod fault;
mod memory;
mod notices;
#[cfg(not(loom))]
mod open_of;
#[cfg(not(loom))]
mod open_pci;
mod presence;
pub mod sim;
mod spec;
mod uio;
#[cfg(not(loom))]
mod uio_pci;
mod vectors;
#[cfg(not(loom))]
mod vfio;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::io::{Io, IoMem, IoRegion};
use crate::irq::{Dispatcher, DispatcherHandle, IrqLine, LineSource, Watch};
use crate::mem::dma::Domain;
use crate::of;
pub(crate) use backend::Backend;
pub use devres::{Devres, DevresGuard};
pub use presence::Presence;
pub use spec::DeviceSpec;
pub use vectors::IrqVectors;

/// What a region is, before it is mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionInfo {
    /// Its number: UIO's map number, the BAR's on PCI.
    pub index: usize,
    /// The name that the device gives it; may be empty.
    pub name: String,
    /// Physical address, where there is one.
    pub address: Option<u64>,
    /// Size in bytes.
    pub size: u64,
    /// Where the region starts in its first page, in bytes.
    pub offset: u64,
}

/// What the user has agreed to, beyond what every device needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    /// A device may master the bus also where no IOMMU keeps it from the machine's memory (`uio_pci_generic`), and be
    /// sent to pages of which the kernel does not know that a device uses them ([`Device::physical_memory`]).
    pub accept_dma_risk: bool,
    /// Only the registers are wanted. A PCI function without VFIO is then reached by its files in sysfs alone, also
    /// while no driver has it, and its UIO node stays closed.
    pub registers_only: bool,
}

impl OpenOptions {
    /// With [`registers_only`](Self::registers_only) set.
    #[must_use]
    pub fn registers_only(mut self) -> Self {
        self.registers_only = true;
        self
    }

    /// With [`accept_dma_risk`](Self::accept_dma_risk) as given.
    #[must_use]
    pub fn accept_dma_risk(mut self, accept: bool) -> Self {
        self.accept_dma_risk = accept;
        self
    }
}

type GoneHook = Arc<dyn Fn(Errno) + Send + Sync>;

/// An open device.
pub struct Device {
    name: String,
    label: String,
    backend: Box<dyn Backend>,
    gone: Arc<AtomicBool>,
    dispatcher: DispatcherHandle,
    lines: Mutex<Vec<IrqLine>>,
    /// The lines of the vectors, while they are allocated.
    vectors: Mutex<Option<Vec<IrqLine>>>,
    domain: Mutex<Option<Arc<Domain>>>,
    hooks: Mutex<Vec<GoneHook>>,
    notices: notices::Notices,
    /// Of accesses that find no memory.
    faults: OnceLock<Watch>,
    managed: devres::Stack,
    accepts_dma_risk: bool,
}

impl Device {
    /// Opens the device that `spec` names. Its lines will be served by `dispatcher`.
    ///
    /// # Errors
    ///
    /// If there is no such device, or it cannot be opened; the text says what to do.
    pub fn open(
        spec: &DeviceSpec,
        dispatcher: &Dispatcher,
        models: &sim::Models,
    ) -> Result<Arc<Self>> {
        Self::open_with(spec, &OpenOptions::default(), dispatcher, models)
    }

    /// As [`open`](Self::open), with what the user has agreed to.
    ///
    /// # Errors
    ///
    /// Those of `open`.
    pub fn open_with(
        spec: &DeviceSpec,
        options: &OpenOptions,
        dispatcher: &Dispatcher,
        models: &sim::Models,
    ) -> Result<Arc<Self>> {
        match spec {
            DeviceSpec::Sim(model) => {
                let backend = sim::SimBackend::new(models.make(model)?);
                Self::build(spec.to_string(), model.clone(), Box::new(backend), options, dispatcher)
            }
            DeviceSpec::Uio(selector) => {
                let backend = uio::UioBackend::open(selector)?;
                let (name, label) = (backend.title(), backend.label().to_owned());
                Self::build(name, label, Box::new(backend), options, dispatcher)
            }
            #[cfg(not(loom))]
            DeviceSpec::Pci(address) => {
                let (name, label, backend) = open_pci::open(*address, options)?;
                Self::build(name, label, backend, options, dispatcher)
            }
            #[cfg(not(loom))]
            DeviceSpec::Of(selector) => {
                let backend = open_of::open(selector)?;
                let (name, label) = (backend.title(), backend.label().to_owned());
                Self::build(name, label, Box::new(backend), options, dispatcher)
            }
            #[cfg(loom)]
            DeviceSpec::Pci(_) | DeviceSpec::Of(_) => {
                Err(Error::new(Errno::EOPNOTSUPP, "cannot open device", spec))
            }
        }
    }

    fn build(
        name: String,
        label: String,
        backend: Box<dyn Backend>,
        options: &OpenOptions,
        dispatcher: &Dispatcher,
    ) -> Result<Arc<Self>> {
        let gone = backend.fault_mark().map(|mark| Arc::clone(mark.gone())).unwrap_or_default();
        let device = Arc::new(Self {
            name,
            label,
            backend,
            gone,
            dispatcher: dispatcher.handle(),
            lines: Mutex::new(Vec::new()),
            vectors: Mutex::new(None),
            domain: Mutex::new(None),
            hooks: Mutex::new(Vec::new()),
            notices: notices::Notices::default(),
            faults: OnceLock::new(),
            managed: devres::Stack::default(),
            accepts_dma_risk: options.accept_dma_risk,
        });
        device.watch_faults(dispatcher)?;
        for index in 0..device.backend.lines() {
            let line = device.new_line(&device.name, device.backend.line(index)?);
            device.lines().push(line);
        }
        device.listen()?;
        Ok(device)
    }

    /// A line of the device, which ends the device when its source says so.
    fn new_line(self: &Arc<Self>, name: &str, source: Box<dyn LineSource>) -> IrqLine {
        let line = IrqLine::on(name, source, &self.dispatcher);
        let weak = Arc::downgrade(self);
        line.on_gone(move |errno| {
            if let Some(device) = weak.upgrade() {
                device.mark_gone(errno);
            }
        });
        line
    }

    /// The device, for messages: `uio0 (uio_dummy)`, `sim:uio_dummy`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What drivers are matched by: the UIO name or the model's name.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The backend's name: `uio`, `sim`.
    pub fn backend(&self) -> &'static str {
        self.backend.name()
    }

    /// The node of the device tree that describes the device, as it was when the device was opened.
    #[doc(alias = "dev_of_node")]
    pub fn of_node(&self) -> Option<&of::Node> {
        self.backend.of_node()
    }

    /// The number of the region called `name`: by `reg-names`, on a device of the device tree.
    #[doc(alias = "platform_get_resource_byname")]
    pub fn region_index(&self, name: &str) -> Option<usize> {
        self.regions().iter().find(|region| region.name == name).map(|region| region.index)
    }

    /// The regions that the device has.
    pub fn regions(&self) -> &[RegionInfo] {
        self.backend.regions()
    }

    /// Maps region `index`, which the driver needs to have at least `at_least` bytes.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if there is no such region, or it is smaller;
    /// - what the kernel says when it is mapped.
    #[doc(alias = "pci_iomap")]
    pub fn region(&self, index: usize, at_least: usize) -> Result<IoRegion> {
        self.check_region(index)?;
        let region = self.backend.region(index, &self.gone)?;
        if region.size() < at_least {
            let size = region.size();
            return Err(Error::invalid(
                "cannot use",
                self.region_name(index),
                format!("it has {size:#x} bytes, the driver needs {at_least:#x}"),
            )
            .with_hint("this is not the device that the driver was written for"));
        }
        Ok(region)
    }

    /// Maps region `index` as plain memory of at least `N` bytes.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if there is no such region, or it is smaller;
    /// - `EOPNOTSUPP` if it is not memory: a simulated model, for one;
    /// - what the kernel says when it is mapped.
    #[doc(alias = "ioremap")]
    pub fn map_region<const N: usize>(&self, index: usize) -> Result<IoMem<N>> {
        self.check_region(index)?;
        self.backend.memory(index)?.sized()
    }

    /// The interrupt line `index`.
    ///
    /// # Errors
    ///
    /// `ENXIO` if the device has no such line.
    pub fn line(&self, index: usize) -> Result<IrqLine> {
        let lines = self.lines();
        if let Some(line) = lines.get(index) {
            return Ok(line.clone());
        }
        let error = Error::new(Errno::ENXIO, "cannot take interrupt line", index);
        Err(match lines.len() {
            0 => error.with_cause(format!("{} has no interrupt", self.name)).with_hint(
                "its kernel driver registered it without one; look at what `uioctl ls` shows for it",
            ),
            count => error.with_cause(format!("{} has {count}", self.name)),
        })
    }

    /// The interrupt lines in use: those of the vectors that are allocated, else its own.
    pub fn all_lines(&self) -> Vec<IrqLine> {
        let vectors = self.vectors().clone();
        vectors.unwrap_or_else(|| self.own_lines())
    }

    /// The lines that need no vectors.
    fn own_lines(&self) -> Vec<IrqLine> {
        self.lines().iter().cloned().collect()
    }

    /// Whether the device was unplugged, unbound or failed.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Calls `hook` once, on the dispatcher or the device's own thread, when the device goes away. The hook may not
    /// wait for anything.
    ///
    /// A device that is gone already calls it at once.
    pub fn on_gone(&self, hook: impl Fn(Errno) + Send + Sync + 'static) {
        let mut hooks = self.hooks();
        if self.is_gone() {
            drop(hooks);
            return hook(Errno::ENODEV);
        }
        hooks.push(Arc::new(hook));
    }

    /// Ends the device, if that has not been done.
    fn mark_gone(&self, errno: Errno) {
        // A line that ends comes back here, and finds itself ended.
        let own = self.own_lines();
        let vectors = self.vectors().clone().unwrap_or_default();
        own.iter().chain(&vectors).for_each(|line| line.end(errno));
        self.backend.revoke();
        let hooks = {
            let mut hooks = self.hooks();
            self.gone.store(true, Ordering::Release);
            std::mem::take(&mut *hooks)
        };
        hooks.iter().for_each(|hook| hook(errno));
        // On the dispatcher: what is in use is released by its last user.
        self.managed.release_all(false, true);
    }

    /// Has the device hold `value`, an interrupt [`Registration`](crate::irq::Registration) for one, until it
    /// is unbound, gone or dropped.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the device is gone; the value is dropped.
    #[doc(alias = "devm_request_irq")]
    #[doc(alias = "devm_add_action")]
    pub fn manage<T: Send + Sync + 'static>(self: &Arc<Self>, value: T) -> Result<Devres<T>> {
        Devres::new(self, value)
    }

    /// Releases all that the device holds for its driver, the latest first, and waits for whoever uses it. The
    /// end of an unbind; a driver that is bound afterwards starts with nothing.
    #[doc(alias = "devres_release_all")]
    #[track_caller]
    pub fn release_managed(&self) {
        crate::sync::context::might_sleep();
        self.managed.release_all(true, false);
    }

    fn check_region(&self, index: usize) -> Result<()> {
        if self.regions().iter().any(|region| region.index == index) {
            return Ok(());
        }
        let names: Vec<String> = self
            .regions()
            .iter()
            .map(|region| format!("{} ({})", region.index, region.name))
            .collect();
        let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(Error::invalid(
            "cannot map",
            format_args!("region {index} of {}", self.name),
            format!("there is no such region; there are: {has}"),
        ))
    }

    fn region_name(&self, index: usize) -> String {
        format!("region {index} of {}", self.name)
    }

    fn vectors(&self) -> MutexGuard<'_, Option<Vec<IrqLine>>> {
        self.vectors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, Vec<IrqLine>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hooks(&self) -> MutexGuard<'_, Vec<GoneHook>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.end_dma();
        // The last owner may be anywhere, also where nothing may wait.
        self.managed.release_all(false, true);
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("name", &self.name)
            .field("backend", &self.backend())
            .field("regions", &self.regions())
            .field("gone", &self.is_gone())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
