//! A clock with a client on one end and the model's time on the other.

use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pl031::{Rtc, Settings};
use pl031_model::{Controls, Options};
use uio_core::chardev::{CharDevice, File, IoctlArg, IoctlCmd};
use uio_core::device::sim::Models;
use uio_core::device::{Device, DeviceSpec};
use uio_core::error::Errno;
use uio_core::irq::Dispatcher;
use uio_core::softirq::Softirqs;
use uio_core::sync::WaitQueue;

/// How long anything may take that is to happen at once.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const AIE_ON: u32 = 0x7001;
pub(crate) const AIE_OFF: u32 = 0x7002;
pub(crate) const ALM_SET: u32 = 0x4024_7007;
pub(crate) const ALM_READ: u32 = 0x8024_7008;
pub(crate) const RD_TIME: u32 = 0x8024_7009;
pub(crate) const SET_TIME: u32 = 0x4024_700A;
pub(crate) const WKALM_SET: u32 = 0x4028_700F;
pub(crate) const WKALM_RD: u32 = 0x8028_7010;

/// 2026-11-21T12:00:00: what the clock shows at first.
pub(crate) const NOON: u32 = 1_795_262_400;

/// The user who runs the daemon.
pub(crate) const OWNER: u32 = 1000;

/// A word that says: so many alarms.
pub(crate) fn alarms(count: u64) -> u64 {
    count << 8 | 0xA0
}

/// A `struct rtc_time` of the day of [`NOON`].
pub(crate) fn tm(hour: i32, min: i32, sec: i32) -> [i32; 9] {
    [sec, min, hour, 21, 10, 126, 6, 324, 0]
}

/// The bytes of a structure of ints.
pub(crate) fn bytes(words: &[i32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// A `struct rtc_wkalrm`.
pub(crate) fn wkalm(armed: bool, words: &[i32]) -> Vec<u8> {
    [vec![u8::from(armed), 0, 0, 0], bytes(words)].concat()
}

/// Looks again and again until `condition` holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < DEADLINE, "{what} did not come about");
        thread::sleep(Duration::from_millis(1));
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
    pub(crate) rtc: Arc<Rtc>,
    pub(crate) file: File,
}

/// A device with its driver. The fields are in the order of their release.
pub(crate) struct Bench {
    pub(crate) client: Client,
    pub(crate) rtc: Arc<Rtc>,
    pub(crate) world: Controls,
    pub(crate) device: Arc<Device>,
    pub(crate) softirqs: Arc<Softirqs>,
    _dispatcher: Dispatcher,
}

/// A device, before its driver comes.
pub(crate) struct Bare {
    pub(crate) world: Controls,
    pub(crate) device: Arc<Device>,
    softirqs: Arc<Softirqs>,
    dispatcher: Dispatcher,
}

pub(crate) fn bare(options: Options) -> Bare {
    let made = Arc::new(OnceLock::new());
    let tell = Arc::clone(&made);
    let models = Models::new().with("pl031", move || {
        let model = pl031_model::Pl031::with(options)?;
        tell.set(model.controls()).unwrap();
        Ok(model)
    });
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let softirqs = Softirqs::attach(&dispatcher);
    let spec = DeviceSpec::Sim("pl031".to_owned());
    let device = Device::open(&spec, &dispatcher, &models).unwrap();
    let world = made.get().unwrap().clone();
    Bare { world, device, softirqs, dispatcher }
}

/// The driver, for a device that is there.
pub(crate) fn drive(device: &Arc<Device>, softirqs: &Arc<Softirqs>) -> uio_core::Result<Arc<Rtc>> {
    let regs = device.region(0, 0x1000)?;
    let settings = Settings { presence: device.presence(), owner: OWNER };
    Rtc::new("sim", regs, settings, &device.line(0)?, softirqs).map(Arc::new)
}

impl Bare {
    pub(crate) fn softirqs(&self) -> &Arc<Softirqs> {
        &self.softirqs
    }

    pub(crate) fn try_drive(self) -> uio_core::Result<Bench> {
        let Self { world, device, softirqs, dispatcher } = self;
        let rtc = drive(&device, &softirqs)?;
        let client = Client::of(&rtc, 1);
        Ok(Bench { client, rtc, world, device, softirqs, _dispatcher: dispatcher })
    }
}

impl Bench {
    pub(crate) fn with(options: Options) -> Self {
        bare(options).try_drive().unwrap()
    }

    /// At noon.
    pub(crate) fn new() -> Self {
        Self::with(Options { start: NOON, ..Options::default() })
    }

    /// Another open file.
    pub(crate) fn another(&self, handle: u64) -> Client {
        Client::of(&self.rtc, handle)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(self.world.mistakes(), 0, "the driver misused the clock");
        }
    }
}

impl Client {
    pub(crate) fn of(rtc: &Arc<Rtc>, handle: u64) -> Self {
        let file = File { handle, flags: 0, uid: OWNER, gid: 1000, pid: 1 };
        rtc.open(&file).unwrap();
        Self { rtc: Arc::clone(rtc), file }
    }

    /// The same file, opened by another user.
    pub(crate) fn with_user(&self, uid: u32) -> Self {
        Self { file: File { uid, ..self.file }, ..self.clone() }
    }

    /// One trial of a read.
    pub(crate) fn try_read(&self, room: usize) -> Result<Vec<u8>, Errno> {
        let mut buf = vec![0; room];
        let count = self.rtc.read(&self.file, &mut buf)?;
        buf.truncate(count);
        Ok(buf)
    }

    /// A read that may block.
    pub(crate) fn read(&self, room: usize) -> Result<Vec<u8>, Errno> {
        blocking(self.rtc.read_wait(), || self.try_read(room))
    }

    /// What a program reads, when it is there.
    pub(crate) fn word(&self) -> u64 {
        u64::from_ne_bytes(self.read(8).unwrap().try_into().unwrap())
    }

    /// Nothing is there to be read.
    pub(crate) fn assert_silent(&self) {
        assert_eq!(self.try_read(8), Err(Errno::EAGAIN));
    }

    /// What `cat` reads, when it is there.
    pub(crate) fn line(&self) -> String {
        String::from_utf8(self.read(4096).unwrap()).unwrap()
    }

    pub(crate) fn write(&self, text: &str) -> Result<usize, Errno> {
        self.rtc.write(&self.file, text.as_bytes())
    }

    /// An ioctl; what it gives back.
    pub(crate) fn ioctl(&self, cmd: u32, input: &[u8]) -> Result<Vec<u8>, Errno> {
        let cmd = IoctlCmd(cmd);
        let layout = self.rtc.ioctl_layout(cmd);
        assert_eq!(input.len(), layout.input, "bytes that {:#x} takes", cmd.0);
        let (mut state, mut output) = (0, vec![0; layout.output]);
        let mut arg = IoctlArg { value: 0, input, output: &mut output, state: &mut state };
        self.rtc.ioctl(&self.file, cmd, &mut arg)?;
        Ok(output)
    }

    /// An ioctl that gives a structure of ints.
    pub(crate) fn words(&self, cmd: u32) -> Vec<i32> {
        let bytes = self.ioctl(cmd, &[]).unwrap();
        bytes.chunks_exact(4).map(|word| i32::from_ne_bytes(word.try_into().unwrap())).collect()
    }

    /// Whether the alarm is armed, and for when.
    pub(crate) fn alarm(&self) -> (bool, Vec<i32>) {
        let words = self.words(WKALM_RD);
        (words[0].to_ne_bytes()[0] != 0, words[1..].to_vec())
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
