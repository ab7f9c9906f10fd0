//! Models of the pump: every interleaving of a client, a maker of data, a signal and a hang-up.
//!
//! The device is the smallest that can block: a ring of one byte. What is checked at the end of each
//! interleaving: each request has exactly one answer, and no byte is lost or handed out twice.

use super::*;
use crate::sync::WaitQueue;
use crate::sync::facade::thread;

struct OneByte {
    byte: Mutex<Option<u8>>,
    /// Files read apart: the byte is for the second one alone.
    apart: bool,
    read_wait: WaitQueue,
    write_wait: WaitQueue,
}

impl OneByte {
    fn put(&self, byte: u8) {
        *self.byte.lock().unwrap() = Some(byte);
        self.read_wait.wake_all();
    }
}

impl CharDevice for OneByte {
    fn read(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        if self.apart && file.handle & 1 == 0 {
            return Err(Errno::EAGAIN);
        }
        let byte = self.byte.lock().unwrap().take();
        buf[0] = byte.ok_or(Errno::EAGAIN)?;
        self.write_wait.wake_all();
        Ok(1)
    }

    fn write(&self, _file: &File, data: &[u8]) -> Result<usize, Errno> {
        let mut byte = self.byte.lock().unwrap();
        if byte.is_some() {
            return Err(Errno::EAGAIN);
        }
        *byte = Some(data[0]);
        drop(byte);
        self.read_wait.wake_all();
        Ok(1)
    }

    fn poll(&self, _file: &File) -> PollEvents {
        match *self.byte.lock().unwrap() {
            Some(_) => PollEvents::READABLE,
            None => PollEvents::WRITABLE,
        }
    }

    fn reads_apart(&self) -> bool {
        self.apart
    }

    fn read_wait(&self) -> &WaitQueue {
        &self.read_wait
    }

    fn write_wait(&self) -> &WaitQueue {
        &self.write_wait
    }
}

/// What a client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Byte(u8),
    Taken,
    Ready(PollEvents),
    Failed(Errno),
    LookAgain,
}

/// Answers, by the number of the request.
#[derive(Default)]
struct Answers(Mutex<Vec<(u64, Told)>>);

impl Answer for Answers {
    fn answer(&self, owed: Owed, reply: &Reply<'_>) -> Result<(), Errno> {
        let told = match reply {
            Reply::Data(data) => Told::Byte(data[0]),
            Reply::Written(_) => Told::Taken,
            Reply::Polled(out) => Told::Ready(PollEvents::from_bits_retain(out.revents)),
            Reply::Error(errno) => Told::Failed(*errno),
            other => panic!("{other:?}"),
        };
        self.0.lock().unwrap().push((owed.unique(), told));
        Ok(())
    }

    fn wake_poller(&self, kernel_handle: u64) {
        self.0.lock().unwrap().push((kernel_handle, Told::LookAgain));
    }
}

const NOBODYS: File = File { handle: 0, flags: 0, uid: 0, gid: 0, pid: 0 };

struct Node {
    device: Arc<OneByte>,
    pump: Arc<Pump<Answers>>,
    file: File,
    wakes: [Arc<dyn Wake>; 2],
}

impl Node {
    fn new(byte: Option<u8>) -> Arc<Self> {
        Self::with(byte, false)
    }

    fn with(byte: Option<u8>, apart: bool) -> Arc<Self> {
        let device = Arc::new(OneByte {
            byte: Mutex::new(byte),
            apart,
            read_wait: WaitQueue::new(),
            write_wait: WaitQueue::new(),
        });
        let pump = Arc::new(Pump::new(device.clone(), Answers::default()));
        let wakes = [DUE_READS, DUE_WRITES]
            .map(|due| -> Arc<dyn Wake> { Arc::new(Retry { pump: Arc::clone(&pump), due }) });
        device.read_wait.subscribe(&wakes[0]);
        device.write_wait.subscribe(&wakes[1]);
        let file = pump.table().open(NOBODYS);
        Arc::new(Self { device, pump, file, wakes })
    }

    fn call(&self) -> Call {
        Call { handle: self.file.handle, flags: 0, continuation: false }
    }

    fn read(&self, unique: u64) {
        self.pump.read(Owed::new(unique), self.call(), &mut [0]);
    }

    fn write(&self, unique: u64, byte: u8) {
        self.pump.write(Owed::new(unique), self.call(), &[byte]);
    }

    /// What the clients were told, by request; and the subscriptions end, so that nothing leaks.
    fn told(&self) -> Vec<(u64, Told)> {
        self.device.read_wait.unsubscribe(&self.wakes[0]);
        self.device.write_wait.unsubscribe(&self.wakes[1]);
        let mut told = self.pump.out().0.lock().unwrap().clone();
        told.sort_by_key(|(unique, _)| *unique);
        told
    }

    fn byte(&self) -> Option<u8> {
        *self.device.byte.lock().unwrap()
    }
}

/// Runs `work` on a thread of the model.
fn start(node: &Arc<Node>, work: impl FnOnce(&Node) + 'static) -> thread::JoinHandle<()> {
    let node = Arc::clone(node);
    thread::spawn(move || work(&node))
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    // Three forced switches reach every defect of this kind that is known; without a bound it takes hours.
    model.preemption_bound = Some(3);
    model.check(check);
}

