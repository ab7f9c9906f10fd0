//! The device behind the node: what is written can be read, in order, through a ring of a few bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use uio_core::Errno;
use uio_core::chardev::{CharDevice, File, IoctlArg, IoctlCmd, PollEvents, WaitingCall};
use uio_core::sync::WaitQueue;

/// `_IOWR('U', 1, [u8; 8])`: gives the bytes back, each one higher.
pub(crate) const BUMP: u32 = 0xC008_5501;
/// `_IO('U', 2)`: returns its argument.
pub(crate) const ECHO_VALUE: u32 = 0x5502;
/// `_IO('U', 3)`: waits until the device holds no byte, and returns how often it looked.
pub(crate) const DRAIN: u32 = 0x5503;

pub(crate) struct Loopback {
    capacity: usize,
    /// Written, and not looped back yet. Empty on a device that loops back at once.
    tx: Mutex<VecDeque<u8>>,
    rx: Mutex<VecDeque<u8>>,
    /// A thread of its own moves the bytes, as a bottom half would.
    threaded: bool,
    work: WaitQueue,
    read_wait: WaitQueue,
    write_wait: WaitQueue,
    /// A release waits as long as this is set.
    pub(crate) hold_release: AtomicBool,
    pub(crate) opened: AtomicUsize,
    pub(crate) released: AtomicUsize,
    /// The calls that a signal ended while they waited.
    pub(crate) given_up: Mutex<Vec<WaitingCall>>,
}

impl Loopback {
    pub(crate) fn new(capacity: usize, threaded: bool) -> Arc<Self> {
        let device = Arc::new(Self {
            capacity,
            tx: Mutex::default(),
            rx: Mutex::default(),
            threaded,
            work: WaitQueue::new(),
            read_wait: WaitQueue::new(),
            write_wait: WaitQueue::new(),
            hold_release: AtomicBool::new(false),
            opened: AtomicUsize::new(0),
            released: AtomicUsize::new(0),
            given_up: Mutex::default(),
        });
        if threaded {
            let device = Arc::clone(&device);
            thread::spawn(move || device.bottom_half());
        }
        device
    }

    /// The thread ends with the process.
    fn bottom_half(&self) -> ! {
        loop {
            self.work.wait_until(|| self.movable() > 0);
            self.move_on();
            self.read_wait.wake_all();
            self.write_wait.wake_all();
        }
    }

    /// Bytes in the device, none of them between the rings.
    pub(crate) fn held(&self) -> usize {
        let tx = self.tx.lock().unwrap();
        tx.len() + self.rx.lock().unwrap().len()
    }

    fn movable(&self) -> usize {
        let tx = self.tx.lock().unwrap();
        tx.len().min(self.capacity - self.rx.lock().unwrap().len())
    }

    fn move_on(&self) {
        let mut tx = self.tx.lock().unwrap();
        let mut rx = self.rx.lock().unwrap();
        let count = tx.len().min(self.capacity - rx.len());
        rx.extend(tx.drain(..count));
    }

    fn input(&self) -> &Mutex<VecDeque<u8>> {
        if self.threaded { &self.tx } else { &self.rx }
    }
}

impl CharDevice for Loopback {
    fn open(&self, _file: &File) -> Result<(), Errno> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn release(&self, _file: &File) {
        while self.hold_release.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        self.released.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self, _file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        let mut rx = self.rx.lock().unwrap();
        if rx.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let count = buf.len().min(rx.len());
        buf.iter_mut().zip(rx.drain(..count)).for_each(|(to, byte)| *to = byte);
        drop(rx);
        if self.threaded {
            self.work.wake_all();
        } else {
            self.write_wait.wake_all();
        }
        Ok(count)
    }

    fn write(&self, _file: &File, data: &[u8]) -> Result<usize, Errno> {
        let mut input = self.input().lock().unwrap();
        let count = data.len().min(self.capacity - input.len());
        if count == 0 {
            return Err(Errno::EAGAIN);
        }
        input.extend(&data[..count]);
        drop(input);
        if self.threaded {
            self.work.wake_all();
        } else {
            self.read_wait.wake_all();
        }
        Ok(count)
    }

    fn poll(&self, _file: &File) -> PollEvents {
        let mut events = PollEvents::empty();
        if !self.rx.lock().unwrap().is_empty() {
            events |= PollEvents::READABLE;
        }
        if self.input().lock().unwrap().len() < self.capacity {
            events |= PollEvents::WRITABLE;
        }
        events
    }

    fn ioctl(&self, _file: &File, cmd: IoctlCmd, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
        match cmd.0 {
            BUMP => {
                for (to, from) in arg.output.iter_mut().zip(arg.input) {
                    *to = from + 1;
                }
                Ok(7)
            }
            ECHO_VALUE => Ok(arg.value as i32),
            DRAIN => {
                *arg.state += 1;
                if self.held() > 0 { Err(Errno::EAGAIN) } else { Ok(*arg.state as i32) }
            }
            _ if cmd == IoctlCmd::FIONREAD => {
                let bytes = self.rx.lock().unwrap().len() as i32;
                arg.output.copy_from_slice(&bytes.to_ne_bytes());
                Ok(0)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn interrupted(&self, _file: &File, call: WaitingCall) {
        self.given_up.lock().unwrap().push(call);
    }

    fn ioctl_waits(&self, cmd: IoctlCmd) -> bool {
        cmd.0 == DRAIN
    }

    fn read_wait(&self) -> &WaitQueue {
        &self.read_wait
    }

    fn write_wait(&self) -> &WaitQueue {
        &self.write_wait
    }
}
