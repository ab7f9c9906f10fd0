//! The driver on the simulated channel, called as the session of a node calls it.
//!
//! A [`Client`] does what the session does for a blocked client: it tries a call again whenever the queue on which it
//! waits is woken. So nothing here needs a node, and none of these processes is a client of itself.

mod copies;
mod echoes;
mod faults;
mod probing;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use uio_core::chardev::{self, CharDevice, File, IoctlArg, IoctlCmd, PollEvents, WaitingCall};
use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec, OpenOptions};
use uio_core::driver::Probe;
use uio_core::error::{Errno, Error};
use uio_core::irq::Dispatcher;
use uio_core::pci::IrqTypes;
use uio_core::softirq::Softirqs;
use uio_core::sync::WaitQueue;
use zynqmp_dma_model::{Controls, Options};

use crate::ioctl;
use crate::node::Node;
use crate::probe::Running;

/// How long anything may take that is to happen.
const LONG: Duration = Duration::from_secs(30);

const MIB: usize = 1 << 20;

/// A bound device. The driver goes before the device, and that before the dispatcher.
struct Rig {
    node: Arc<Node>,
    running: Option<Running>,
    device: Arc<Device>,
    controls: Controls,
    _dispatcher: Dispatcher,
}

impl Rig {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        Self::try_with(options).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_with(options: Options) -> Result<Self, Error> {
        let dispatcher = Dispatcher::start("irq/test").unwrap();
        let softirqs = Softirqs::attach(&dispatcher);
        let made = Arc::new(OnceLock::new());
        let tell = Arc::clone(&made);
        let models = Models::new().with("zynqmp-dma", move || {
            let model = zynqmp_dma_model::ZynqmpDma::with(options)?;
            tell.set(model.controls()).unwrap();
            Ok(model)
        });
        let spec = DeviceSpec::Sim("zynqmp-dma".to_owned());
        let open = OpenOptions::default();
        let device = Device::open_with(&spec, &open, &dispatcher, &models).unwrap();
        let node = chardev::Options::new("zdma");
        let probe = Probe {
            device: &device,
            softirqs: &softirqs,
            node: &node,
            irq_types: IrqTypes::all(),
            instance: 0,
        };
        let (running, node) = Running::start(&probe)?;
        let controls = made.get().unwrap().clone();
        Ok(Self {
            node: Arc::new(node),
            running: Some(running),
            device,
            controls,
            _dispatcher: dispatcher,
        })
    }

    /// A client with a file of its own.
    fn client(&self, handle: u64) -> Client {
        Client::open(&self.node, handle, 0)
    }

    /// One whose reads and writes are copies and how they ended.
    fn queue(&self, handle: u64) -> Client {
        let client = self.client(handle);
        client.mode(2, 0).unwrap();
        client
    }

    /// One whose reads and writes are the memory from `offset` on.
    fn memory(&self, handle: u64, offset: u64) -> Client {
        let client = self.client(handle);
        client.mode(1, offset).unwrap();
        client
    }

    /// What is counted, by the place in `struct zdma_stats`.
    fn stat(&self, index: usize) -> u64 {
        self.node.engine.stats.read()[index]
    }

    /// The length of the memory that clients have.
    fn arena(&self) -> u64 {
        self.node.limits.bytes
    }
}

const COPIES: usize = 1;
const ERRORS: usize = 3;
const TIMEOUTS: usize = 4;
const LOST: usize = 5;
const REFUSED: usize = 6;

/// A client of the node, with an open file.
struct Client {
    node: Arc<Node>,
    file: File,
}

impl Client {
    fn open(node: &Arc<Node>, handle: u64, flags: i32) -> Self {
        let file = File { handle, flags, uid: 0, gid: 0, pid: 1 };
        node.open(&file).unwrap();
        Self { node: Arc::clone(node), file }
    }

    fn nonblocking(rig: &Rig, handle: u64) -> Self {
        Self::open(&rig.node, handle, nix::fcntl::OFlag::O_NONBLOCK.bits())
    }

