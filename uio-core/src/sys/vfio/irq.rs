//! Interrupts of a device: which there are, and where each is signalled.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_NORESIZE, VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_TRIGGER,
    VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE,
    VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX,
    VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_REQ_IRQ_INDEX, vfio_irq_info, vfio_irq_set,
};

use super::device::Device;
use super::numbers;

/// A kind of interrupts of a PCI function (`VFIO_PCI_*_IRQ_INDEX`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    /// The pin.
    Intx = VFIO_PCI_INTX_IRQ_INDEX as isize,
    /// Messages.
    Msi = VFIO_PCI_MSI_IRQ_INDEX as isize,
    /// Messages with a table.
    MsiX = VFIO_PCI_MSIX_IRQ_INDEX as isize,
    /// An error that the bus noticed.
    Err = VFIO_PCI_ERR_IRQ_INDEX as isize,
    /// The kernel wants the device back.
    Req = VFIO_PCI_REQ_IRQ_INDEX as isize,
}

/// What the kernel says of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IrqInfo {
    /// How many there are; 0 if the device has none of the kind, whatever the flags say.
    pub(crate) count: u32,
    /// Vectors can be added only by disabling all.
    pub(crate) fixed: bool,
}

/// `argsz`, flags, index, start and count come before the data.
const HEAD: usize = size_of::<vfio_irq_set>() / size_of::<u32>();

impl Index {
    fn number(self) -> u32 {
        // CAST: the numbers are small.
        self as u32
    }
}

impl Device {
    /// What there is of a kind.
    ///
    /// # Errors
    ///
    /// `EINVAL` for errors of a function that is not on PCI Express.
    pub(crate) fn irq_info(&self, index: Index) -> Result<IrqInfo, Errno> {
        let mut info = vfio_irq_info {
            argsz: size_of::<vfio_irq_info>() as u32, // CAST: a small constant.
            index: index.number(),
            ..vfio_irq_info::default()
        };
        // SAFETY: `info` is a live structure of the size that it says.
        unsafe { numbers::device_get_irq_info(self.raw(), &raw mut info) }?;
        Ok(IrqInfo { count: info.count, fixed: info.flags & VFIO_IRQ_INFO_NORESIZE != 0 })
    }

    /// Has vectors `start` and following signal these eventfds; `None` takes one out of use.
    ///
    /// # Errors
    ///
    /// What the kernel says; `ENOSPC` with fewer vectors available than asked for is `Ok` with their number.
    pub(crate) fn set_triggers(
        &self,
        index: Index,
        start: u32,
        fds: &[Option<BorrowedFd<'_>>],
    ) -> Result<Option<u32>, Errno> {
        let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
        self.set_eventfds(flags, index, start, fds)
    }

    /// Has a write to `fd` unmask the pin, from now on; `None` ends that.
    ///
    /// # Errors
    ///
    /// What the kernel says; `EINVAL` while the pin has no trigger.
    pub(crate) fn set_unmask(&self, fd: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK;
        self.set_eventfds(flags, Index::Intx, 0, &[fd]).map(drop)
    }

    /// Masks the pin.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn mask_pin(&self) -> Result<(), Errno> {
        let flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK;
        self.set_irqs(&head(HEAD, flags, Index::Intx, 0, 1)).map(drop)
    }

    /// Takes all vectors of the kind out of use.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn disable_irqs(&self, index: Index) -> Result<(), Errno> {
        let flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
        self.set_irqs(&head(HEAD, flags, index, 0, 0)).map(drop)
    }

    /// Signals the eventfd of one vector, as if the device had.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn inject(&self, index: Index, vector: u32) -> Result<(), Errno> {
        let flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
        self.set_irqs(&head(HEAD, flags, index, vector, 1)).map(drop)
    }

    fn set_eventfds(
        &self,
        flags: u32,
        index: Index,
        start: u32,
        fds: &[Option<BorrowedFd<'_>>],
    ) -> Result<Option<u32>, Errno> {
        // CAST: as many as there are vectors, 2048 at most.
        let mut words = head(HEAD + fds.len(), flags, index, start, fds.len() as u32).to_vec();
        // CAST: -1, or a descriptor, as 32 bits.
        words.extend(fds.iter().map(|fd| fd.map_or(-1, |fd| fd.as_raw_fd()) as u32));
        let left = self.set_irqs(&words)?;
        Ok((left > 0).then_some(left.unsigned_abs()))
    }

    /// A positive value is the number of vectors that could be had.
    fn set_irqs(&self, words: &[u32]) -> Result<i32, Errno> {
        // SAFETY: `words` is live and as long as its first word says.
        unsafe { numbers::device_set_irqs(self.raw(), words.as_ptr()) }
    }
}

/// The head of a `vfio_irq_set` of so many words in all.
fn head(words: usize, flags: u32, index: Index, start: u32, count: u32) -> [u32; HEAD] {
    // CAST: a few kilobytes at most.
    [(words * size_of::<u32>()) as u32, flags, index.number(), start, count]
}
