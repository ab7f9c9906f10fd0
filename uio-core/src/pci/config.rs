//! [`ConfigSpace`]: the configuration space of a function, at exact width, with its header typed.

use std::fmt;
use std::sync::Arc;

use nix::errno::Errno;

use super::capability::{Capabilities, ExtCapabilities};
use super::{Capability, Id};

/// How a configuration space is reached. Implemented by each backend, and by models.
///
/// # Errors
///
/// `ENODEV` if the device is gone, `EINVAL` beyond the end, else what the kernel says.
pub trait ConfigAccess: Send + Sync {
    /// Size in bytes: 256, or 4096 with extended configuration space.
    fn size(&self) -> usize;

    /// Reads the bytes at `at`, which is aligned to their number, 1, 2 or 4.
    fn read(&self, at: usize, buf: &mut [u8]) -> Result<(), Errno>;

    /// Writes the bytes at `at`, which is aligned to their number, 1, 2 or 4.
    fn write(&self, at: usize, data: &[u8]) -> Result<(), Errno>;
}

bitflags::bitflags! {
    /// The command register (`PCI_COMMAND_*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Command: u16 {
        /// Answers accesses to its I/O ports.
        const IO = 1 << 0;
        /// Answers accesses to its memory.
        const MEMORY = 1 << 1;
        /// May write to memory by itself: DMA, and message-signalled interrupts.
        const MASTER = 1 << 2;
        /// Reports parity errors.
        const PARITY = 1 << 6;
        /// Reports system errors.
        const SERR = 1 << 8;
        /// Does not raise its pin.
        const INTX_DISABLE = 1 << 10;
        const _ = !0;
    }
}

/// The part of the header that every function has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Who it is.
    pub id: Id,
    /// The layout: 0 a device, 1 a bridge to another bus, 2 a CardBus bridge.
    pub layout: u8,
    /// Whether the device has more than one function.
    pub multifunction: bool,
    /// The pin that it raises: 1 for INTA to 4 for INTD; `None` if it raises none.
    pub interrupt_pin: Option<u8>,
}

const VENDOR: usize = 0x00;
const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const REVISION: usize = 0x08;
const HEADER_TYPE: usize = 0x0E;
const SUBSYSTEM: usize = 0x2C;
const CAPABILITY_LIST: usize = 0x34;
const INTERRUPT_PIN: usize = 0x3D;
const STATUS_CAP_LIST: u16 = 1 << 4;
/// Where extended capabilities begin.
const EXTENDED: usize = 0x100;

/// The configuration space of a function. Cheap to clone.
///
/// Every access is one of the named width, in program order. Values are little-endian, as on the bus.
#[derive(Clone)]
pub struct ConfigSpace(Arc<dyn ConfigAccess>);

macro_rules! accessors {
    ($($int:ty: $read:ident $write:ident;)*) => {$(
        #[doc = concat!("Reads a `", stringify!($int), "` at `offset` bytes.")]
        ///
        /// # Errors
        ///
        /// `EINVAL` if it is misaligned or beyond the end, `ENODEV` if the device is gone.
        #[doc(alias = "pci_read_config")]
        pub fn $read(&self, offset: usize) -> Result<$int, Errno> {
            let mut bytes = [0; size_of::<$int>()];
            self.check(offset, bytes.len())?;
            self.0.read(offset, &mut bytes)?;
            Ok(<$int>::from_le_bytes(bytes))
        }

        #[doc = concat!("Writes a `", stringify!($int), "` at `offset` bytes.")]
        ///
        /// # Errors
        ///
        /// `EINVAL` if it is misaligned or beyond the end, `ENODEV` if the device is gone, `EPERM` if the
        /// kernel is locked down.
        #[doc(alias = "pci_write_config")]
        pub fn $write(&self, offset: usize, value: $int) -> Result<(), Errno> {
            self.check(offset, size_of::<$int>())?;
            self.0.write(offset, &value.to_le_bytes())
        }
    )*};
}

