//! The VFIO backend: a PCI function behind the IOMMU, all of it in the hands of this process.
//!
//! # Vocabulary
//!
//! - **handle** ([`Handle`]): the device's descriptor, until it is closed. Whoever comes later finds `ENODEV`.
//! - **area**: a part of a region that is mapped; the rest of the region goes by `pread` and `pwrite`.
//! - **pin**: INTx. It, MSI and MSI-X exclude one another.
//! - **keeper** ([`events`]): the device's own thread. It hears that the kernel wants the device back, or that the
//!   bus noticed an error, and it closes the device, which may take the kernel minutes.
//!
//! # States
//!
//! ```text
//!   open ──▶ the driver sets it up ──▶ revoked: mappings are ones ──▶ closed: device, group, container
//!                                       (gone, or dropped)             (the keeper)
//! ```
//!
//! # Order of release
//!
//! The driver releases its interrupts and vectors and stops its device. Then the descriptor is closed, with which
//! the kernel ends what was left: interrupts, bus mastering, and the device's own activity by a reset. Then the
//! group, and with it all that is mapped for DMA: never before the device can no longer write.
//!
//! Neighbours: `sys/vfio` makes the calls; `pci` has the types. No lock is held while another is taken, and none
//! during a call that may take long.

mod config;
mod events;
mod handle;
mod iommu;
mod irqs;
mod pin;
mod regions;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use nix::errno::Errno;

use super::RegionInfo;
use super::backend::{Backend, BusEvents, NewVectors};
use crate::error::{Error, Result};
use crate::io::{IoMem, IoRegion};
use crate::irq::LineSource;
use crate::mem::dma::Iommu;
use crate::pci::{Command, ConfigSpace, Header, Id, IrqType};
use crate::sys::hints;
use crate::sys::sigbus::FaultMark;
use crate::sys::sysfs::{PciInfo, Sysfs};
use crate::sys::vfio::{CONFIG_REGION, Container, Device, Group, VfioFds};
use config::VfioConfig;
use events::{Keeper, Open};
use handle::Handle;
use iommu::{Space, VfioIommu};
use irqs::Irqs;
use pin::Pin;
use regions::Regions;

/// A function that VFIO gives out.
pub(super) struct VfioBackend {
    name: String,
    header: Header,
    config: ConfigSpace,
    regions: Arc<Regions>,
    irqs: Irqs,
    pin: Option<Arc<Pin>>,
    space: Arc<Space>,
    handle: Arc<Handle>,
    mark: Arc<FaultMark>,
    can_reset: bool,
    keeper: Keeper,
}

impl VfioBackend {
    /// Opens the function that sysfs describes. The kernel resets it, and leaves it without bus mastering.
    pub(super) fn open(info: &PciInfo, sysfs: &Sysfs) -> Result<Self> {
        let bdf = &info.bdf;
        let refuse = || Error::new(Errno::EOPNOTSUPP, "cannot open", format_args!("pci:{bdf}"));
        let group = info.iommu_group.ok_or_else(|| hints::no_iommu(bdf).explain(refuse()))?;
        Self::new(bdf, VfioFds::open(bdf, group, sysfs)?)
    }

    /// The backend over descriptors, whoever opened them.
    fn new(name: &str, fds: VfioFds) -> Result<Self> {
        let failed = |errno| Error::new(errno, "cannot set up", format_args!("pci:{name}"));
        let device = Device::new(fds.device);
        let info = device.info().map_err(failed)?;
        if !info.pci {
            return Err(failed(Errno::ENODEV).with_cause("it is not a PCI function"));
        }
        let space = device.region_info(CONFIG_REGION).map_err(failed)?;
        let handle = Handle::new(device);
        let config = ConfigSpace::new(Arc::new(VfioConfig::new(Arc::clone(&handle), &space)));
        let header = config.header().map_err(failed)?;
        // It is off after the open. Whatever a kernel leaves: it is the driver's to set.
        config.update_command(Command::empty(), Command::MASTER).map_err(failed)?;
        let mark = FaultMark::new()?;
        let regions = Regions::find(name, &handle, &config, &mark).map_err(failed)?;
        let regions = Arc::new(regions);
        let irqs = Irqs::find(name, &handle);
        let space = Space::new(Container::new(fds.container));
        let open = Open {
            handle: Arc::clone(&handle),
            regions: Arc::clone(&regions),
            group: Mutex::new(Some(Group::new(fds.group))),
            space: Arc::clone(&space),
        };
        let pin = if irqs.has_pin() { Some(Pin::new(&handle)?) } else { None };
        Ok(Self {
            name: name.to_owned(),
            header,
            config,
            irqs,
            pin,
            keeper: Keeper::new(open)?,
            space,
            regions,
            handle,
            mark,
            can_reset: info.reset,
        })
    }

