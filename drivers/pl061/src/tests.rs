//! The driver on the simulated block, called as the session of a node calls it.
//!
//! A [`Client`] does what the session does for a blocked client: it tries a call again whenever the queue on which it
//! waits is woken. So nothing here needs a node.

mod commands;
mod events;
mod faults;
mod ioctls;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pl061_model::{Controls, Options};
use uio_core::chardev::{self, CharDevice, File, IoctlArg, IoctlCmd, PollEvents};
use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec};
use uio_core::driver::Probe;
use uio_core::error::{Errno, Error};
use uio_core::irq::Dispatcher;
use uio_core::pci::IrqTypes;
use uio_core::softirq::Softirqs;

use crate::event::EVENT_BYTES;
use crate::ioctl::{GET_VALUES, SET_CONFIG, SET_FORMAT, SET_VALUES};
use crate::node::Node;
use crate::probe::Running;

/// How long anything may take that is to happen.
const LONG: Duration = Duration::from_secs(30);

const RISING: u32 = 1;
const FALLING: u32 = 2;
const LEVEL_HIGH: u32 = 3;
const LEVEL_LOW: u32 = 4;

/// The places of the block's registers.
const DATA: usize = 0x3FC;
const DIR: usize = 0x400;
const IE: usize = 0x410;
const RIS: usize = 0x414;
const IC: usize = 0x41C;

/// A bound block. The driver goes before the device, and that before the dispatcher.
struct Rig {
    node: Arc<Node>,
    running: Option<Running>,
    device: Arc<Device>,
    controls: Controls,
    softirqs: Arc<Softirqs>,
    _dispatcher: Dispatcher,
}

impl Rig {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        Self::prepared(options, |_| {}).unwrap()
    }

    /// A block to which something happens before the driver sees it.
    fn prepared(options: Options, prepare: impl Fn(&Controls)) -> Result<Self, Error> {
        let dispatcher = Dispatcher::start("irq/test").unwrap();
        let softirqs = Softirqs::attach(&dispatcher);
        let made = Arc::new(OnceLock::new());
        let tell = Arc::clone(&made);
        let models = Models::new().with("pl061", move || {
            let model = pl061_model::Pl061::with_options(options)?;
            tell.set(model.controls()).unwrap();
            Ok(model)
        });
        let spec = DeviceSpec::Sim("pl061".to_owned());
        let device = Device::open(&spec, &dispatcher, &models).unwrap();
        let controls = made.get().unwrap().clone();
        prepare(&controls);
        let node = chardev::Options::new("gpiouio0");
        let irq_types = IrqTypes::ALL;
        let (device_ref, softirqs_ref) = (&device, &softirqs);
        let probe = Probe {
            device: device_ref,
            softirqs: softirqs_ref,
            node: &node,
            irq_types,
            instance: 0,
        };
        let (running, node) = Running::start(&probe, "gpiouio0")?;
        let (node, running) = (Arc::new(node), Some(running));
        Ok(Self { node, running, device, controls, softirqs, _dispatcher: dispatcher })
    }

    /// A client with a file of its own, who reads events in their binary form.
    fn client(&self, handle: u64) -> Client {
        let client = self.reader_of_text(handle);
        client.ioctl(SET_FORMAT, &1_u32.to_ne_bytes(), 0).unwrap();
        client
    }

    fn reader_of_text(&self, handle: u64) -> Client {
        Client::open(&self.node, handle)
    }

    /// How often the block's interrupt has fired.
    fn interrupts(&self) -> u64 {
        self.controls.line().raised()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.running.take());
        if !std::thread::panicking() {
            assert_eq!(self.controls.mistakes(), 0, "the driver misused the block");
            assert_eq!(self.controls.orders(), 0, "something was not done");
        }
    }
}

/// A client of the node, with an open file.
struct Client {
    node: Arc<Node>,
    file: File,
}

/// An event, as a client sees it: what, where, the number of all, the number of the line.
type Seen = [u32; 4];

