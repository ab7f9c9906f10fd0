//! The driver on the simulated device, called as the session of a node calls it.
//!
//! A [`Client`] does what the session does for a blocked client: it tries a call again whenever the queue on which it
//! waits is woken. So nothing here needs a node, and none of these processes is a client of itself.

mod faults;
mod ioctls;
mod reads_and_writes;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use edu_model::{Controls, Options};
use uio_core::chardev::{self, CharDevice, File, IoctlArg, IoctlCmd, WaitingCall};
use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec};
use uio_core::driver::Probe;
use uio_core::error::Errno;
use uio_core::irq::Dispatcher;
use uio_core::pci::IrqTypes;
use uio_core::softirq::Softirqs;
use uio_core::sync::WaitQueue;

use crate::node::Node;
use crate::probe::Running;

/// How long anything may take that is to happen.
const LONG: Duration = Duration::from_secs(30);

const BOTH: [IrqTypes; 2] = [IrqTypes::MSI, IrqTypes::INTX];

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
        Self::with(Options::default(), IrqTypes::ALL)
    }

    fn with(options: Options, irq_types: IrqTypes) -> Self {
        let dispatcher = Dispatcher::start("irq/test").unwrap();
        let softirqs = Softirqs::attach(&dispatcher);
        let made = Arc::new(OnceLock::new());
        let tell = Arc::clone(&made);
        let models = Models::new().with("edu", move || {
            let model = edu_model::Edu::with(options)?;
            tell.set(model.controls()).unwrap();
            Ok(model)
        });
        let spec = DeviceSpec::Sim("edu".to_owned());
        let device = Device::open(&spec, &dispatcher, &models).unwrap();
        let node = chardev::Options::new("edu");
        let (device_ref, softirqs) = (&device, &softirqs);
        let probe = Probe { device: device_ref, softirqs, node: &node, irq_types, instance: 0 };
        let (running, node) = Running::start(&probe).unwrap();
        let controls = made.get().unwrap().clone();
        Self {
            node: Arc::new(node),
            running: Some(running),
            device,
            controls,
            _dispatcher: dispatcher,
        }
    }

    /// A client with a file of its own.
    fn client(&self, handle: u64) -> Client {
        Client::open(&self.node, handle, 0)
    }

    /// What is counted, in the order of `struct edu_stats`.
    fn stats(&self) -> Vec<u64> {
        let bytes = self.client(u64::MAX).ioctl(crate::ioctl::STATS, &[], 88).unwrap();
        let numbers = bytes.chunks_exact(8);
        numbers.map(|bytes| u64::from_ne_bytes(bytes.try_into().unwrap())).collect()
    }
}

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
        blocking(self.node.write_wait(), || self.try_ioctl(cmd, input, &mut answer, &mut state))?;
        Ok(answer)
    }

    /// One trial of it.
    fn try_ioctl(
        &self,
        cmd: IoctlCmd,
        input: &[u8],
        output: &mut [u8],
        state: &mut u64,
    ) -> Result<i32, Errno> {
        let mut arg = IoctlArg { value: 0, input, output, state };
        self.node.ioctl(&self.file, cmd, &mut arg)
    }

    fn word(&self, cmd: IoctlCmd, number: u32) -> Result<u32, Errno> {
        let answer = self.ioctl(cmd, &number.to_ne_bytes(), 4)?;
        Ok(u32::from_ne_bytes(answer.try_into().unwrap()))
    }

    fn dma_write(&self, offset: u32, data: &[u8]) -> Result<(), Errno> {
        let mut input = edu_dma(offset, data.len());
        let len = data.len().min(2048);
        input[8..8 + len].copy_from_slice(&data[..len]);
        self.ioctl(crate::ioctl::DMA_WRITE, &input, 0).map(drop)
    }

    fn dma_read(&self, offset: u32, len: usize) -> Result<Vec<u8>, Errno> {
        let answer = self.ioctl(crate::ioctl::DMA_READ, &edu_dma(offset, len), 2056)?;
        assert_eq!(&answer[..8], &edu_dma(offset, len)[..8]);
        Ok(answer[8..8 + len].to_vec())
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

/// `struct edu_dma` without data.
fn edu_dma(offset: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; 2056];
    bytes[..4].copy_from_slice(&offset.to_ne_bytes());
    bytes[4..8].copy_from_slice(&u32::try_from(len).unwrap().to_ne_bytes());
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