impl ConfigSpace {
    /// The space behind `access`.
    pub fn new(access: Arc<dyn ConfigAccess>) -> Self {
        Self(access)
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        self.0.size()
    }

    accessors! {
        u8: read8 write8;
        u16: read16 write16;
        u32: read32 write32;
    }

    fn check(&self, offset: usize, width: usize) -> Result<(), Errno> {
        let fits = offset.checked_add(width).is_some_and(|end| end <= self.size());
        if fits && offset.is_multiple_of(width) { Ok(()) } else { Err(Errno::EINVAL) }
    }

    /// The common header.
    ///
    /// # Errors
    ///
    /// `ENODEV` if nothing answers: all ones stand where the vendor should.
    pub fn header(&self) -> Result<Header, Errno> {
        let [vendor, device] = halves(self.read32(VENDOR)?);
        if vendor == u16::MAX {
            return Err(Errno::ENODEV);
        }
        let class = self.read32(REVISION)?;
        let kind = self.read8(HEADER_TYPE)?;
        let layout = kind & 0x7F;
        // A bridge has its windows where a device has the subsystem.
        let [subvendor, subdevice] =
            if layout == 0 { halves(self.read32(SUBSYSTEM)?) } else { [0, 0] };
        let pin = self.read8(INTERRUPT_PIN)?;
        let [revision, ..] = class.to_le_bytes();
        let id = Id { vendor, device, subvendor, subdevice, class: class >> 8, revision };
        let interrupt_pin = (1..=4).contains(&pin).then_some(pin);
        Ok(Header { id, layout, multifunction: kind & 0x80 != 0, interrupt_pin })
    }

    /// The command register.
    ///
    /// # Errors
    ///
    /// As [`read16`](Self::read16).
    pub fn command(&self) -> Result<Command, Errno> {
        Ok(Command::from_bits_retain(self.read16(COMMAND)?))
    }

    /// Sets and clears bits of the command register. Nothing is written if nothing changes.
    ///
    /// # Errors
    ///
    /// As [`write16`](Self::write16); `ENODEV` if nothing answers.
    pub fn update_command(&self, set: Command, clear: Command) -> Result<(), Errno> {
        let old = self.command()?;
        if old.bits() == u16::MAX {
            return Err(Errno::ENODEV);
        }
        let new = old.difference(clear).union(set);
        if new == old { Ok(()) } else { self.write16(COMMAND, new.bits()) }
    }

    /// Walks the list of capabilities. A list that loops, or leaves the space, ends.
    pub fn capabilities(&self) -> Capabilities<'_> {
        let has_list = self.read16(STATUS).is_ok_and(|status| status & STATUS_CAP_LIST != 0);
        let first = if has_list { self.read8(CAPABILITY_LIST).unwrap_or(0) } else { 0 };
        Capabilities::new(self, first)
    }

    /// Walks the list of extended capabilities; a conventional function has none.
    pub fn ext_capabilities(&self) -> ExtCapabilities<'_> {
        ExtCapabilities::new(self, if self.size() > EXTENDED { EXTENDED } else { 0 })
    }

    /// The first capability with this number ([`cap_id`](super::cap_id)).
    #[doc(alias = "pci_find_capability")]
    pub fn find_capability(&self, id: u8) -> Option<Capability> {
        self.capabilities().find(|capability| capability.id == u16::from(id))
    }

    /// The first extended capability with this number ([`ext_id`](super::ext_id)).
    #[doc(alias = "pci_find_ext_capability")]
    pub fn find_ext_capability(&self, id: u16) -> Option<Capability> {
        self.ext_capabilities().find(|capability| capability.id == id)
    }
}

/// The low and the high half.
fn halves(word: u32) -> [u16; 2] {
    let [a, b, c, d] = word.to_le_bytes();
    [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]
}

