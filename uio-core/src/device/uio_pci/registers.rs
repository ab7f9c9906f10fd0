//! A function whose registers are looked at and nothing else: by a tool, while nobody runs it.
//!
//! The UIO node stays closed, for whoever may have it open: closing it would switch the function's DMA off. There
//! are no lines, no bus mastering, no DMA.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::errno::Errno;

use super::config::UioPciConfig;
use super::explain_open;
use super::regions::Regions;
use crate::device::RegionInfo;
use crate::device::backend::Backend;
use crate::error::{Error, Result};
use crate::io::{IoMem, IoRegion};
use crate::irq::LineSource;
use crate::pci::{Command, ConfigSpace, Header, Id};
use crate::sys::pci_files::PciFiles;
use crate::sys::sigbus::FaultMark;
use crate::sys::sysfs::{PciInfo, Sysfs};

/// The registers of a function that is bound to `uio_pci_generic`, or to nothing.
pub(in crate::device) struct RegistersBackend {
    name: String,
    header: Header,
    config: ConfigSpace,
    regions: Regions,
    mark: Arc<FaultMark>,
}

impl RegistersBackend {
    /// Opens the function that sysfs describes.
    pub(in crate::device) fn open(info: &PciInfo, sysfs: &Sysfs) -> Result<Self> {
        let thing = format!("pci:{}", info.bdf);
        let failed = |errno| Error::new(errno, "cannot open", &thing);
        let dir = sysfs.pci_dir(&info.bdf);
        let files = PciFiles::open(dir.clone()).map_err(|error| explain_open(&error, &dir))?;
        let files = Arc::new(files);
        let size =
            files.config_size().map_err(|error| Error::from_io(&error, "cannot open", &thing))?;
        let mark = FaultMark::new()?;
        let access = UioPciConfig::new(Arc::clone(&files), size, false, Arc::clone(mark.gone()));
        let config = ConfigSpace::new(Arc::new(access.map_err(failed)?) as _);
        let header = config.header().map_err(failed)?;
        if !config.command().map_err(failed)?.intersects(Command::IO | Command::MEMORY) {
            let enable = dir.join("enable");
            return Err(failed(Errno::ENODEV)
                .with_cause("it is switched off: it answers no access to its memory and ports")
                .with_hint(format!("switch it on: echo 1 > {}", enable.display())));
        }
        let regions = Regions::new(info, files, Arc::clone(&mark));
        Ok(Self { name: info.bdf.clone(), header, config, regions, mark })
    }

    /// The device for messages: `0000:00:03.0 (1234:11e8)`.
    pub(in crate::device) fn title(&self) -> String {
        format!("{} ({})", self.name, self.header.id)
    }
}

impl Backend for RegistersBackend {
    fn name(&self) -> &'static str {
        "registers"
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
        0
    }

    fn line(&self, index: usize) -> Result<Box<dyn LineSource>> {
        Err(Error::new(Errno::ENXIO, "cannot take interrupt line", index)
            .with_cause(format!("only the registers of {} are open", self.title())))
    }

    fn pci_id(&self) -> Option<&Id> {
        Some(&self.header.id)
    }

    fn config(&self) -> Option<&ConfigSpace> {
        Some(&self.config)
    }

    fn check_master(&self) -> Result<()> {
        Err(Error::new(Errno::EPERM, "cannot let master the bus", self.title())
            .with_cause("only its registers are open"))
    }

    fn fault_mark(&self) -> Option<&Arc<FaultMark>> {
        Some(&self.mark)
    }

    fn revoke(&self) {
        self.regions.revoke();
    }
}
