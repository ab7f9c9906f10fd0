//! Messages: MSI and MSI-X, an eventfd for each vector.
//!
//! # Adding vectors
//!
//! Where the kernel can, it adds vectors beside those in use. Where it cannot (`NORESIZE`), all are disabled and
//! enabled again, and a message that the device sends meanwhile is lost. So every vector that was in use before
//! is then signalled once in software: its handler looks at the device, and finds what the lost message would
//! have told. Handlers of messages are asked once too often for that, as they are for a message that came twice.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::unistd;

use super::handle::Handle;
use crate::device::backend::NewVectors;
use crate::error::{Error, Result};
use crate::irq::{EventFdSource, LineSource};
use crate::pci::IrqType;
use crate::sys::vfio::{Index, IrqInfo};

const NONE: IrqInfo = IrqInfo { count: 0, fixed: true };

/// The kinds that a function has, and the vectors in use.
pub(super) struct Irqs {
    name: String,
    handle: Arc<Handle>,
    pin: IrqInfo,
    msi: IrqInfo,
    msix: IrqInfo,
    active: Mutex<Option<Active>>,
}

/// Vectors in use: where each is signalled.
struct Active {
    kind: IrqType,
    triggers: Vec<OwnedFd>,
}

fn index(kind: IrqType) -> Index {
    match kind {
        IrqType::Intx => Index::Intx,
        IrqType::Msi => Index::Msi,
        IrqType::MsiX => Index::MsiX,
    }
}

fn borrowed(triggers: &[OwnedFd]) -> Vec<Option<BorrowedFd<'_>>> {
    triggers.iter().map(|fd| Some(fd.as_fd())).collect()
}

/// New sources, and where each is signalled.
fn sources(count: usize) -> Result<(NewVectors, Vec<OwnedFd>)> {
    let mut sources: NewVectors = Vec::with_capacity(count);
    let mut triggers = Vec::with_capacity(count);
    for _ in 0..count {
        let source = EventFdSource::new()?;
        triggers.push(source.trigger()?);
        sources.push(Box::new(source) as Box<dyn LineSource>);
    }
    Ok((sources, triggers))
}

impl Irqs {
    /// Asks what there is. The number counts, not the flags, which the kernel sets for kinds that are not there.
    pub(super) fn find(name: &str, handle: &Arc<Handle>) -> Self {
        let ask = |index| handle.with(|device| device.irq_info(index)).unwrap_or(NONE);
        Self {
            name: name.to_owned(),
            pin: ask(Index::Intx),
            msi: ask(Index::Msi),
            msix: ask(Index::MsiX),
            handle: Arc::clone(handle),
            active: Mutex::new(None),
        }
    }

    pub(super) fn has_pin(&self) -> bool {
        self.pin.count > 0
    }

    fn info(&self, kind: IrqType) -> IrqInfo {
        match kind {
            IrqType::Intx => self.pin,
            IrqType::Msi => self.msi,
            IrqType::MsiX => self.msix,
        }
    }

    /// How many vectors of the kind the function has.
    pub(super) fn count(&self, kind: IrqType) -> usize {
        // CAST: a u32 fits.
        self.info(kind).count as usize
    }

    /// Enables `count` vectors, or as many as the kernel has.
    pub(super) fn enable(&self, kind: IrqType, count: usize) -> Result<NewVectors> {
        let mut active = self.active();
        let mut count = count;
        loop {
            let (sources, triggers) = sources(count)?;
            match self.set(kind, 0, &triggers)? {
                None => {
                    *active = Some(Active { kind, triggers });
                    return Ok(sources);
                }
                // Fewer, each time; so this ends.
                Some(left) if (1..count).contains(&left) => count = left,
                Some(_) => return Err(self.failed(Errno::ENOSPC, kind)),
            }
        }
    }

    /// Adds `count` vectors behind those in use; see the [module](self).
    pub(super) fn add(&self, kind: IrqType, count: usize) -> Result<NewVectors> {
        let mut active = self.active();
        let Some(active) = active.as_mut().filter(|active| active.kind == kind) else {
            return Err(self.failed(Errno::EINVAL, kind).with_cause("it has none in use"));
        };
        let (new, triggers) = sources(count)?;
        let before = active.triggers.len();
        if !self.info(kind).fixed {
            return match self.set(kind, before, &triggers)? {
                None => {
                    active.triggers.extend(triggers);
                    Ok(new)
                }
                Some(_) => Err(self.failed(Errno::ENOSPC, kind)),
            };
        }
        active.triggers.extend(triggers);
        let added = self.enable_again(active, before);
        if added.is_err() {
            active.triggers.truncate(before);
        }
        added.map(|()| new)
    }

    /// Disables all vectors, enables those in `active`, and signals the first `before`.
    fn enable_again(&self, active: &Active, before: usize) -> Result<()> {
        let disabled = self.handle.slowly(|device| device.disable_irqs(index(active.kind)));
        disabled.map_err(|errno| self.failed(errno, active.kind))?;
        let mut result = match self.set(active.kind, 0, &active.triggers) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(self.failed(Errno::ENOSPC, active.kind)),
            Err(error) => Err(error),
        };
        if result.is_err() {
            // Back to what there was.
            result = self.set(active.kind, 0, &active.triggers[..before]).and(result);
        }
        for trigger in &active.triggers[..before] {
            // Fails only when the count is full, and then the line has come up.
            let _ = unistd::write(trigger, &1_u64.to_ne_bytes());
        }
        result
    }

    /// Disables the vectors in use.
    pub(super) fn disable(&self) {
        if let Some(active) = self.active().take() {
            // A device that is gone has none.
            let _ = self.handle.slowly(|device| device.disable_irqs(index(active.kind)));
        }
    }

    /// Signals a vector as if the device had.
    pub(super) fn inject(&self, kind: IrqType, vector: usize) -> Result<()> {
        let failed = |errno| {
            let thing = format_args!("{kind} vector {vector} of pci:{}", self.name);
            Error::new(errno, "cannot inject", thing)
        };
        let number = u32::try_from(vector).map_err(|_| failed(Errno::EINVAL))?;
        self.handle.with(|device| device.inject(index(kind), number)).map_err(failed)
    }

    /// How many there are instead, if there are too few.
    fn set(&self, kind: IrqType, start: usize, triggers: &[OwnedFd]) -> Result<Option<usize>> {
        let fds = borrowed(triggers);
        // CAST: 2048 at most.
        let set = |device: &crate::sys::vfio::Device| {
            device.set_triggers(index(kind), start as u32, &fds)
        };
        let left = self.handle.slowly(set).map_err(|errno| self.failed(errno, kind))?;
        Ok(left.map(|left| left as usize))
    }

    fn failed(&self, errno: Errno, kind: IrqType) -> Error {
        Error::new(errno, "cannot enable", format_args!("{kind} vectors of pci:{}", self.name))
    }

    fn active(&self) -> MutexGuard<'_, Option<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
