//! The session of a node: one thread that reads requests and has them carried out.
//!
//! ```text
//!           ┌────────────── EAGAIN ──────────────┐
//!           ▼                                    │
//!   ┌───────────────┐  request  ┌──────────┐  done  ┌─────────┐
//!   │ waits in poll │ ────────▶ │ receives │ ─────▶ │ serves  │
//!   └───────────────┘           └──────────┘ ◀───── └─────────┘
//!           │ stop                   │ ENODEV: unmounted, or aborted
//!           ▼                        ▼
//!   ┌─────────────────────────────────────────────┐
//!   │ over: hung up, every open file is released  │
//!   └─────────────────────────────────────────────┘
//! ```
//!
//! One thread, because then an INTERRUPT cannot overtake the request it is for: requests are read in the
//! kernel's order, and each is answered or parked before the next is read. That thread never blocks in a
//! request; what cannot be done now is parked in the [`pump`](super::pump).
//!
//! # Split calls
//!
//! The kernel cuts a large `read` or `write` into requests, sends the next when one was done in full, and adds
//! up. A further piece of a *read* must not wait: the bytes of the pieces before it reach the client only when
//! it is answered. With CUSE a further piece is one whose offset is not 0. With FUSE, `splice` and `sendfile`
//! count their own position, so there a further piece is one that begins where a piece of the largest size
//! ended. A further piece of a *write* waits like any other, as a kernel driver does that takes what it can
//! and sleeps for the rest; a signal ends the call with what was taken so far.
//!
//! The buffers are allocated once; reading and writing allocate nothing unless they block.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::channel::{Channel, Waited};
use super::device::{File, IoctlCmd, IoctlLayout};
use super::fuse;
use super::pump::{Answer, Call, Ioctl, Pump, guarded};
use super::table::{Lock, Owed};
use super::tree::{self, Tree};
use super::wire::abi::{
    InHeader, IoctlIn, IoctlIovec, IoctlOut, LockIn, OpenIn, OpenOut, READ_LOCKOWNER, ReadIn,
    ReleaseIn, WriteIn, ioctl,
};
use super::wire::reply::Reply;
use super::wire::request::{Operation, Request};

/// Room for the headers of the largest WRITE, rounded up to a page.
const HEADER_ROOM: usize = 4096;

/// Ends a session from outside.
#[derive(Debug)]
pub(crate) struct Stop {
    asked: AtomicBool,
    /// The channel is about to be closed by ourselves: its end is no news.
    closing: AtomicBool,
    event: EventFd,
}

impl Stop {
    pub(crate) fn new() -> Result<Self, Errno> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let (asked, closing) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { asked, closing, event: EventFd::from_value_and_flags(0, flags)? })
    }

    /// The node is about to be unmounted; the session serves on until then.
    pub(crate) fn announce(&self) {
        // Relaxed: only a message hangs on it.
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn ask(&self) {
        // Relaxed: nothing is handed over with it; the write below is what wakes the session.
        self.asked.store(true, Ordering::Relaxed);
        // Fails only if the counter is full, and then the session is woken already.
        let _ = self.event.write(1);
    }
}

/// What the two kinds of node do differently.
#[derive(Debug)]
pub(crate) enum Flavour {
    /// A character device: the kernel keeps its file.
    Cuse,
    /// A file of ours.
    Fuse(Tree),
}

impl Flavour {
    pub(crate) fn max_transfer(&self) -> usize {
        match self {
            Self::Cuse => super::cuse::MAX_TRANSFER,
            Self::Fuse(_) => fuse::MAX_TRANSFER,
        }
    }
}

/// See the [module](self).
pub(crate) struct Session {
    stop: Arc<Stop>,
    request: Vec<u8>,
    server: Server,
}

impl Session {
    pub(crate) fn new(pump: Arc<Pump<Channel>>, flavour: Flavour, stop: Arc<Stop>) -> Self {
        let transfer = flavour.max_transfer();
        Self {
            stop,
            request: vec![0; HEADER_ROOM + transfer],
            server: Server { pump, flavour, data: vec![0; transfer] },
        }
    }

    /// Serves until it is stopped or the channel dies.
    pub(crate) fn run(mut self) {
        if let Err(errno) = self.serve_all()
            && !self.stop.closing.load(Ordering::Relaxed)
        {
            tracing::warn!(%errno, "node is no longer served: the kernel closed its channel");
        }
        self.server.pump.hang_up(Errno::ENODEV);
        self.server.release_all();
    }