impl Client {
    fn open(node: &Arc<Node>, handle: u64) -> Self {
        let file = File { handle, flags: 0, uid: 0, gid: 0, pid: 1 };
        node.open(&file).unwrap();
        Self { node: Arc::clone(node), file }
    }

    fn write(&self, text: &str) -> Result<usize, Errno> {
        self.node.write(&self.file, text.as_bytes())
    }

    /// A command that is carried out.
    fn say(&self, text: &str) {
        assert_eq!(self.write(text), Ok(text.len()), "{text}");
    }

    fn ioctl(&self, cmd: IoctlCmd, input: &[u8], output: usize) -> Result<Vec<u8>, Errno> {
        let (mut state, mut answer) = (0, vec![0; output]);
        let mut arg = IoctlArg { value: 0, input, output: &mut answer, state: &mut state };
        self.node.ioctl(&self.file, cmd, &mut arg)?;
        Ok(answer)
    }

    fn levels(&self, mask: u64) -> Result<u64, Errno> {
        let answer = self.ioctl(GET_VALUES, &values(0, mask), 16)?;
        assert_eq!(answer[8..], mask.to_ne_bytes());
        Ok(u64::from_ne_bytes(answer[..8].try_into().unwrap()))
    }

    fn set_levels(&self, bits: u64, mask: u64) -> Result<(), Errno> {
        self.ioctl(SET_VALUES, &values(bits, mask), 16).map(drop)
    }

    /// `GPIO_V2_LINE_SET_CONFIG_IOCTL` with flags for the lines of a mask, and levels for outputs.
    fn configure(&self, flags: u64, mask: u64, levels: u64) -> Result<(), Errno> {
        let mut bytes = vec![0; 272];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(8, &2_u32.to_ne_bytes());
        for (at, id, value) in [(32, 1_u32, flags), (56, 2, levels)] {
            put(at, &id.to_ne_bytes());
            put(at + 8, &value.to_ne_bytes());
            put(at + 16, &mask.to_ne_bytes());
        }
        let answer = self.ioctl(SET_CONFIG, &bytes, 272)?;
        assert_eq!(answer, bytes, "what was handed in comes back");
        Ok(())
    }

    /// One trial of a read.
    fn try_read(&self, room: usize) -> Result<Vec<u8>, Errno> {
        let mut buf = vec![0; room];
        let count = self.node.read(&self.file, &mut buf)?;
        buf.truncate(count);
        Ok(buf)
    }

    /// A read that waits.
    fn read(&self, room: usize) -> Result<Vec<u8>, Errno> {
        let mut result = Err(Errno::EAGAIN);
        let ended = self.node.read_wait().wait_until_timeout(LONG, || {
            result = self.try_read(room);
            result != Err(Errno::EAGAIN)
        });
        assert!(ended.is_ready(), "a read was not answered in {LONG:?}");
        result
    }

    /// The next event, and its time in nanoseconds.
    fn timed_event(&self) -> (u64, Seen) {
        let bytes = self.read(EVENT_BYTES).unwrap();
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        let time = u64::from_ne_bytes(bytes[..8].try_into().unwrap());
        (time, [8, 12, 16, 20].map(word))
    }

    fn event(&self) -> Seen {
        self.timed_event().1
    }

    /// The next events: what, and where.
    fn events(&self, count: usize) -> Vec<(u32, u32)> {
        (0..count).map(|_| self.event()).map(|[id, line, ..]| (id, line)).collect()
    }

    fn is_readable(&self) -> bool {
        self.node.poll(&self.file).contains(PollEvents::READABLE)
    }

    /// Lines of text, as many as there are.
    fn text(&self) -> String {
        String::from_utf8(self.read(4096).unwrap()).unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.node.release(&self.file);
    }
}

/// `struct gpio_v2_line_values`.
fn values(bits: u64, mask: u64) -> Vec<u8> {
    [bits.to_ne_bytes(), mask.to_ne_bytes()].concat()
}

/// Waits for what wakes no queue.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in {LONG:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
