//! What a device on PCI has more than others: its identity, configuration space, bus mastering, reset, DMA.

use std::sync::{Arc, PoisonError};

use nix::errno::Errno;

use super::Device;
use crate::error::{Error, Result};
use crate::mem::dma::Domain;
use crate::pci::{Command, ConfigSpace, Id};

impl Device {
    /// Who the device is, if it is on PCI.
    pub fn pci_id(&self) -> Option<&Id> {
        self.backend.pci_id()
    }

    /// The configuration space.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the device is not on PCI.
    pub fn config(&self) -> Result<&ConfigSpace> {
        self.backend.config().ok_or_else(|| {
            Error::new(Errno::EOPNOTSUPP, "cannot reach the configuration space of", self.name())
                .with_cause("it is not a PCI device")
        })
    }

    /// Lets the device write to memory by itself: DMA, and message-signalled interrupts, which without it do not
    /// come. It is off when the device was opened or reset; the driver sets it when what the device will write is
    /// set up. It ends with the release of the device.
    ///
    /// # Errors
    ///
    /// As [`config`](Self::config); `ENODEV` if the device is gone; `EPERM` if no IOMMU keeps its DMA within bounds,
    /// and the user has not [accepted that](super::OpenOptions::accept_dma_risk).
    #[doc(alias = "pci_set_master")]
    pub fn set_master(&self) -> Result<()> {
        self.backend.check_master()?;
        self.command(Command::MASTER, Command::empty(), "cannot let master the bus")
    }

    /// Takes back what [`set_master`](Self::set_master) gave.
    ///
    /// # Errors
    ///
    /// As `set_master`.
    #[doc(alias = "pci_clear_master")]
    pub fn clear_master(&self) -> Result<()> {
        self.command(Command::empty(), Command::MASTER, "cannot keep from mastering the bus")
    }

    fn command(&self, set: Command, clear: Command, act: &'static str) -> Result<()> {
        let changed = self.config()?.update_command(set, clear);
        changed.map_err(|errno| Error::new(errno, act, self.name()))
    }

    /// Brings the device to the state after power-on: bus mastering is off afterwards. Sleeps, for as long as the
    /// kernel does: minutes, for some devices.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the kernel knows no reset for it; what the kernel says.
    #[doc(alias = "pci_reset_function")]
    #[track_caller]
    pub fn reset(&self) -> Result<()> {
        crate::sync::context::might_sleep();
        self.backend.reset()
    }

    /// The addresses that the device may use for DMA.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if there is no IOMMU between the device and the memory; `ENODEV` if the device is gone.
    #[doc(alias = "dma_set_mask_and_coherent")]
    pub fn dma(&self) -> Result<Arc<Domain>> {
        let mut domain = self.domain.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(domain) = &*domain {
            return Ok(Arc::clone(domain));
        }
        let new = Domain::new(self.name(), self.backend.iommu()?)?;
        Ok(Arc::clone(domain.insert(new)))
    }

    /// The end of the device's DMA, when it is released: it may not master the bus any more, and then, when it
    /// cannot write, all that is mapped still is unmapped. What the driver held goes after that.
    pub(super) fn end_dma(&self) {
        let domain = self.domain.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(domain) = domain else { return };
        if let Err(error) = self.clear_master() {
            // One that is gone, for one, has no configuration space any more, and masters no bus.
            tracing::debug!("{error}");
        }
        // The domain has said in the log what it could not unmap, and keeps it.
        let _ = domain.shut_down();
    }
}