    /// The device for messages: `0000:00:03.0 (1234:11e8)`.
    pub(super) fn title(&self) -> String {
        format!("{} ({})", self.name, self.header.id)
    }

    fn thing(&self) -> String {
        format!("pci:{}", self.name)
    }
}

impl Backend for VfioBackend {
    fn name(&self) -> &'static str {
        "vfio"
    }

    fn regions(&self) -> &[RegionInfo] {
        self.regions.infos()
    }

    fn region(&self, index: usize, gone: &Arc<AtomicBool>) -> Result<IoRegion> {
        self.regions.region(index, gone)
    }

    fn memory(&self, index: usize) -> Result<IoMem> {
        self.regions.memory(index)
    }

    fn lines(&self) -> usize {
        usize::from(self.pin.is_some())
    }

    fn line(&self, _index: usize) -> Result<Box<dyn LineSource>> {
        let pin = self.pin.as_ref().ok_or_else(|| {
            Error::new(Errno::ENXIO, "cannot take the interrupt pin of", self.thing())
        })?;
        Ok(Box::new(Arc::clone(pin)))
    }

    fn pci_id(&self) -> Option<&Id> {
        Some(&self.header.id)
    }

    fn config(&self) -> Option<&ConfigSpace> {
        Some(&self.config)
    }

    fn vector_count(&self, kind: IrqType) -> usize {
        self.irqs.count(kind)
    }

    fn enable_vectors(&self, kind: IrqType, count: usize) -> Result<NewVectors> {
        if let Some(pin) = &self.pin {
            pin.uninstall();
        }
        self.irqs.enable(kind, count)
    }

    fn add_vectors(&self, kind: IrqType, count: usize) -> Result<NewVectors> {
        self.irqs.add(kind, count)
    }

    fn disable_vectors(&self, _kind: IrqType) {
        self.irqs.disable();
    }

    fn inject(&self, kind: IrqType, vector: usize) -> Result<()> {
        self.irqs.inject(kind, vector)
    }

    fn iommu(&self) -> Result<Box<dyn Iommu>> {
        let (space, handle) = (Arc::clone(&self.space), Arc::clone(&self.handle));
        Ok(Box::new(VfioIommu::new(self.thing(), space, handle)?))
    }

    fn reset(&self) -> Result<()> {
        let failed = |errno| Error::new(errno, "cannot reset", self.thing());
        if !self.can_reset {
            return Err(failed(Errno::EOPNOTSUPP).with_cause("the kernel knows no reset for it"));
        }
        self.handle.slowly(|device| device.reset()).map_err(|errno| match errno {
            Errno::EAGAIN => failed(errno)
                .with_cause("somebody else is at work on it")
                .with_hint("try again when that is over"),
            _ => failed(errno),
        })?;
        // The kernel restores the command register; what the device is to write is not set up any more.
        self.config.update_command(Command::empty(), Command::MASTER).map_err(failed)
    }

    fn listen(&self, events: Arc<dyn BusEvents>) -> Result<()> {
        self.keeper.listen(&self.name, events)
    }

    fn fault_mark(&self) -> Option<&Arc<FaultMark>> {
        Some(&self.mark)
    }

    fn revoke(&self) {
        self.regions.revoke();
        self.keeper.close();
    }
}

impl Drop for VfioBackend {
    fn drop(&mut self) {
        self.keeper.close();
        self.keeper.wait();
    }
}