impl fmt::Debug for ConfigSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSpace").field("size", &self.size()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::pci::{cap_id, ext_id};

    /// Bytes that anybody may write.
    struct Bytes(Mutex<Vec<u8>>);

    impl ConfigAccess for Bytes {
        fn size(&self) -> usize {
            self.0.lock().unwrap().len()
        }

        fn read(&self, at: usize, buf: &mut [u8]) -> Result<(), Errno> {
            buf.copy_from_slice(&self.0.lock().unwrap()[at..at + buf.len()]);
            Ok(())
        }

        fn write(&self, at: usize, data: &[u8]) -> Result<(), Errno> {
            self.0.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    /// A space of `size` bytes with these at these places.
    fn space(size: usize, parts: &[(usize, &[u8])]) -> ConfigSpace {
        let mut bytes = vec![0; size];
        for (at, part) in parts {
            bytes[*at..at + part.len()].copy_from_slice(part);
        }
        ConfigSpace::new(Arc::new(Bytes(Mutex::new(bytes))))
    }

    #[test]
    fn the_header_tells_who_it_is() {
        let space = space(
            256,
            &[
                (0, &[0x34, 0x12, 0xE8, 0x11]),
                (8, &[0x10, 0x00, 0x00, 0xFF]),
                (0x2C, &[0xF4, 0x1A, 0x00, 0x11]),
                (0x3D, &[1]),
            ],
        );
        let header = space.header().unwrap();
        assert_eq!(header.id.to_string(), "1234:11e8");
        assert_eq!((header.id.class, header.id.revision), (0x00FF_0000, 0x10));
        assert_eq!((header.id.subvendor, header.id.subdevice), (0x1AF4, 0x1100));
        assert_eq!(header.interrupt_pin, Some(1));
    }

    #[test]
    fn where_nothing_answers_there_is_no_device() {
        let space = space(256, &[(0, &[0xFF; 64])]);
        assert_eq!(space.header(), Err(Errno::ENODEV));
        assert_eq!(space.update_command(Command::MASTER, Command::empty()), Err(Errno::ENODEV));
    }

    #[test]
    fn a_change_of_the_command_register_leaves_the_other_bits() {
        let space = space(256, &[(4, &[0x03, 0x04])]);
        space.update_command(Command::MASTER, Command::IO).unwrap();
        assert_eq!(space.read16(4), Ok(0x0406));
    }

    #[test]
    fn an_access_beyond_the_end_or_across_is_refused() {
        let space = space(256, &[]);
        assert_eq!(space.read16(1), Err(Errno::EINVAL));
        assert_eq!(space.read32(256), Err(Errno::EINVAL));
        assert_eq!(space.write8(usize::MAX, 0), Err(Errno::EINVAL));
    }

    #[test]
    fn capabilities_are_walked_in_their_order() {
        let space = space(
            256,
            &[
                (6, &[0x10]),
                (0x34, &[0x42]),
                (0x40, &[cap_id::MSI, 0x50]),
                (0x50, &[cap_id::EXPRESS, 0]),
            ],
        );
        let found: Vec<_> = space.capabilities().map(|one| (one.id, one.offset)).collect();
        assert_eq!(found, [(cap_id::MSI.into(), 0x40), (cap_id::EXPRESS.into(), 0x50)]);
        assert_eq!(space.find_capability(cap_id::MSIX), None);
        assert_eq!(space.find_ext_capability(ext_id::AER), None);
    }

    #[test]
    fn a_list_that_loops_ends() {
        let space =
            space(256, &[(6, &[0x10]), (0x34, &[0x40]), (0x40, &[1, 0x50]), (0x50, &[5, 0x40])]);
        assert!(space.capabilities().count() <= 48);
    }

    #[test]
    fn extended_capabilities_begin_behind_the_first_256_bytes() {
        let aer = (u32::from(ext_id::AER) | 2 << 16 | 0x140 << 20).to_le_bytes();
        let last = (0x0003_u32 | 1 << 16).to_le_bytes();
        let space = space(4096, &[(0x100, &aer), (0x140, &last)]);
        let found: Vec<_> =
            space.ext_capabilities().map(|one| (one.id, one.version, one.offset)).collect();
        assert_eq!(found, [(ext_id::AER, 2, 0x100), (3, 1, 0x140)]);
    }
}
