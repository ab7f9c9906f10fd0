use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn file() -> File {
    File { handle: 0, flags: 0, uid: 1, gid: 2, pid: 3 }
}

fn read_job(file: File, unique: u64) -> Job {
    Job { owed: Owed::new(unique), file, work: Work::Read(1) }
}

fn work(direction: Direction) -> Work {
    match direction {
        Direction::Read => Work::Read(1),
        Direction::Write => Work::Write([0].into()),
        Direction::Ioctl => Work::Ioctl(Waiting {
            cmd: IoctlCmd(0x5409),
            value: 1,
            input: [].into(),
            output: 0,
            state: 0,
        }),
    }
}

#[test]
fn a_handle_is_never_used_twice() {
    let mut table = Table::default();
    let first = table.open(file());
    assert_eq!(table.close(first.handle), Some(first));
    let second = table.open(file());
    assert_ne!(first.handle, second.handle);
    assert_eq!(table.file(first.handle), Err(Errno::EBADF));
    assert_eq!(table.close(first.handle), None);
    assert_eq!(table.file(second.handle), Ok(second));
}

#[test]
fn flags_are_those_of_the_last_call() {
    let mut table = Table::default();
    let handle = table.open(file()).handle;
    let admission = table.admit_io(Direction::Read, handle, libc::O_NONBLOCK);
    assert!(matches!(admission, Admission::Try(file) if file.flags == libc::O_NONBLOCK));
    assert_eq!(table.file(handle).unwrap().flags, libc::O_NONBLOCK);
}

#[test]
fn jobs_are_claimed_in_order_of_arrival_and_put_back_in_front() {
    let mut table = Table::default();
    let file = table.open(file());
    for unique in [2, 4] {
        table.park(read_job(file, unique)).unwrap();
    }
    assert!(matches!(table.admit_io(Direction::Read, file.handle, 0), Admission::Queue(_)));
    assert!(matches!(table.admit_io(Direction::Write, file.handle, 0), Admission::Try(_)));
    let first = table.claim(Direction::Read).unwrap();
    assert_eq!(first.owed.unique(), 2);
    assert_eq!(table.claim(Direction::Read), None, "one at a time");
    table.put_back(first).unwrap();
    for unique in [2, 4] {
        assert_eq!(table.claim(Direction::Read).unwrap().owed.unique(), unique);
        table.settle(Direction::Read);
    }
    assert_eq!(table.stats().waiting_readers, 0);
}

#[test]
fn an_ioctl_that_is_put_back_goes_behind_the_others() {
    let mut table = Table::default();
    let file = table.open(file());
    for unique in [2, 4] {
        let job = Job { owed: Owed::new(unique), file, work: work(Direction::Ioctl) };
        table.park(job).unwrap();
    }
    for unique in [2, 4, 2] {
        let job = table.claim(Direction::Ioctl).unwrap();
        assert_eq!(job.owed.unique(), unique);
        table.put_back(job).unwrap();
    }
    assert_eq!(table.interrupt(2).map(|job| job.owed), Some(Owed::new(2)));
    assert_eq!(table.waiting(Direction::Ioctl), 1);
}

#[test]
fn reads_of_files_that_read_apart_hold_nobody_up() {
    let mut table = Table::new(true);
    let [first, second] = [table.open(file()), table.open(file())];
    table.park(read_job(first, 1)).unwrap();
    assert_eq!(table.admit_io(Direction::Read, second.handle, 0), Admission::Try(second));
    table.park(read_job(second, 2)).unwrap();
    for unique in [1, 2, 1] {
        let job = table.claim(Direction::Read).unwrap();
        assert_eq!(job.owed.unique(), unique);
        table.put_back(job).unwrap();
    }
    assert!(matches!(table.admit_io(Direction::Write, second.handle, 0), Admission::Try(_)));
}

#[test]
fn after_a_hang_up_everything_is_refused_with_the_first_error() {
    let mut table = Table::default();
    let file = table.open(file());
    table.park(read_job(file, 2)).unwrap();
    assert_eq!(table.hang_up(Errno::ENODEV), [Owed::new(2)]);
    assert!(table.hang_up(Errno::EIO).is_empty());
    assert_eq!(table.admit(), Err(Errno::ENODEV));
    assert_eq!(table.park(read_job(file, 4)), Err((Owed::new(4), Errno::ENODEV)));
}

#[test]
fn pollers_of_one_file_add_up_and_end_together() {
    let mut table = Table::default();
    let file = table.open(file());
    table.arm(file.handle, 7, PollEvents::IN);
    table.arm(file.handle, 7, PollEvents::OUT);
    let mut list = Vec::new();
    table.pollers_into(&mut list);
    let events = PollEvents::IN | PollEvents::OUT;
    assert_eq!(list, [Poller { file, kernel_handle: 7, events }]);
    assert!(table.disarm(file.handle));
    assert!(!table.disarm(file.handle));
    table.arm(file.handle, 7, PollEvents::IN);
    assert_eq!(table.stats().pollers, 1);
    table.close(file.handle);
    assert_eq!(table.stats().pollers, 0, "closing disarms");
}