/// A read that is about to be parked, and the byte that it waits for.
#[test]
fn loom_a_read_is_parked_or_finds_the_byte_and_no_wake_up_is_lost() {
    model(|| {
        let node = Node::new(None);
        let maker = start(&node, |node| node.device.put(7));
        node.read(2);
        maker.join().unwrap();
        assert_eq!(node.told(), [(2, Told::Byte(7))]);
        assert_eq!(node.byte(), None);
    });
}

/// A parked read, a signal to its client, and the byte: one answer; the byte is the client's or still there.
#[test]
fn loom_a_signal_and_a_byte_give_one_answer() {
    model(|| {
        let node = Node::new(None);
        node.read(2);
        let maker = start(&node, |node| node.device.put(7));
        node.pump.interrupt(2);
        maker.join().unwrap();
        match node.told()[..] {
            [(2, Told::Byte(7))] => assert_eq!(node.byte(), None),
            [(2, Told::Failed(Errno::EINTR))] => assert_eq!(node.byte(), Some(7)),
            ref other => panic!("{other:?}"),
        }
    });
}

/// A signal that comes while a pass tries the request, in vain: the pass finds the mark and answers.
#[test]
fn loom_a_signal_during_a_trial_is_not_lost() {
    model(|| {
        let node = Node::new(None);
        node.read(2);
        let waker = start(&node, |node| node.device.read_wait.wake_all());
        node.pump.interrupt(2);
        waker.join().unwrap();
        assert_eq!(node.told(), [(2, Told::Failed(Errno::EINTR))]);
    });
}

/// The same, and the device goes away meanwhile.
#[test]
fn loom_a_signal_a_hang_up_and_a_byte_give_one_answer() {
    model(|| {
        let node = Node::new(None);
        node.read(2);
        let maker = start(&node, |node| node.device.put(7));
        let unplug = start(&node, |node| node.pump.hang_up(Errno::ENODEV));
        node.pump.interrupt(2);
        maker.join().unwrap();
        unplug.join().unwrap();
        match node.told()[..] {
            [(2, Told::Byte(7))] => assert_eq!(node.byte(), None),
            [(2, Told::Failed(Errno::EINTR | Errno::ENODEV))] => assert_eq!(node.byte(), Some(7)),
            ref other => panic!("{other:?}"),
        }
    });
}

/// A read that arrives while the device goes away is not parked for ever.
#[test]
fn loom_a_read_that_meets_a_hang_up_is_answered() {
    model(|| {
        let node = Node::new(None);
        let unplug = start(&node, |node| node.pump.hang_up(Errno::ENODEV));
        node.read(2);
        unplug.join().unwrap();
        assert_eq!(node.told(), [(2, Told::Failed(Errno::ENODEV))]);
    });
}

/// Taking the byte wakes the writers from inside the read: the parked write is done all the same.
#[test]
fn loom_a_wake_up_within_a_wake_up_serves_the_parked_write() {
    model(|| {
        let node = Node::new(Some(1));
        let writer = start(&node, |node| node.write(4, 2));
        node.read(2);
        writer.join().unwrap();
        assert_eq!(node.told(), [(2, Told::Byte(1)), (4, Told::Taken)]);
        assert_eq!(node.byte(), Some(2));
    });
}

/// Two passes at once, on the threads of two wakers, with two parked reads: each byte to one of them, in order.
#[test]
fn loom_two_wakers_serve_two_reads() {
    model(|| {
        let node = Node::new(None);
        node.read(2);
        node.read(4);
        let writer = start(&node, |node| node.write(6, 1));
        node.write(8, 2);
        writer.join().unwrap();
        let told = node.told();
        let bytes: Vec<_> = told[..2].iter().map(|(_, told)| *told).collect();
        assert!(
            bytes == [Told::Byte(1), Told::Byte(2)] || bytes == [Told::Byte(2), Told::Byte(1)],
            "{told:?}"
        );
        assert_eq!(told[2..], [(6, Told::Taken), (8, Told::Taken)]);
    });
}

/// Where files read apart: the one that waits in front, for what never comes, keeps the byte from nobody.
#[test]
fn loom_a_read_that_waits_holds_up_no_other_file() {
    model(|| {
        let node = Node::with(None, true);
        let handle = node.pump.table().open(NOBODYS).handle;
        node.read(2);
        let maker = start(&node, |node| node.device.put(7));
        node.pump.read(Owed::new(4), Call { handle, ..node.call() }, &mut [0]);
        maker.join().unwrap();
        node.pump.hang_up(Errno::ENODEV);
        assert_eq!(node.told(), [(2, Told::Failed(Errno::ENODEV)), (4, Told::Byte(7))]);
    });
}

/// A poller sees the byte in the answer, or is told to look again.
#[test]
fn loom_a_poller_learns_of_the_byte() {
    const KERNEL_HANDLE: u64 = 9;
    model(|| {
        let node = Node::new(None);
        let maker = start(&node, |node| node.device.put(7));
        let ask = PollIn {
            fh: node.file.handle,
            kh: KERNEL_HANDLE,
            flags: POLL_SCHEDULE_NOTIFY,
            events: PollEvents::IN.bits(),
        };
        node.pump.poll(Owed::new(2), &ask);
        maker.join().unwrap();
        let told = node.told();
        assert!(
            told.contains(&(2, Told::Ready(PollEvents::READABLE)))
                || told.contains(&(KERNEL_HANDLE, Told::LookAgain)),
            "{told:?}"
        );
    });
}
