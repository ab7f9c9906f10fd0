//! BARs by the files `resourceN`.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use super::RegionInfo;
use crate::error::{Error, Result};
use crate::io::{AccessError, IoMem, IoRegion, RegionAccess, Width};
use crate::sys::mmap::{Mapping, page_size};
use crate::sys::pci_files::{PciFiles, ResourceFile};
use crate::sys::sigbus::FaultMark;
use crate::sys::sysfs::{PciBar, PciInfo};

const ACT: &str = "cannot map";

/// The BARs of a function.
pub(super) struct Regions {
    name: String,
    infos: Vec<RegionInfo>,
    bars: Vec<Bar>,
    files: Arc<PciFiles>,
    mark: Arc<FaultMark>,
}

struct Bar {
    bar: PciBar,
    mapping: Mutex<Option<Arc<Mapping>>>,
}

impl Bar {
    fn mapping(&self) -> MutexGuard<'_, Option<Arc<Mapping>>> {
        self.mapping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Regions {
    /// All BARs that sysfs tells; the ROM is not one of them.
    pub(super) fn new(info: &PciInfo, files: Arc<PciFiles>, mark: Arc<FaultMark>) -> Self {
        let bars: Vec<PciBar> = info.bars.iter().filter(|bar| !bar.is_rom()).cloned().collect();
        let infos = bars.iter().map(|bar| RegionInfo {
            index: bar.index,
            name: format!("bar{}", bar.index),
            address: Some(bar.start),
            size: bar.size,
            offset: 0,
        });
        Self {
            name: info.bdf.clone(),
            infos: infos.collect(),
            bars: bars.into_iter().map(|bar| Bar { bar, mapping: Mutex::new(None) }).collect(),
            files,
            mark,
        }
    }

    pub(super) fn infos(&self) -> &[RegionInfo] {
        &self.infos
    }

    pub(super) fn region(&self, index: usize, gone: &Arc<AtomicBool>) -> Result<IoRegion> {
        let bar = self.get(index)?;
        if !bar.bar.is_io() {
            return Ok(IoRegion::mapped(self.memory(index)?, Arc::clone(gone)));
        }
        let file = self.open(index)?;
        let size = self.size(bar)?;
        Ok(IoRegion::access(Arc::new(Ports { file, size }), Arc::clone(gone)))
    }

    pub(super) fn memory(&self, index: usize) -> Result<IoMem> {
        let bar = self.get(index)?;
        if bar.bar.is_io() {
            return Err(Error::new(Errno::EOPNOTSUPP, ACT, self.thing(index))
                .with_cause("it is of I/O ports")
                .with_hint("a driver that is to run on it uses Device::region"));
        }
        // CAST: less than a page.
        let in_page = (bar.bar.start % page_size() as u64) as usize;
        IoMem::new(self.mapping(bar)?, in_page, self.size(bar)?)
    }

    /// Puts ones in the place of all that is mapped.
    pub(super) fn revoke(&self) {
        for mapping in self.bars.iter().filter_map(|bar| bar.mapping().clone()) {
            if let Err(errno) = mapping.replace_by_ones() {
                tracing::error!(device = %self.name, %errno, "cannot replace the memory of a device that is gone");
            }
        }
    }

    /// The mapping of a BAR, made once. The kernel maps whole pages, from the one in which the BAR begins.
    fn mapping(&self, bar: &Bar) -> Result<Arc<Mapping>> {
        let mut mapping = bar.mapping();
        if let Some(mapping) = &*mapping {
            return Ok(Arc::clone(mapping));
        }
        let index = bar.bar.index;
        let page = page_size();
        // CAST: less than a page.
        let in_page = (bar.bar.start % page as u64) as usize;
        let len = (in_page + self.size(bar)?).next_multiple_of(page);
        let file = self.open(index)?;
        let made = Mapping::shared(file.as_fd(), 0, len, &self.mark, &self.thing(index));
        let made = Arc::new(made.map_err(|error| self.explain(error))?);
        Ok(Arc::clone(mapping.insert(made)))
    }

    fn explain(&self, error: Error) -> Error {
        let use_vfio = format!("bind it to vfio-pci: uioctl bind {} vfio-pci", self.name);
        match error.errno() {
            Errno::EPERM => error
                .with_cause("the kernel is locked down, as it is with Secure Boot")
                .with_hint(use_vfio),
            Errno::EINVAL => error
                .with_cause("the kernel keeps it for a driver (IO_STRICT_DEVMEM)")
                .with_hint(format!("{use_vfio}; or boot with iomem=relaxed")),
            _ => error,
        }
    }

    fn open(&self, index: usize) -> Result<ResourceFile> {
        let failed = |error: io::Error| Error::from_io(&error, "cannot open", self.thing(index));
        self.files.resource(index).map_err(failed)
    }

    fn size(&self, bar: &Bar) -> Result<usize> {
        let too_large = |_| Error::new(Errno::EOVERFLOW, ACT, self.thing(bar.bar.index));
        usize::try_from(bar.bar.size).map_err(too_large)
    }

    fn get(&self, index: usize) -> Result<&Bar> {
        let found = self.bars.iter().find(|bar| bar.bar.index == index);
        found.ok_or_else(|| Error::new(Errno::EINVAL, ACT, self.thing(index)))
    }

    fn thing(&self, index: usize) -> String {
        format!("bar{index} of pci:{}", self.name)
    }
}

/// A BAR of I/O ports.
struct Ports {
    file: ResourceFile,
    size: usize,
}

impl RegionAccess for Ports {
    fn size(&self) -> usize {
        self.size
    }

    fn read(&self, offset: usize, width: Width) -> Result<u64, AccessError> {
        let mut bytes = [0; 8];
        // A machine has no port of eight bytes: two of four, the lower one first.
        for part in bytes[..width as usize].chunks_mut(4).zip((offset..).step_by(4)) {
            self.file.read(part.1 as u64, part.0).map_err(AccessError::of_call)?;
        }
        Ok(u64::from_le_bytes(bytes))
    }

    fn write(&self, offset: usize, width: Width, value: u64) -> Result<(), AccessError> {
        let bytes = value.to_le_bytes();
        for part in bytes[..width as usize].chunks(4).zip((offset..).step_by(4)) {
            self.file.write(part.1 as u64, part.0).map_err(AccessError::of_call)?;
        }
        Ok(())
    }
}
