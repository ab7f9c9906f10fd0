//! Simulated devices: models that live in this process, for drivers without hardware, root or modules.
//!
//! A [`Model`] supplies regions, which see every access of the driver, and a [`SimLine`], on which it raises
//! interrupts. `uiod` runs one as its embedded default; a test of a driver runs one with `cargo test`.

mod dma;
mod pci;

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{Backend, RegionInfo};
use crate::error::{Error, Result};
use crate::io::{IoMem, IoRegion, RegionModel};
use crate::irq::LineSource;
use crate::mem::dma::Iommu;
use crate::of::Node;
use crate::pci::{ConfigAccess, ConfigSpace, Id, IrqType};
pub use dma::{DmaBus, DmaFault};
pub use pci::{SimConfig, SimVector};

/// The device's side of a simulated device. Dropped with the device.
pub trait Model: Send + Sync {
    /// The regions by name, in the order of their numbers. On a device of the device tree, they are what `reg` says: its
    /// addresses are theirs, and memory for DMA is a region with a `reg`.
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)>;

    /// The interrupt line, if the device has one.
    fn line(&self) -> Option<Arc<SimLine>>;

    /// Who the device is, if it is on a simulated PCI bus; then it has a [`config`](Self::config) too.
    fn pci_id(&self) -> Option<Id> {
        None
    }

    /// The node of the device tree that describes it, if it is a device of one.
    fn of_node(&self) -> Option<Node> {
        None
    }

    /// The configuration space; [`SimConfig`] is one.
    fn config(&self) -> Option<Arc<dyn ConfigAccess>> {
        None
    }

    /// The vectors of its message-signalled interrupts (MSI).
    fn vectors(&self) -> Vec<Arc<SimVector>> {
        Vec::new()
    }

    /// The bus on which it does DMA.
    fn dma(&self) -> Option<Arc<DmaBus>> {
        None
    }

    /// Goes back to the state after power-on; `false` if the device has no reset.
    fn reset(&self) -> bool {
        false
    }
}

type MakeModel = Arc<dyn Fn() -> Result<Box<dyn Model>> + Send + Sync>;

/// The models that `sim:NAME` may name.
#[derive(Default, Clone)]
pub struct Models(BTreeMap<String, MakeModel>);

impl Models {
    /// No models.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a model, made anew for every device that is opened.
    #[must_use]
    pub fn with<M: Model + 'static>(
        mut self,
        name: &str,
        make: impl Fn() -> Result<M> + Send + Sync + 'static,
    ) -> Self {
        let make: MakeModel = Arc::new(move || Ok(Box::new(make()?) as Box<dyn Model>));
        self.0.insert(name.to_owned(), make);
        self
    }

    pub(super) fn make(&self, name: &str) -> Result<Box<dyn Model>> {
        match self.0.get(name) {
            Some(make) => make(),
            None => {
                let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
                Err(Error::new(Errno::ENODEV, "cannot open device", format_args!("sim:{name}"))
                    .with_cause("there is no such model")
                    .with_hint(format!("the models are: {}", names.join(", "))))
            }
        }
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// An interrupt line as the kernel module `uio_dummy` has it.
///
/// It masks itself when it fires. What is raised while it is masked is counted, and fires, all of it as one
/// event, when it is unmasked; so the events that the driver counts are always those that were raised.
///
/// A device whose line is level-triggered, as INTx is, says when its level changes ([`set_level`]): as long as it
/// is asserted, the line fires whenever it is unmasked.
///
/// [`set_level`]: Self::set_level
pub struct SimLine {
    fd: EventFd,
    gone: AtomicBool,
    state: Mutex<LineState>,
}

#[derive(Debug, Default)]
struct LineState {
    unmasked: bool,
    /// A level-triggered device asserts the line.
    asserted: bool,
    pending: u64,
    raised: u64,
}

impl LineState {
    /// Counts an interrupt. Whether it fires now, and with that masks the line; else it is pending.
    fn raise(&mut self) -> bool {
        self.raised += 1;
        let fires = std::mem::take(&mut self.unmasked);
        self.pending += u64::from(!fires);
        fires
    }

    /// Asserts the line or lets it go. Whether it fires now, and with that masks the line.
    fn set_level(&mut self, asserted: bool) -> bool {
        self.asserted = asserted;
        let fires = asserted && std::mem::take(&mut self.unmasked);
        self.raised += u64::from(fires);
        fires
    }

    /// Unmasks the line, or gives out what is pending, which fires and leaves it masked.
    fn unmask(&mut self) -> u64 {
        if self.asserted && self.pending == 0 {
            self.pending = 1;
            self.raised += 1;
        }
        let pending = std::mem::take(&mut self.pending);
        self.unmasked |= pending == 0;
        pending
    }
}

impl SimLine {
    /// A line that is masked.
    ///
    /// # Errors
    ///
    /// `EMFILE` if the process has no descriptors left.
    pub fn new() -> Result<Arc<Self>> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let fd = EventFd::from_flags(flags)
            .map_err(|errno| Error::new(errno, "cannot create", "a simulated interrupt line"))?;
        Ok(Arc::new(Self {
            fd,
            gone: AtomicBool::new(false),
            state: Mutex::new(LineState::default()),
        }))
    }

    /// Raises an interrupt. The device's side.
    pub fn raise(&self) {
        let fires = self.state().raise();
        // Not under the lock, which the dispatcher that this wakes will want.
        if fires {
            self.signal(1);
        }
    }

    /// Asserts a level-triggered line, or lets it go. The device's side.
    ///
    /// While the line is asserted it fires each time that it is unmasked; an assertion that ends while the line is
    /// masked fires nothing.
    pub fn set_level(&self, asserted: bool) {
        let fires = self.state().set_level(asserted);
        // Not under the lock, as above.
        if fires {
            self.signal(1);
        }
    }

    /// The driver's side of the line, for an [`IrqLine`](crate::irq::IrqLine) without a device around it.
    pub fn source(self: &Arc<Self>) -> Box<dyn LineSource> {
        Box::new(SimSource(Arc::clone(self)))
    }

    /// Interrupts raised since the line was made.
    pub fn raised(&self) -> u64 {
        self.state().raised
    }

    /// Pulls the device out: the line reports it, and takes nothing any more.
    pub fn unplug(&self) {
        self.gone.store(true, Ordering::Release);
        self.signal(1);
    }

    fn unmask(&self) {
        let pending = self.state().unmask();
        if pending > 0 {
            self.signal(pending);
        }
    }

    fn signal(&self, events: u64) {
        // Fails only when the counter is full, and then the line is readable.
        let _ = self.fd.write(events);
    }

    fn state(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().fmt(f)
    }
}