#[test]
fn a_read_goes_on_only_where_a_piece_ended() {
    let mut table = Table::default();
    let handle = table.open(file()).handle;
    assert!(!table.continues(handle, 0, Some(100)), "the first piece");
    assert!(table.continues(handle, 100, Some(200)), "the second");
    assert!(table.continues(handle, 200, None), "the last, a small one");
    assert!(!table.continues(handle, 250, None), "a position that splice counts");
    assert!(!table.continues(handle, 0, None));
}

#[test]
fn locks_of_open_files_exclude_each_other_until_they_close() {
    let mut table = Table::default();
    let [a, b, c] = [(); 3].map(|()| table.open(file()).handle);
    assert_eq!(table.lock(a, Some(Lock::Shared)), Ok(()));
    assert_eq!(table.lock(b, Some(Lock::Shared)), Ok(()));
    assert_eq!(table.lock(c, Some(Lock::Exclusive)), Err(Errno::EAGAIN));
    assert_eq!(table.lock(a, None), Ok(()));
    table.close(b);
    assert_eq!(table.lock(c, Some(Lock::Exclusive)), Ok(()));
    assert_eq!(table.lock(c, Some(Lock::Shared)), Ok(()), "its own lock is no obstacle");
    assert_eq!(table.lock(b, None), Err(Errno::EBADF));
}

#[derive(Debug, Clone)]
enum Step {
    Park(Direction),
    Claim(Direction),
    PutBack(Direction),
    Settle(Direction),
    Interrupt(u64),
    HangUp,
}

const ALL: [Direction; 3] = [Direction::Read, Direction::Write, Direction::Ioctl];

fn step() -> impl Strategy<Value = Step> {
    let direction = || proptest::sample::select(&ALL);
    prop_oneof![
        4 => direction().prop_map(Step::Park),
        4 => direction().prop_map(Step::Claim),
        3 => direction().prop_map(Step::PutBack),
        2 => direction().prop_map(Step::Settle),
        3 => (0..40_u64).prop_map(Step::Interrupt),
        1 => Just(Step::HangUp),
    ]
}

/// The table with a clerk who notes which requests are open.
struct Audited {
    table: Table,
    file: File,
    next: u64,
    open: BTreeSet<u64>,
    claimed: [Option<Job>; 3],
}

impl Audited {
    /// The request is answered: it must have been open.
    fn answer(&mut self, owed: &Owed) {
        assert!(self.open.remove(&owed.unique()), "{owed:?} is answered twice");
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Park(direction) => {
                let work = work(direction);
                self.open.insert(self.next);
                let job = Job { owed: Owed::new(self.next), file: self.file, work };
                self.next += 1;
                if let Err((owed, _)) = self.table.park(job) {
                    self.answer(&owed);
                }
            }
            // The pump claims one at a time.
            Step::Claim(direction) if self.claimed[direction as usize].is_none() => {
                self.claimed[direction as usize] = self.table.claim(direction);
            }
            Step::PutBack(direction) => {
                let Some(job) = self.claimed[direction as usize].take() else { return };
                if let Err((job, _)) = self.table.put_back(job) {
                    self.answer(&job.owed);
                }
            }
            Step::Settle(direction) => {
                let Some(job) = self.claimed[direction as usize].take() else { return };
                self.table.settle(direction);
                self.answer(&job.owed);
            }
            Step::Interrupt(unique) => {
                if let Some(job) = self.table.interrupt(unique) {
                    assert_eq!(job.owed.unique(), unique);
                    self.answer(&job.owed);
                }
            }
            Step::HangUp => {
                for owed in self.table.hang_up(Errno::ENODEV) {
                    self.answer(&owed);
                }
            }
            Step::Claim(_) => {}
        }
    }
}

proptest! {
    #[test]
    fn every_request_is_handed_out_exactly_once(steps in vec(step(), 0..120), apart: bool) {
        let mut table = Table::new(apart);
        let file = table.open(file());
        let mut audited = Audited {
            table,
            file,
            next: 0,
            open: BTreeSet::new(),
            claimed: [None, None, None],
        };
        let end = ALL.map(Step::PutBack);
        for step in steps.iter().chain([&Step::HangUp]).chain(&end) {
            audited.take(step);
        }
        prop_assert!(audited.open.is_empty(), "{:?} are never answered", audited.open);
        let stats = audited.table.stats();
        let waiting = stats.waiting_readers + stats.waiting_writers + stats.waiting_ioctls;
        prop_assert_eq!(waiting, 0);
    }
}
