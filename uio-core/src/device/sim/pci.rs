//! What a model on a simulated PCI bus is made of: its configuration space and its vectors.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::unistd;

use crate::error::Result;
use crate::irq::{EventFdSource, LineSource};
use crate::pci::{Command, ConfigAccess, Id};

/// Size of the space in bytes.
const SIZE: usize = 256;
const COMMAND: usize = 0x04;

/// The configuration space of a model: a header that says who it is, and a command register that the driver
/// writes.
pub struct SimConfig(Mutex<[u8; SIZE]>);

impl SimConfig {
    /// The space of a function that is `id`, and raises INTA if it `has_pin`.
    pub fn new(id: &Id, has_pin: bool) -> Arc<Self> {
        let mut bytes = [0; SIZE];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0x00, &id.vendor.to_le_bytes());
        put(0x02, &id.device.to_le_bytes());
        put(0x08, &(id.class << 8 | u32::from(id.revision)).to_le_bytes());
        put(0x2C, &id.subvendor.to_le_bytes());
        put(0x2E, &id.subdevice.to_le_bytes());
        put(0x3D, &[u8::from(has_pin)]);
        // As VFIO and the kernel's drivers leave it: it answers, and does not master the bus.
        put(COMMAND, &(Command::IO | Command::MEMORY).bits().to_le_bytes());
        Arc::new(Self(Mutex::new(bytes)))
    }

    /// The command register, for the model: whether it may master the bus, for one.
    pub fn command(&self) -> Command {
        let bytes = self.bytes();
        Command::from_bits_retain(u16::from_le_bytes([bytes[COMMAND], bytes[COMMAND + 1]]))
    }

    fn bytes(&self) -> MutexGuard<'_, [u8; SIZE]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConfigAccess for SimConfig {
    fn size(&self) -> usize {
        SIZE
    }

    fn read(&self, at: usize, buf: &mut [u8]) -> Result<(), Errno> {
        let bytes = self.bytes();
        buf.copy_from_slice(bytes.get(at..at + buf.len()).ok_or(Errno::EINVAL)?);
        Ok(())
    }

    /// The command register takes what is written; the rest of the header is read-only.
    fn write(&self, at: usize, data: &[u8]) -> Result<(), Errno> {
        let mut bytes = self.bytes();
        for (place, byte) in (at..).zip(data) {
            if (COMMAND..COMMAND + 2).contains(&place) || place >= 0x40 {
                *bytes.get_mut(place).ok_or(Errno::EINVAL)? = *byte;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SimConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimConfig").field("command", &self.command()).finish_non_exhaustive()
    }
}

/// A message-signalled interrupt of a model: an edge, which nothing masks.
#[derive(Default)]
pub struct SimVector {
    listener: Mutex<Option<OwnedFd>>,
    gone: Arc<AtomicBool>,
}

impl SimVector {
    /// A vector that nobody listens to yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Sends the message. The device's side; nothing happens while the vector is not enabled.
    pub fn fire(&self) {
        if let Some(fd) = &*self.listener() {
            // Fails only when the counter is full, and then the line has come up.
            let _ = unistd::write(fd, &1_u64.to_ne_bytes());
        }
    }

    /// Whether a driver has enabled the vector.
    pub fn is_enabled(&self) -> bool {
        self.listener().is_some()
    }

    /// Pulls the device out: the line of the vector reports it, if a driver has enabled it.
    pub fn unplug(&self) {
        self.gone.store(true, Ordering::Release);
        self.fire();
    }

    pub(super) fn enable(&self) -> Result<Box<dyn LineSource>> {
        let source = EventFdSource::new()?;
        *self.listener() = Some(source.trigger()?);
        Ok(Box::new(VectorSource { source, gone: Arc::clone(&self.gone) }))
    }

    pub(super) fn disable(&self) {
        *self.listener() = None;
    }

    fn listener(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimVector").field("enabled", &self.is_enabled()).finish()
    }
}

/// The driver's side of a vector.
struct VectorSource {
    source: EventFdSource,
    /// Set by `unplug` before it signals.
    gone: Arc<AtomicBool>,
}

impl LineSource for VectorSource {
    fn fd(&self) -> BorrowedFd<'_> {
        self.source.fd()
    }

    fn take(&self) -> Result<u32, Errno> {
        if self.gone.load(Ordering::Acquire) { Err(Errno::ENODEV) } else { self.source.take() }
    }

    fn unmask(&self) -> Result<(), Errno> {
        self.source.unmask()
    }

    fn mask(&self) -> Result<(), Errno> {
        self.source.mask()
    }

    fn masks_itself(&self) -> bool {
        self.source.masks_itself()
    }

    fn forget_past(&self) {
        self.source.forget_past();
    }
}
