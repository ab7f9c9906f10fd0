//! What a backend supplies.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::errno::Errno;

use super::RegionInfo;
use crate::error::{Error, Result};
use crate::io::{IoMem, IoRegion};
use crate::irq::LineSource;
use crate::mem::dma::Iommu;
use crate::of;
use crate::pci::{ConfigSpace, Id, IrqType};
use crate::sys::sigbus::FaultMark;

/// The sources of vectors that were enabled.
pub(crate) type NewVectors = Vec<Box<dyn LineSource>>;

/// Who hears what a bus says of a device, beside its interrupts. Called on a thread that may sleep.
pub(crate) trait BusEvents: Send + Sync {
    /// The kernel wants the device back. When this returns, the device is being closed.
    fn remove_requested(&self);

    /// The bus noticed an error of the device.
    fn error_detected(&self);
}

/// Opened from file descriptors or models, it opens nothing itself. What a kind of device has not is left as it
/// stands here.
pub(crate) trait Backend: Send + Sync {
    fn name(&self) -> &'static str;

    fn regions(&self) -> &[RegionInfo];

    /// Maps the region, of which `RegionInfo` exists.
    fn region(&self, index: usize, gone: &Arc<AtomicBool>) -> Result<IoRegion>;

    /// Maps the region as plain memory, if it is memory.
    fn memory(&self, index: usize) -> Result<IoMem>;

    /// How many lines there are that need no vectors: UIO's, a model's, the pin of a PCI function.
    fn lines(&self) -> usize;

    /// The source of a line, of which there are `lines`; asked for once each.
    fn line(&self, index: usize) -> Result<Box<dyn LineSource>>;

    /// Who the device is, on PCI.
    fn pci_id(&self) -> Option<&Id> {
        None
    }

    /// The configuration space, on PCI.
    fn config(&self) -> Option<&ConfigSpace> {
        None
    }

    /// The node of the device tree that describes the device.
    fn of_node(&self) -> Option<&of::Node> {
        None
    }

    /// How many vectors of this kind, MSI or MSI-X, there are.
    fn vector_count(&self, kind: IrqType) -> usize {
        let _ = kind;
        0
    }

    /// Has the device signal vectors 0 to `count - 1`, at most `vector_count`, or fewer, if the kernel has no
    /// more. Those enabled before go.
    fn enable_vectors(&self, kind: IrqType, count: usize) -> Result<NewVectors> {
        let _ = count;
        Err(Error::new(Errno::EOPNOTSUPP, "cannot enable vectors of", kind))
    }

    /// Has it signal `count` vectors more, behind those that are enabled.
    fn add_vectors(&self, kind: IrqType, count: usize) -> Result<NewVectors> {
        let _ = count;
        Err(Error::new(Errno::EOPNOTSUPP, "cannot add vectors of", kind))
    }

    /// Signals an interrupt as if the device had.
    fn inject(&self, kind: IrqType, vector: usize) -> Result<()> {
        let _ = vector;
        Err(Error::new(Errno::EOPNOTSUPP, "cannot inject an interrupt of", kind))
    }

    /// Ends what `enable_vectors` began.
    fn disable_vectors(&self, kind: IrqType) {
        let _ = kind;
    }

    /// Whether the device may master the bus: whether something keeps its DMA within bounds, or the user accepts
    /// that nothing does.
    fn check_master(&self) -> Result<()> {
        Ok(())
    }

    /// What maps memory for the device; asked for once.
    fn iommu(&self) -> Result<Box<dyn Iommu>> {
        Err(Error::new(Errno::EOPNOTSUPP, "cannot do DMA on", self.name())
            .with_cause("there is no IOMMU between the device and the memory"))
    }

    /// Brings the device to the state after power-on. Sleeps.
    fn reset(&self) -> Result<()> {
        Err(Error::new(Errno::EOPNOTSUPP, "cannot reset", self.name())
            .with_cause("it has no reset that the kernel knows"))
    }

    /// Tells `events` what the bus says of the device, from now on. Asked for once.
    fn listen(&self, events: Arc<dyn BusEvents>) -> Result<()> {
        drop(events);
        Ok(())
    }

    /// What its mappings set when an access finds no memory; none without mappings of real memory. Its flag is
    /// then the device's.
    fn fault_mark(&self) -> Option<&Arc<FaultMark>> {
        None
    }

    /// The device is gone: make every access to its memory harmless. May be called again.
    fn revoke(&self);
}