    fn serve_all(&mut self) -> Result<(), Errno> {
        // Under load the channel is never empty, so the flag is looked at each time, too.
        while !self.stop.asked.load(Ordering::Relaxed) {
            match self.server.pump.out().receive(&mut self.request) {
                Ok(len) => self.server.serve(&self.request[..len]),
                Err(Errno::EAGAIN) => {
                    let waited = self.server.pump.out().wait(self.stop.event.as_fd())?;
                    if waited == Waited::Stop {
                        break;
                    }
                }
                // ENOENT: the client went away while its request was being read.
                Err(Errno::EINTR | Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

/// Carries out single requests.
struct Server {
    pump: Arc<Pump<Channel>>,
    flavour: Flavour,
    /// What is read for a client, and what an ioctl gives back.
    data: Vec<u8>,
}

impl Server {
    fn serve(&mut self, bytes: &[u8]) {
        let Some(Request { header, operation }) = Request::parse(bytes) else {
            tracing::error!(len = bytes.len(), "the kernel sent what is not a request");
            return;
        };
        let owed = || Owed::new(header.unique);
        match operation {
            Operation::Read(ask) => self.read(owed(), &ask),
            Operation::Write(ask, data) => self.write(owed(), &ask, data),
            Operation::Poll(ask) => self.pump.poll(owed(), &ask),
            Operation::Ioctl(ask, input) => self.ioctl(owed(), &ask, input),
            Operation::Open(ask) => self.open(owed(), &header, &ask),
            Operation::Release(ask) => self.release(owed(), &ask),
            Operation::Flush | Operation::Destroy => self.reply(owed(), &Reply::Done),
            Operation::Lookup(_)
            | Operation::Getattr
            | Operation::Setattr(_)
            | Operation::Statfs
            | Operation::Opendir
            | Operation::Readdir(_)
            | Operation::Releasedir => self.file_system(owed(), header.nodeid, &operation),
            Operation::Lock(ask) => self.lock(owed(), &ask),
            Operation::Unknown(number) => self.unknown(owed(), number),
            Operation::Init(_) | Operation::CuseInit(_) | Operation::Malformed => {
                tracing::error!(opcode = header.opcode, "the kernel sent a request out of order");
                self.reply(owed(), &Reply::Error(Errno::EIO));
            }
            // These want no answer.
            Operation::Interrupt(ask) => self.pump.interrupt(ask.unique),
            Operation::Forget => {}
        }
    }

    fn read(&mut self, owed: Owed, ask: &ReadIn) {
        if self.fills_the_page_cache(ask) {
            return self.reply(owed, &Reply::Error(Errno::EINVAL));
        }
        let size = self.data.len().min(ask.size as usize);
        let call =
            Call { handle: ask.fh, flags: ask.flags as i32, continuation: self.continues(ask) };
        self.pump.read(owed, call, &mut self.data[..size]);
    }

    /// Linux 6.5 and later serve `splice`, `sendfile` and private mappings of a FUSE file from the page cache.
    /// There a blocked read would lock a page that every `open` waits for, beyond the reach of signals; and
    /// what is read once would be read again. Refused, programs fall back on `read`.
    fn fills_the_page_cache(&self, ask: &ReadIn) -> bool {
        matches!(self.flavour, Flavour::Fuse(_)) && ask.read_flags & READ_LOCKOWNER == 0
    }

    /// Whether a READ is a further piece of a call that the kernel split. See the [module](self).
    fn continues(&self, ask: &ReadIn) -> bool {
        match self.flavour {
            Flavour::Cuse => ask.offset > 0,
            Flavour::Fuse(_) => {
                let end = fuse::may_be_split(ask.size).then_some(ask.offset + u64::from(ask.size));
                self.pump.table().continues(ask.fh, ask.offset, end)
            }
        }
    }

    fn write(&self, owed: Owed, ask: &WriteIn, data: &[u8]) {
        let call = Call { handle: ask.fh, flags: ask.flags as i32, continuation: false };
        self.pump.write(owed, call, data);
    }

    fn open(&self, owed: Owed, header: &InHeader, ask: &OpenIn) {
        let admitted = self.pump.table().admit();
        if let Err(errno) = admitted {
            return self.reply(owed, &Reply::Error(errno));
        }
        let file = self.pump.table().open(File {
            handle: 0,
            flags: ask.flags as i32,
            uid: header.uid,
            gid: header.gid,
            pid: header.pid,
        });
        if let Err(errno) = guarded(|| self.pump.device().open(&file)) {
            self.pump.table().close(file.handle);
            return self.reply(owed, &Reply::Error(errno));
        }
        let open_flags = match self.flavour {
            Flavour::Cuse => 0,
            Flavour::Fuse(_) => fuse::OPEN_FLAGS,
        };
        let out = OpenOut { fh: file.handle, open_flags, backing_id: 0 };
        if self.pump.out().answer(owed, &Reply::Opened(out)).is_err() {
            // The opener did not live to see it, so there will be no RELEASE.
            self.forget(file.handle);
        }
    }

    /// Answered before anything is cleaned up: the client's `close` waits for this answer.
    fn release(&self, owed: Owed, ask: &ReleaseIn) {
        self.reply(owed, &Reply::Done);
        self.forget(ask.fh);
    }

    fn forget(&self, handle: u64) {
        let closed = self.pump.table().close(handle);
        if let Some(file) = closed {
            let _ = guarded(|| {
                self.pump.device().release(&file);
                Ok(())
            });
        }
    }

    fn release_all(&self) {
        loop {
            let open = self.pump.table().any_open();
            let Some(handle) = open else { return };
            self.forget(handle);
        }
    }

    fn ioctl(&mut self, owed: Owed, ask: &IoctlIn, input: &[u8]) {
        let file = {
            let mut table = self.pump.table();
            table.admit().and_then(|()| table.file(ask.fh))
        };
        let file = match file {
            Ok(file) => file,
            Err(errno) => return self.reply(owed, &Reply::Error(errno)),
        };
        let layout = self.pump.device().ioctl_layout(IoctlCmd(ask.cmd));
        match self.ioctl_step(ask, layout) {
            IoctlStep::Call => self.ioctl_call(owed, &file, ask, input),
            IoctlStep::Fetch => self.ioctl_fetch(owed, ask, layout),
            IoctlStep::Refuse(errno) => self.reply(owed, &Reply::Error(errno)),
        }
    }

    /// Unrestricted, the first round brings no data: we say what to copy, and are called again with it.
    /// Restricted, the kernel copies what the number says, which for old numbers is nothing.
    fn ioctl_step(&self, ask: &IoctlIn, layout: IoctlLayout) -> IoctlStep {
        let given = IoctlLayout { input: ask.in_size as usize, output: ask.out_size as usize };
        let unrestricted = ask.flags & ioctl::UNRESTRICTED != 0;
        if given.output > self.data.len() || layout.input.max(layout.output) > self.data.len() {
            IoctlStep::Refuse(Errno::EINVAL)
        } else if given.input >= layout.input && given.output >= layout.output {
            IoctlStep::Call
        } else if unrestricted && given == IoctlLayout::default() {
            IoctlStep::Fetch
        } else {
            IoctlStep::Refuse(Errno::ENOTTY)
        }
    }

    fn ioctl_fetch(&self, owed: Owed, ask: &IoctlIn, layout: IoctlLayout) {
        let piece = |len: usize| (len > 0).then_some(IoctlIovec { base: ask.arg, len: len as u64 });
        let (input, output) = (piece(layout.input), piece(layout.output));
        let out = IoctlOut {
            flags: ioctl::RETRY,
            in_iovs: u32::from(input.is_some()),
            out_iovs: u32::from(output.is_some()),
            ..IoctlOut::default()
        };
        let both = [input.or(output).unwrap_or_default(), output.unwrap_or_default()];
        let count = (out.in_iovs + out.out_iovs) as usize;
        self.reply(owed, &Reply::IoctlRetry(out, &both[..count]));
    }

    fn ioctl_call(&mut self, owed: Owed, file: &File, ask: &IoctlIn, input: &[u8]) {
        let output = &mut self.data[..ask.out_size as usize];
        let call = Ioctl { cmd: IoctlCmd(ask.cmd), value: ask.arg, input };
        self.pump.ioctl(owed, file, call, output);
    }

    /// What is asked of the file system around the node, and of its inodes.
    fn file_system(&mut self, owed: Owed, inode: u64, operation: &Operation<'_>) {
        let Flavour::Fuse(tree) = &mut self.flavour else {
            return self.reply(owed, &Reply::Unsupported);
        };
        let listed;
        let result = match operation {
            Operation::Lookup(name) => tree.look_up(inode, name).map(Reply::Entry),
            Operation::Getattr => Ok(Reply::Attr(tree.attributes(inode))),
            Operation::Setattr(ask) => tree.change(inode, ask).map(Reply::Attr),
            Operation::Statfs => Ok(Reply::Statfs(tree::statfs())),
            Operation::Opendir => Ok(Reply::Opened(OpenOut::default())),
            Operation::Readdir(ask) => {
                listed = tree.list(ask.offset);
                Ok(Reply::Data(&listed))
            }
            _ => Ok(Reply::Done),
        };
        self.reply(owed, &result.unwrap_or_else(Reply::Error));
    }

    /// `flock`. The kernel's own would hold for one inode, and each `open` has another. One that would have
    /// to wait is refused, as with `LOCK_NB`.
    fn lock(&self, owed: Owed, ask: &LockIn) {
        let wanted = match ask.kind as i32 {
            libc::F_RDLCK => Some(Lock::Shared),
            libc::F_WRLCK => Some(Lock::Exclusive),
            _ => None,
        };
        let result = self.pump.table().lock(ask.fh, wanted);
        self.reply(owed, &result.map_or_else(Reply::Error, |()| Reply::Done));
    }

    fn unknown(&self, owed: Owed, number: u32) {
        tracing::debug!(number, "request that a node has no use for");
        self.reply(owed, &Reply::Unsupported);
    }

    fn reply(&self, owed: Owed, reply: &Reply<'_>) {
        // An error says that the client is gone: nobody is left to tell.
        let _ = self.pump.out().answer(owed, reply);
    }
}

/// How an IOCTL request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IoctlStep {
    Call,
    Fetch,
    Refuse(Errno),
}
