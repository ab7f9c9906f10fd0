//! The second way to a PCI function: the kernel's driver `uio_pci_generic`, and the function's files in sysfs.
//!
//! | what | how |
//! | --- | --- |
//! | memory BARs | `mmap` of `resourceN` |
//! | I/O-port BARs | `pread` and `pwrite` of `resourceN`, 1, 2 or 4 bytes |
//! | the pin | `/dev/uioN` says that it fired; a write to `config` re-arms it ([`line`]) |
//! | MSI, MSI-X | none: the driver has none |
//! | DMA | none: no IOMMU is between the device and the memory |
//!
//! `/dev/uioN` is opened once and never again: closing any descriptor of it switches bus mastering off for
//! everybody (`release` in `drivers/uio/uio_pci_generic.c`). For the same reason bus mastering ends with the device.
//!
//! # Bus mastering
//!
//! A device that masters the bus writes to physical memory, wherever it is told to or its faults lead it: nothing
//! keeps it from the kernel's. So it is refused, until the user has accepted the risk
//! ([`OpenOptions::accept_dma_risk`](super::OpenOptions)).
//!
//! Neighbours: `sys/pci_files` and `sys/uio` open the files; `uio` is the backend of other UIO devices.

mod config;
mod line;
mod regions;
mod registers;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::errno::Errno;

use super::backend::Backend;
use super::{OpenOptions, RegionInfo};
use crate::error::{Error, Result};
use crate::io::{IoMem, IoRegion};
use crate::irq::LineSource;
use crate::mem::dma::Iommu;
use crate::pci::{Command, ConfigSpace, Header, Id};
use crate::sys::hints;
use crate::sys::pci_files::PciFiles;
use crate::sys::sigbus::FaultMark;
use crate::sys::sysfs::{PciInfo, Sysfs};
use crate::sys::uio::UioFd;
use config::UioPciConfig;
use line::UioPciLine;
use regions::Regions;
pub(super) use registers::RegistersBackend;

/// A function that is bound to `uio_pci_generic`.
pub(super) struct UioPciBackend {
    name: String,
    header: Header,
    access: Arc<UioPciConfig>,
    config: ConfigSpace,
    files: Arc<PciFiles>,
    uio: Arc<UioFd>,
    has_interrupt: bool,
    regions: Regions,
    mark: Arc<FaultMark>,
    may_master: bool,
}

impl UioPciBackend {
    /// Opens the function that sysfs describes.
    pub(super) fn open(info: &PciInfo, sysfs: &Sysfs, options: &OpenOptions) -> Result<Self> {
        let thing = format!("pci:{}", info.bdf);
        let node = sysfs.pci_uio_node(&info.bdf).ok_or_else(|| {
            Error::new(Errno::ENODEV, "cannot open", &thing)
                .with_cause("uio_pci_generic has it, and made no UIO device for it")
                .with_hint("see what the kernel says: dmesg | grep uio_pci_generic")
        })?;
        let uio = Arc::new(UioFd::open(&node)?);
        let failed = |errno| Error::new(errno, "cannot set up", &thing);
        let dir = sysfs.pci_dir(&info.bdf);
        let files = PciFiles::open(dir.clone()).map_err(|error| explain_open(&error, &dir))?;
        let files = Arc::new(files);
        let size =
            files.config_size().map_err(|error| Error::from_io(&error, "cannot set up", &thing))?;
        let mark = FaultMark::new()?;
        let may_master = options.accept_dma_risk;
        let access =
            UioPciConfig::new(Arc::clone(&files), size, may_master, Arc::clone(mark.gone()));
        let access = Arc::new(access.map_err(failed)?);
        let config = ConfigSpace::new(Arc::clone(&access) as _);
        let header = config.header().map_err(failed)?;
        Ok(Self {
            has_interrupt: uio.has_interrupt().map_err(failed)?,
            regions: Regions::new(info, Arc::clone(&files), Arc::clone(&mark)),
            name: info.bdf.clone(),
            header,
            access,
            config,
            files,
            uio,
            mark,
            may_master,
        })
    }

    /// The device for messages: `0000:00:03.0 (1234:11e8)`.
    pub(super) fn title(&self) -> String {
        format!("{} ({})", self.name, self.header.id)
    }

    fn vfio_hint(&self) -> String {
        format!("bind it to vfio-pci: uioctl bind {} vfio-pci", self.name)
    }
}

fn explain_open(error: &std::io::Error, dir: &Path) -> Error {
    let path = dir.join("config");
    let error = Error::from_io(error, "cannot open", path.display());
    match error.errno() {
        Errno::EACCES | Errno::EPERM => error.with_hint(hints::node_denied(&path)),
        _ => error,
    }
}

impl Backend for UioPciBackend {
    fn name(&self) -> &'static str {
        "uio_pci"
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
        usize::from(self.has_interrupt)
    }

    fn line(&self, _index: usize) -> Result<Box<dyn LineSource>> {
        Ok(Box::new(UioPciLine::new(Arc::clone(&self.uio), Arc::clone(&self.access))))
    }

    fn pci_id(&self) -> Option<&Id> {
        Some(&self.header.id)
    }

    fn config(&self) -> Option<&ConfigSpace> {
        Some(&self.config)
    }

    fn check_master(&self) -> Result<()> {
        if self.may_master {
            return Ok(());
        }
        Err(Error::new(Errno::EPERM, "cannot let master the bus", self.title())
            .with_cause("on uio_pci_generic no IOMMU keeps it from any of the machine's memory")
            .with_hint(format!(
                "{}; or accept the risk: uiod run --i-accept-dma-risk",
                self.vfio_hint()
            )))
    }

    fn iommu(&self) -> Result<Box<dyn Iommu>> {
        Err(Error::new(Errno::EOPNOTSUPP, "cannot do DMA on", self.title())
            .with_cause("on uio_pci_generic no IOMMU is between the device and the memory")
            .with_hint(self.vfio_hint()))
    }

    fn reset(&self) -> Result<()> {
        let failed = |errno| Error::new(errno, "cannot reset", self.title());
        self.files.reset().map_err(|errno| match errno {
            Errno::ENOENT => {
                failed(Errno::EOPNOTSUPP).with_cause("the kernel knows no reset for it")
            }
            _ => failed(errno),
        })?;
        // The kernel restores the command register; what the device is to write is not set up any more.
        self.config.update_command(Command::empty(), Command::MASTER).map_err(failed)
    }

    fn fault_mark(&self) -> Option<&Arc<FaultMark>> {
        Some(&self.mark)
    }

    fn revoke(&self) {
        self.regions.revoke();
    }
}

impl Drop for UioPciBackend {
    fn drop(&mut self) {
        // The driver is done with it: it neither interrupts nor writes any more. One that is gone needs neither,
        // and under lockdown neither was ever on.
        let _ = self.access.disarm();
        let _ = self.config.update_command(Command::empty(), Command::MASTER);
    }
}