struct SimSource(Arc<SimLine>);

impl LineSource for SimSource {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }

    fn take(&self) -> Result<u32, Errno> {
        if self.0.gone.load(Ordering::Acquire) {
            return Err(Errno::ENODEV);
        }
        match self.0.fd.read() {
            Ok(events) => Ok(u32::try_from(events).unwrap_or(u32::MAX)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(errno) => Err(errno),
        }
    }

    fn unmask(&self) -> Result<(), Errno> {
        self.0.unmask();
        Ok(())
    }

    fn mask(&self) -> Result<(), Errno> {
        self.0.state().unmasked = false;
        Ok(())
    }

    fn masks_itself(&self) -> bool {
        true
    }
}

pub(super) struct SimBackend {
    infos: Vec<RegionInfo>,
    regions: Vec<Arc<dyn RegionModel>>,
    line: Option<Arc<SimLine>>,
    id: Option<Id>,
    node: Option<Node>,
    config: Option<ConfigSpace>,
    vectors: Vec<Arc<SimVector>>,
    /// Its drop ends the device.
    model: Box<dyn Model>,
}

impl SimBackend {
    pub(super) fn new(model: Box<dyn Model>) -> Self {
        let (names, regions): (Vec<_>, Vec<_>) = model.regions().into_iter().unzip();
        let node = model.of_node();
        let reg = node.as_ref().map(Node::reg).unwrap_or_default();
        let infos = names.into_iter().zip(&regions).enumerate();
        let infos = infos.map(|(index, (name, region))| RegionInfo {
            index,
            name,
            address: reg.get(index).map(|reg| reg.address),
            size: region.size() as u64,
            offset: 0,
        });
        let infos = infos.collect();
        Self {
            infos,
            line: model.line(),
            id: model.pci_id(),
            node,
            config: model.config().map(ConfigSpace::new),
            vectors: model.vectors(),
            regions,
            model,
        }
    }
}

impl Backend for SimBackend {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn regions(&self) -> &[RegionInfo] {
        &self.infos
    }

    fn region(&self, index: usize, gone: &Arc<AtomicBool>) -> Result<IoRegion> {
        Ok(IoRegion::model(Arc::clone(&self.regions[index]), Arc::clone(gone)))
    }

    fn memory(&self, index: usize) -> Result<IoMem> {
        Err(Error::new(Errno::EOPNOTSUPP, "cannot map region", index)
            .with_cause("a simulated region is not memory")
            .with_hint("a driver that is to run on simulated devices uses Device::region"))
    }

    fn lines(&self) -> usize {
        usize::from(self.line.is_some())
    }

    fn line(&self, _index: usize) -> Result<Box<dyn LineSource>> {
        let line = self.line.clone().ok_or_else(|| {
            Error::new(Errno::ENXIO, "cannot take interrupt line of", "a simulated device")
        })?;
        Ok(Box::new(SimSource(line)))
    }

    fn of_node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    fn pci_id(&self) -> Option<&Id> {
        self.id.as_ref()
    }

    fn config(&self) -> Option<&ConfigSpace> {
        self.config.as_ref()
    }

    fn vector_count(&self, kind: IrqType) -> usize {
        if kind == IrqType::Msi { self.vectors.len() } else { 0 }
    }

    fn enable_vectors(&self, _kind: IrqType, count: usize) -> Result<Vec<Box<dyn LineSource>>> {
        self.vectors[..count].iter().map(|vector| vector.enable()).collect()
    }

    fn disable_vectors(&self, _kind: IrqType) {
        self.vectors.iter().for_each(|vector| vector.disable());
    }

    fn iommu(&self) -> Result<Box<dyn Iommu>> {
        let bus = self.model.dma().ok_or_else(|| {
            Error::new(Errno::EOPNOTSUPP, "cannot do DMA on", "a simulated device")
                .with_cause("its model has no DMA")
        })?;
        Ok(Box::new(dma::SimIommu(bus)))
    }

    fn reset(&self) -> Result<()> {
        if self.model.reset() {
            return Ok(());
        }
        Err(Error::new(Errno::EOPNOTSUPP, "cannot reset", "a simulated device")
            .with_cause("its model has no reset"))
    }

    fn revoke(&self) {}
}
