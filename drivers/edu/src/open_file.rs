//! The device's buffer as a small file: what an open file of the node has read and written of it.
//!
//! # What a client sees
//!
//! The bytes that were last written to the node, [`LONGEST`] at most. Every open file begins to write at the first
//! byte, and what it writes is the whole content then, as with `>` on a regular file; it reads from the first byte
//! on, to the end of the content. The bytes are in the device: a write ends when the device has taken them, a read
//! when it has brought them back.
//!
//! # Vocabulary
//!
//! - **store**: the transfer of the write at hand.
//! - **fetch**: the transfer of the read at hand; **ahead** if it was begun before anybody waited in a read, by a
//!   poll or a read that does not block.
//! - **stale**: a fetch ahead, after which something else was written.
//!
//! A write that blocks returns when its bytes are in the device. One that does not block returns at once, and how it
//! ended the next write tells. A fetch ahead that is stale is begun anew.

use uio_core::chardev::PollEvents;
use uio_core::error::Errno;

use crate::dma::{DmaUnit, LONGEST, Transfer};
use crate::engine::{Engine, Ticket};

/// What all open files share.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// Bytes that were written last, from the buffer's first on.
    len: usize,
    /// Counts what changes the buffer.
    version: u64,
}

impl Content {
    /// The buffer is being written otherwise.
    pub(crate) fn changed(&mut self) {
        self.version += 1;
    }
}

#[derive(Debug)]
struct Fetch {
    ticket: Ticket,
    ahead: bool,
    version: u64,
}

#[derive(Debug)]
struct Store {
    ticket: Ticket,
    len: usize,
    /// A blocked write waits for it.
    waited_for: bool,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct OpenFile {
    read_at: usize,
    write_at: usize,
    fetch: Option<Fetch>,
    store: Option<Store>,
}

type Dma = Engine<DmaUnit>;

impl OpenFile {
    /// A read; `EAGAIN` while the device is at it.
    pub(crate) fn read(
        &mut self,
        dma: &Dma,
        content: &Content,
        blocks: bool,
        buf: &mut [u8],
    ) -> Result<usize, Errno> {
        if let Some(transfer) = self.fetched(dma, content)? {
            let count = buf.len().min(transfer.data().len());
            buf[..count].copy_from_slice(&transfer.data()[..count]);
            self.read_at += count;
            return Ok(count);
        }
        let left = content.len.saturating_sub(self.read_at);
        if left == 0 || buf.is_empty() {
            return Ok(0);
        }
        self.begin_fetch(dma, content, left.min(buf.len()), !blocks)?;
        Err(Errno::EAGAIN)
    }

    /// What the fetch at hand brought, if there is one and it is not stale.
    fn fetched(&mut self, dma: &Dma, content: &Content) -> Result<Option<Transfer>, Errno> {
        let Some(fetch) = &self.fetch else { return Ok(None) };
        let stale = fetch.ahead && fetch.version != content.version;
        let result = dma.claim(fetch.ticket);
        if matches!(result, Err(Errno::EAGAIN)) {
            return Err(Errno::EAGAIN);
        }
        self.fetch = None;
        if stale { Ok(None) } else { result.map(Some) }
    }

    fn begin_fetch(
        &mut self,
        dma: &Dma,
        content: &Content,
        len: usize,
        ahead: bool,
    ) -> Result<(), Errno> {
        let ticket = dma.submit(Transfer::from_device(self.read_at, len)?)?;
        self.fetch = Some(Fetch { ticket, ahead, version: content.version });
        Ok(())
    }

    /// A write; `EAGAIN` while the device is at it, or at the one before.
    pub(crate) fn write(
        &mut self,
        dma: &Dma,
        content: &mut Content,
        blocks: bool,
        data: &[u8],
    ) -> Result<usize, Errno> {
        if let Some(len) = self.stored(dma, blocks)? {
            return Ok(len);
        }
        let len = data.len().min(LONGEST - self.write_at);
        if data.is_empty() {
            return Ok(0);
        }
        if len == 0 {
            return Err(Errno::ENOSPC);
        }
        let ticket = dma.submit(Transfer::to_device(self.write_at, &data[..len])?)?;
        self.store = Some(Store { ticket, len, waited_for: blocks });
        self.write_at += len;
        content.len = self.write_at;
        content.changed();
        if blocks { Err(Errno::EAGAIN) } else { Ok(len) }
    }

    /// How the store at hand ended, if there is one: so many bytes for the write that waits for it, nothing to say
    /// for one that nobody waits for.
    fn stored(&mut self, dma: &Dma, blocks: bool) -> Result<Option<usize>, Errno> {
        let Some(store) = &self.store else { return Ok(None) };
        let (waited_for, len) = (store.waited_for, store.len);
        if waited_for && !blocks {
            return Err(Errno::EAGAIN);
        }
        let result = dma.claim(store.ticket);
        if matches!(result, Err(Errno::EAGAIN)) {
            return Err(Errno::EAGAIN);
        }
        self.store = None;
        if waited_for && result.is_err() {
            // What the client writes next goes where this was to go.
            self.write_at -= len;
        }
        result.map(|_| waited_for.then_some(len))
    }

    /// What the file is ready for. Begins the fetch that a read would need.
    pub(crate) fn poll(&mut self, dma: &Dma, content: &Content) -> PollEvents {
        let mut events = PollEvents::empty();
        events.set(PollEvents::READABLE, self.is_readable(dma, content));
        let writable = self.store.as_ref().is_none_or(|store| dma.is_done(store.ticket));
        events.set(PollEvents::WRITABLE, writable);
        events
    }

    fn is_readable(&mut self, dma: &Dma, content: &Content) -> bool {
        let left = content.len.saturating_sub(self.read_at);
        if left == 0 {
            return self.fetch.is_none();
        }
        if let Some(fetch) = &self.fetch {
            let stale = fetch.ahead && fetch.version != content.version;
            if !stale || !dma.is_done(fetch.ticket) {
                return dma.is_done(fetch.ticket);
            }
            dma.detach(fetch.ticket);
            self.fetch = None;
        }
        match self.begin_fetch(dma, content, left.min(LONGEST), true) {
            Ok(()) | Err(Errno::EAGAIN) => false,
            // The read says what is wrong.
            Err(_) => true,
        }
    }

    /// A signal ended the read that waited.
    pub(crate) fn read_interrupted(&mut self, dma: &Dma) {
        if let Some(fetch) = self.fetch.take() {
            dma.abandon(fetch.ticket);
        }
    }

    /// A signal ended the write that waited: the next one begins where it began.
    pub(crate) fn write_interrupted(&mut self, dma: &Dma, content: &mut Content) {
        let Some(store) = self.store.take_if(|store| store.waited_for) else { return };
        let begun = !dma.abandon(store.ticket);
        self.write_at -= store.len;
        if !begun && content.len == self.write_at + store.len {
            content.len = self.write_at;
        }
    }

    /// The file is closed: what it wrote goes to the device all the same.
    pub(crate) fn close(self, dma: &Dma) {
        if let Some(fetch) = self.fetch {
            dma.abandon(fetch.ticket);
        }
        if let Some(store) = self.store {
            dma.detach(store.ticket);
        }
    }
}
