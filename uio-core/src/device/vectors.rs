//! [`IrqVectors`]: the interrupt lines that a driver has allocated of a device.
//!
//! On every backend: where a device has nothing but a line of its own, that is the one vector. So a driver
//! asks for vectors and runs on all.
//!
//! Mirrors `pci_alloc_irq_vectors` and `pci_irq_vector` (`drivers/pci/msi/api.c`).

use std::fmt;
use std::sync::{Arc, Weak};

use nix::errno::Errno;

use super::Device;
use super::backend::NewVectors;
use crate::error::{Error, Result};
use crate::irq::IrqLine;
use crate::pci::{IrqType, IrqTypes};

const ACT: &str = "cannot allocate interrupt vectors of";

/// Interrupt vectors, until they are dropped: after the registrations on their lines.
#[doc(alias = "pci_free_irq_vectors")]
pub struct IrqVectors {
    device: Weak<Device>,
    kind: IrqType,
    lines: Vec<IrqLine>,
}

impl Device {
    /// Allocates at least `min` and at most `max` vectors, of the first kind of `types` that has `min`: MSI-X,
    /// MSI, INTx are tried in this order. The line that a device has of its own counts as INTx.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `min` is 0 or more than `max`;
    /// - `EBUSY` if vectors are allocated already;
    /// - `ENOSPC` if no kind has that many;
    /// - what the kernel says.
    #[doc(alias = "pci_alloc_irq_vectors")]
    pub fn alloc_irq_vectors(
        self: &Arc<Self>,
        min: usize,
        max: usize,
        types: IrqTypes,
    ) -> Result<IrqVectors> {
        if min == 0 || min > max {
            return Err(Error::invalid(
                ACT,
                self.name(),
                format!("{min} to {max} is no number of vectors"),
            ));
        }
        let mut vectors = self.vectors();
        if vectors.is_some() {
            return Err(Error::new(Errno::EBUSY, ACT, self.name())
                .with_cause("it has vectors already")
                .with_hint("drop the ones that it has first"));
        }
        let mut failed = None;
        for kind in types.by_preference().filter(|kind| self.vector_count(*kind) >= min) {
            match self.vectors_of(kind, min, max.min(self.vector_count(kind))) {
                Ok(lines) => {
                    *vectors = Some(lines.clone());
                    return Ok(IrqVectors { device: Arc::downgrade(self), kind, lines });
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| self.too_few(min, types)))
    }

    /// How many vectors of this kind the device has.
    pub fn vector_count(&self, kind: IrqType) -> usize {
        match kind {
            IrqType::Intx => self.backend.lines(),
            other => self.backend.vector_count(other),
        }
    }

    fn vectors_of(self: &Arc<Self>, kind: IrqType, min: usize, max: usize) -> Result<Vec<IrqLine>> {
        if kind == IrqType::Intx {
            return Ok(self.own_lines()[..max].to_vec());
        }
        self.check_pin_is_free()?;
        let sources = self.backend.enable_vectors(kind, max)?;
        if sources.len() < min {
            self.backend.disable_vectors(kind);
            let cause = format!("the driver needs {min}, the kernel has {} left", sources.len());
            return Err(Error::new(Errno::ENOSPC, ACT, self.name()).with_cause(cause));
        }
        Ok(self.vector_lines(kind, 0, sources))
    }

    /// A line for each source, numbered from `first` on.
    fn vector_lines(
        self: &Arc<Self>,
        kind: IrqType,
        first: usize,
        sources: NewVectors,
    ) -> Vec<IrqLine> {
        // Without the title's second half: the name stands in tables.
        let device = self.name().split(' ').next().unwrap_or_default();
        let named = |(index, source)| self.new_line(&format!("{device}-{kind}{index}"), source);
        (first..).zip(sources).map(named).collect()
    }

    /// The pin and messages exclude each other.
    fn check_pin_is_free(&self) -> Result<()> {
        let users: Vec<String> = self.own_lines().iter().flat_map(IrqLine::handlers).collect();
        if users.is_empty() {
            return Ok(());
        }
        Err(Error::new(Errno::EBUSY, ACT, self.name())
            .with_cause(format!("{} has its line, which excludes messages", users.join(", ")))
            .with_hint("release the line's handlers first"))
    }

    fn too_few(&self, min: usize, types: IrqTypes) -> Error {
        let counts: Vec<String> = types
            .by_preference()
            .map(|kind| format!("{} of {kind}", self.vector_count(kind)))
            .collect();
        let error = Error::new(Errno::ENOSPC, ACT, self.name())
            .with_cause(format!("the driver needs {min}, the device has {}", counts.join(", ")));
        match types {
            IrqTypes::ALL => error,
            _ => error.with_hint("let it take any kind: --irq auto"),
        }
    }

    /// Ends the vectors: what `IrqVectors` does when it is dropped.
    fn free_irq_vectors(&self, kind: IrqType) {
        let mut vectors = self.vectors();
        if kind != IrqType::Intx {
            self.backend.disable_vectors(kind);
        }
        *vectors = None;
    }
}

impl IrqVectors {
    /// Of which kind they are.
    pub fn kind(&self) -> IrqType {
        self.kind
    }

    /// How many there are: `min` to `max`.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Adds `count` vectors behind those that there are; these go on, and their handlers stay. Where the kernel
    /// cannot add vectors while others are in use, every line is fired once afterwards, so that what the device
    /// sent meanwhile is not missed.
    ///
    /// # Errors
    ///
    /// - `ENOSPC` if the device has too few;
    /// - `EOPNOTSUPP` if they are no messages, or the backend cannot;
    /// - `ENODEV` if the device is gone; what the kernel says.
    #[doc(alias = "pci_msix_alloc_irq_at")]
    pub fn add(&mut self, count: usize) -> Result<()> {
        let act = "cannot add interrupt vectors of";
        let device =
            self.device.upgrade().ok_or_else(|| Error::new(Errno::ENODEV, act, "a device"))?;
        let (there, most) = (self.lines.len(), device.vector_count(self.kind));
        if count > most.saturating_sub(there) {
            return Err(Error::new(Errno::ENOSPC, act, device.name())
                .with_cause(format!("{count} more than {there} are too many; it has {most}")));
        }
        let mut vectors = device.vectors();
        let sources = device.backend.add_vectors(self.kind, count)?;
        self.lines.extend(device.vector_lines(self.kind, there, sources));
        *vectors = Some(self.lines.clone());
        Ok(())
    }

    /// Signals vector `index` as if the device had: to try what a handler does, where the kernel can (VFIO).
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such vector; `EOPNOTSUPP` if the backend cannot; `ENODEV` if the device is gone.
    pub fn inject(&self, index: usize) -> Result<()> {
        self.line(index)?;
        let device = self.device.upgrade().ok_or_else(|| {
            Error::new(Errno::ENODEV, "cannot inject an interrupt of", "a device")
        })?;
        device.backend.inject(self.kind, index)
    }

    /// The line of vector `index`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such vector.
    #[doc(alias = "pci_irq_vector")]
    pub fn line(&self, index: usize) -> Result<IrqLine> {
        self.lines.get(index).cloned().ok_or_else(|| {
            let count = self.lines.len();
            Error::invalid("cannot take interrupt vector", index, format!("there are {count}"))
        })
    }
}

impl Drop for IrqVectors {
    fn drop(&mut self) {
        if let Some(device) = self.device.upgrade() {
            device.free_irq_vectors(self.kind);
        }
    }
}

impl fmt::Debug for IrqVectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IrqVectors").field("kind", &self.kind).field("lines", &self.lines).finish()
    }
}
