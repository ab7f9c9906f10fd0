//! A port with a client on one end and the model's wire on the other.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ns16550::{Layout, Port, Settings};
use ns16550_model::{Controls, Ns16550, Options};
use uio_core::chardev::{CharDevice, File, IoctlArg, IoctlCmd};
use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec};
use uio_core::error::Errno;
use uio_core::irq::Dispatcher;
use uio_core::softirq::Softirqs;
use uio_core::sync::WaitQueue;

/// How long anything may take that is to happen at once.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const TCGETS: u32 = 0x5401;
pub(crate) const TCSETS: u32 = 0x5402;
pub(crate) const TCSETSW: u32 = 0x5403;
pub(crate) const TCSETSF: u32 = 0x5404;
pub(crate) const TCSBRK: u32 = 0x5409;
pub(crate) const TCXONC: u32 = 0x540A;
pub(crate) const TCFLSH: u32 = 0x540B;
pub(crate) const TIOCINQ: u32 = 0x541B;
pub(crate) const TIOCOUTQ: u32 = 0x5411;
pub(crate) const TIOCMGET: u32 = 0x5415;
pub(crate) const TIOCMBIS: u32 = 0x5416;
pub(crate) const TIOCMBIC: u32 = 0x5417;
pub(crate) const TIOCMSET: u32 = 0x5418;
pub(crate) const TIOCGICOUNT: u32 = 0x545D;
pub(crate) const TCGETS2: u32 = 0x802C_542A;
pub(crate) const TCSETS2: u32 = 0x402C_542B;

/// Looks again and again until `condition` holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < DEADLINE, "{what} did not come about");
        thread::yield_now();
    }
}

/// Something that may block, on a thread of its own.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(crate) fn start(work: impl FnOnce() -> T + Send + 'static) -> Self {
        Self(thread::spawn(work))
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.0.is_finished()
    }

    pub(crate) fn finish(self) -> T {
        wait_until("the end of the call", || self.0.is_finished());
        self.0.join().unwrap()
    }
}

/// An open file of the node.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) port: Arc<Port>,
    pub(crate) file: File,
}

/// A device with a port. The fields are in the order of their release.
pub(crate) struct Bench {
    pub(crate) port: Arc<Port>,
    pub(crate) end: Controls,
    /// The file that keeps the port open.
    pub(crate) client: Client,
    pub(crate) device: Arc<Device>,
    pub(crate) _softirqs: Arc<Softirqs>,
    pub(crate) _dispatcher: Dispatcher,
}

/// A port with the wire in the test's hands, and nobody who has it open.
pub(crate) fn closed(options: Options) -> Result<Bench, uio_core::Error> {
    let controls = Arc::new(Mutex::new(None));
    let made = Arc::clone(&controls);
    let models = Models::new().with("ns16550", move || {
        let model = Ns16550::with_options(options)?;
        *made.lock().unwrap() = Some(model.controls());
        Ok(model)
    });
    let dispatcher = Dispatcher::start("irq/test")?;
    let softirqs = Softirqs::attach(&dispatcher);
    let spec = DeviceSpec::Sim("ns16550".to_owned());
    let device = Device::open(&spec, &dispatcher, &models)?;
    let layout = Layout { shift: options.shift, width: options.width };
    let region = device.region(0, layout.bytes())?;
    let settings = Settings { layout, ..Settings::default() };
    let port = Arc::new(Port::new("sim", region, settings, &device.line(0)?, &softirqs)?);
    let end = controls.lock().unwrap().take().unwrap();
    let client = Client::of(&port, 1, 0);
    Ok(Bench { port, end, client, device, _softirqs: softirqs, _dispatcher: dispatcher })
}

impl Bench {
    pub(crate) fn with(options: Options) -> Self {
        let bench = closed(options).unwrap();
        bench.client.open().unwrap();
        bench
    }

    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    /// Waits until the UART has sent `wanted`, and nothing else.
    pub(crate) fn expect_sent(&self, wanted: &[u8]) {
        let mut sent = Vec::new();
        wait_until("what is to be sent", || {
            sent.extend(self.end.sent());
            sent.len() >= wanted.len()
        });
        assert_eq!(sent, wanted);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(self.end.mistakes(), 0, "the driver misused the UART");
        }
    }
}

impl Client {
    pub(crate) fn of(port: &Arc<Port>, handle: u64, flags: i32) -> Self {
        let file = File { handle, flags, uid: 1000, gid: 1000, pid: 1 };
        Self { port: Arc::clone(port), file }
    }

    /// The same file, with other flags.
    pub(crate) fn with_flags(&self, flags: i32) -> Self {
        Self { file: File { flags, ..self.file }, ..self.clone() }
    }

    pub(crate) fn open(&self) -> Result<(), Errno> {
        self.port.open(&self.file)
    }