    /// An ioctl that waits until it is answered.
    fn ioctl(&self, cmd: IoctlCmd, input: &[u8], output: usize) -> Result<Vec<u8>, Errno> {
        let (mut state, mut answer) = (0, vec![0; output]);
        blocking(self.node.write_wait(), || {
            let state = &mut state;
            let mut arg = IoctlArg { value: 0, input, output: &mut answer, state };
            self.node.ioctl(&self.file, cmd, &mut arg)
        })?;
        Ok(answer)
    }

    fn mode(&self, mode: u64, offset: u64) -> Result<(), Errno> {
        self.ioctl(ioctl::MODE, &[mode.to_ne_bytes(), offset.to_ne_bytes()].concat(), 0).map(drop)
    }

    fn submit(&self, src: u64, dst: u64, len: u64, cookie: u64) -> Result<(), Errno> {
        self.ioctl(ioctl::SUBMIT, &zdma_copy(src, dst, len, cookie), 0).map(drop)
    }

    /// The cookie and the error of the next copy that has ended.
    fn wait(&self) -> Result<(u64, u32), Errno> {
        let answer = self.ioctl(ioctl::WAIT, &[], 16)?;
        Ok(completion(&answer))
    }

    fn read(&self, room: usize) -> Result<Vec<u8>, Errno> {
        let mut buf = vec![0; room];
        let count = blocking(self.node.read_wait(), || self.node.read(&self.file, &mut buf))?;
        buf.truncate(count);
        Ok(buf)
    }

    fn write(&self, data: &[u8]) -> Result<usize, Errno> {
        blocking(self.node.write_wait(), || self.node.write(&self.file, data))
    }

    /// One trial of a write.
    fn try_write(&self, data: &[u8]) -> Result<usize, Errno> {
        self.node.write(&self.file, data)
    }

    /// One trial of a read.
    fn try_read(&self, room: usize) -> Result<Vec<u8>, Errno> {
        let mut buf = vec![0; room];
        let count = self.node.read(&self.file, &mut buf)?;
        buf.truncate(count);
        Ok(buf)
    }

    /// Writes all, in as many pieces as it takes.
    fn write_all(&self, mut data: &[u8]) {
        while !data.is_empty() {
            let count = self.write(data).unwrap();
            data = &data[count..];
        }
    }

    /// Reads until nothing more comes.
    fn read_all(&self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let piece = self.read(1000).unwrap();
            if piece.is_empty() {
                return all;
            }
            all.extend(piece);
        }
    }

    fn poll(&self) -> PollEvents {
        self.node.poll(&self.file)
    }

    /// A signal ends a call.
    fn interrupt(&self, call: WaitingCall) {
        self.node.interrupted(&self.file, call);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.node.release(&self.file);
    }
}

/// `struct zdma_copy`.
fn zdma_copy(src: u64, dst: u64, len: u64, cookie: u64) -> Vec<u8> {
    [src, dst, len, cookie].map(u64::to_ne_bytes).concat()
}

/// `struct zdma_completion`: the cookie and the error.
fn completion(bytes: &[u8]) -> (u64, u32) {
    let (cookie, rest) = bytes.split_at(8);
    let error = u32::from_ne_bytes(rest[..4].try_into().unwrap());
    (u64::from_ne_bytes(cookie.try_into().unwrap()), error)
}

/// The number of an error, as completions say it.
fn number(errno: Errno) -> u32 {
    u32::try_from(errno as i32).unwrap()
}

/// Bytes that are not the same twice in a row of pages.
fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((state >> 16).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Tries until it is no `EAGAIN`.
fn blocking<R>(queue: &WaitQueue, mut call: impl FnMut() -> Result<R, Errno>) -> Result<R, Errno> {
    let mut result = Err(Errno::EAGAIN);
    let ended = queue.wait_until_timeout(LONG, || {
        result = call();
        !matches!(result, Err(Errno::EAGAIN))
    });
    assert!(ended.is_ready(), "a call was not answered in {LONG:?}");
    result
}

/// Waits for what wakes no queue.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + LONG;
    while !holds() {
        assert!(std::time::Instant::now() < end, "{what}: not in {LONG:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