    pub(crate) fn close(&self) {
        self.port.release(&self.file);
    }

    /// One trial of a read.
    pub(crate) fn try_read(&self, room: usize) -> Result<Vec<u8>, Errno> {
        let mut buf = vec![0; room];
        let count = self.port.read(&self.file, &mut buf)?;
        buf.truncate(count);
        Ok(buf)
    }

    /// A read that may block.
    pub(crate) fn read(&self, room: usize) -> Result<Vec<u8>, Errno> {
        blocking(self.port.read_wait(), || self.try_read(room))
    }

    /// Reads until there are `count` bytes.
    pub(crate) fn read_exact(&self, count: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < count {
            data.extend(self.read(count - data.len()).unwrap());
        }
        data
    }

    /// Writes all, as a blocking `write` does.
    pub(crate) fn write_all(&self, mut data: &[u8]) {
        while !data.is_empty() {
            let write = || self.port.write(&self.file, data);
            let count = blocking(self.port.write_wait(), write).unwrap();
            data = &data[count..];
        }
    }

    /// An ioctl that may block; what it gives back.
    pub(crate) fn ioctl(&self, cmd: u32, value: u64, input: &[u8]) -> Result<Vec<u8>, Errno> {
        let cmd = IoctlCmd(cmd);
        let layout = self.port.ioctl_layout(cmd);
        assert_eq!(input.len(), layout.input, "bytes that {:#x} takes", cmd.0);
        let (mut state, mut output) = (0, vec![0; layout.output]);
        let mut call = || {
            let mut arg = IoctlArg { value, input, output: &mut output, state: &mut state };
            self.port.ioctl(&self.file, cmd, &mut arg)
        };
        if self.port.ioctl_waits(cmd) {
            blocking(self.port.write_wait(), call)?;
        } else {
            call()?;
        }
        Ok(output)
    }

    /// An ioctl without data.
    pub(crate) fn command(&self, cmd: u32, value: u64) -> Result<(), Errno> {
        self.ioctl(cmd, value, &[]).map(drop)
    }

    /// An ioctl that gives an int.
    pub(crate) fn get(&self, cmd: u32) -> i32 {
        i32::from_ne_bytes(self.ioctl(cmd, 0, &[]).unwrap().try_into().unwrap())
    }

    /// An ioctl that takes an int.
    pub(crate) fn set(&self, cmd: u32, value: i32) {
        self.ioctl(cmd, 0, &value.to_ne_bytes()).unwrap();
    }

    pub(crate) fn termios(&self) -> Termios {
        Termios(self.ioctl(TCGETS2, 0, &[]).unwrap())
    }

    /// Changes the settings at once, and returns what is read back.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Termios)) -> Termios {
        let mut termios = self.termios();
        change(&mut termios);
        self.ioctl(TCSETS2, 0, &termios.0).unwrap();
        self.termios()
    }

    /// A count of TIOCGICOUNT, by its place.
    pub(crate) fn count(&self, which: Count) -> u32 {
        let counts = self.ioctl(TIOCGICOUNT, 0, &[]).unwrap();
        let at = which as usize * 4;
        u32::from_ne_bytes(counts[at..at + 4].try_into().unwrap())
    }
}

/// The places of the counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
    Cts,
    Dsr,
    Rng,
    Dcd,
    Rx,
    Tx,
    Frame,
    Overrun,
    Parity,
    Brk,
}

/// `struct termios2` in its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Termios(pub(crate) Vec<u8>);

/// The words of the structure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
    Iflag = 0,
    Oflag = 4,
    Cflag = 8,
    Lflag = 12,
    Ispeed = 36,
    Ospeed = 40,
}

impl Termios {
    pub(crate) fn get(&self, word: Word) -> u32 {
        let at = word as usize;
        u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    pub(crate) fn put(&mut self, word: Word, value: u32) {
        let at = word as usize;
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    pub(crate) fn set(&mut self, word: Word, bits: u32) {
        self.put(word, self.get(word) | bits);
    }

    pub(crate) fn clear(&mut self, word: Word, bits: u32) {
        self.put(word, self.get(word) & !bits);
    }

    /// VMIN and VTIME.
    pub(crate) fn put_min_time(&mut self, min: u8, time: u8) {
        self.0[17 + libc::VMIN] = min;
        self.0[17 + libc::VTIME] = time;
    }
}

/// Tries again at each wake-up, as the session does for a request that is parked.
fn blocking<T>(queue: &WaitQueue, mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    let mut result = Err(Errno::EAGAIN);
    let waited = queue.wait_until_timeout(DEADLINE, || {
        result = call();
        !matches!(result, Err(Errno::EAGAIN))
    });
    assert!(waited.is_ready(), "the call blocks for ever");
    result
}

/// Bytes that tell where they come from.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..count).map(|_| next()).collect()
}
