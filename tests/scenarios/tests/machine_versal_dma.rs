//! The DMA engine of the board "versal": 1 GiB copied with checksums, many copies in flight, what is refused before it
//! reaches the engine, the end of a device under use, and a channel without memory of its own.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::errno::Errno;
use scenarios::daemon::{Daemon, Launch};
use scenarios::zdma::{Completion, Copy, Zdma, checksum, pattern};
use scenarios::{client, task, uioctl, wait, world};

const CHANNEL: &str = "of:/dma@ffa80000";
const WITHOUT_MEMORY: &str = "of:/dma@ffa90000";
const PLATFORM: &str = "/sys/bus/platform/drivers/uio_pdrv_genirq";

const MIB: usize = 1 << 20;

/// One story at a time has the channels.
static CHANNELS: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    world::require_machine("versal");
    CHANNELS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn launch(device: &str) -> Launch {
    Launch::with(&["run", device, "--node-kind", world::node_kind().name()])
}

fn copy(src: u64, dst: u64, len: u64, cookie: u64) -> Copy {
    Copy { src, dst, len, cookie }
}

/// Bytes that the engine says it has moved since the board was started, modulo 2^32.
fn total_bytes(daemon: &Daemon) -> u64 {
    let run_dir = daemon.home().run();
    let run_dir = run_dir.to_str().expect("a path in ASCII");
    let args = ["peek", CHANNEL, "TotalByte", "--json", "--run-dir", run_dir];
    let told = uioctl::run(&args).json();
    told["values"][0].as_u64().unwrap_or_else(|| panic!("a number in {told}"))
}

#[test]
fn echo_and_cat_go_through_the_engine() {
    let _alone = alone();
    let daemon = launch(CHANNEL).start();
    let text = client::shell(daemon.node(), r#"echo Hello > "$NODE"; cat "$NODE" "$NODE""#).text();
    assert_eq!(text, "Hello\nHello\n");
    let stats = Zdma::open(daemon.node()).stats();
    assert_eq!((stats.copies, stats.errors, stats.lost_interrupts), (1, 0, 0));
}

/// Blocks that the engine moves to and fro between the halves of the memory.
struct Blocks {
    node: Box<Path>,
    queue: Zdma,
    half: u64,
    /// What each place of the half that is full is to hold, as checksums.
    expected: Vec<(u64, u64)>,
    data: Vec<u8>,
}

impl Blocks {
    const LEN: usize = MIB;
    const COUNT: usize = 16;

    /// Fills the first half, each block with bytes of its own.
    fn fill(node: &Path) -> Self {
        let queue = Zdma::queue(node);
        let mut memory = Zdma::memory(node, 0);
        let mut expected = Vec::new();
        for index in 0..Self::COUNT {
            let data = pattern(index as u64, Self::LEN);
            memory.put(&data);
            expected.push(checksum(&data));
        }
        let half = (queue.info().bytes / 2) & !0xFFFF;
        assert!(half >= (Self::COUNT * Self::LEN) as u64, "the carve-out is large enough");
        Self { node: node.into(), queue, half, expected, data: vec![0; Self::LEN] }
    }

    /// Has all blocks copied to the other half at once, to other places in each round; and reads what arrived.
    fn round(&mut self, round: usize) {
        let (from, to) = if round.is_multiple_of(2) { (0, self.half) } else { (self.half, 0) };
        let place = |index: usize| (index * 5 + round) % Self::COUNT;
        let at = |half: u64, index: usize| half + (index * Self::LEN) as u64;
        let copies: Vec<Copy> = (0..Self::COUNT)
            .map(|index| {
                copy(at(from, index), at(to, place(index)), Self::LEN as u64, index as u64)
            })
            .collect();
        assert_eq!(self.queue.write_copies(&copies).unwrap(), Self::COUNT, "all are in flight");
        let mut ended = Vec::new();
        while ended.len() < Self::COUNT {
            ended.extend(self.queue.read_completions(Self::COUNT).unwrap());
        }
        let well = (0..Self::COUNT as u64).map(|cookie| Completion { cookie, error: 0 });
        assert_eq!(ended, well.collect::<Vec<_>>());
        let mut expected = self.expected.clone();
        for (index, sum) in self.expected.iter().enumerate() {
            expected[place(index)] = *sum;
        }
        let mut memory = Zdma::memory(&self.node, to);
        for (index, sum) in expected.iter().enumerate() {
            memory.get(&mut self.data);
            assert_eq!(checksum(&self.data), *sum, "round {round}, block {index}");
        }
        self.expected = expected;
    }
}

#[test]
fn a_gibibyte_is_copied_with_the_checksum_of_every_block_that_arrives() {
    let _alone = alone();
    let daemon = launch(CHANNEL).start();
    let before = total_bytes(&daemon);
    let mut blocks = Blocks::fill(daemon.node());
    let start = Instant::now();
    for round in 0..1024 / Blocks::COUNT {
        blocks.round(round);
    }
    let stats = blocks.queue.stats();
    println!("1 GiB copied and checked in {:?}; {stats:?}", start.elapsed());
    assert_eq!((stats.copies, stats.bytes), (1024, 1 << 30));
    assert_eq!((stats.errors, stats.lost_interrupts, stats.refused), (0, 0, 0));
    assert!(stats.interrupts <= 1024, "one for a copy at most");
    assert_eq!(
        total_bytes(&daemon).wrapping_sub(before) & 0xFFFF_FFFF,
        1 << 30,
        "as the engine counts"
    );
}

#[test]
fn several_clients_have_copies_in_flight_at_once_and_each_hears_of_its_own() {
    let _alone = alone();
    let daemon = launch(CHANNEL).start();
    let node = daemon.node().to_owned();
    let clients = (0..4_u64).map(|client| {
        let node = node.clone();
        task::spawn(move || {
            let (mut queue, base) = (Zdma::queue(&node), client * MIB as u64);
            let data = pattern(client, 4096);
            Zdma::memory(&node, base).put(&data);
            let copies: Vec<Copy> = (1..200)
                .map(|index| copy(base, base + index * 4096, 4096, client << 32 | index))
                .collect();
            let mut queued = 0;
            while queued < copies.len() {
                queued += queue.write_copies(&copies[queued..]).unwrap();
            }
            let mut ended = Vec::new();
            while ended.len() < copies.len() {
                ended.extend(queue.read_completions(64).unwrap());
            }
            let well = copies.iter().map(|copy| Completion { cookie: copy.cookie, error: 0 });
            assert_eq!(ended, well.collect::<Vec<_>>());
            let mut back = vec![0; 4096];
            let mut memory = Zdma::memory(&node, base);
            for index in 0..200 {
                memory.get(&mut back);
                assert!(back == data, "copy {index} of client {client}");
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    clients.into_iter().for_each(|client| client.finish("a client"));
    assert_eq!(Zdma::open(daemon.node()).stats().copies, 4 * 199);
}

#[test]
fn what_is_wrong_is_refused_before_it_reaches_the_engine() {
    let _alone = alone();
    let daemon = launch(CHANNEL).start();
    let mut queue = Zdma::queue(daemon.node());
    let info = queue.info();
    let (align, end) = (u64::from(info.align), info.bytes);
    let before = total_bytes(&daemon);
    let wrong = [
        ("no bytes", 0, MIB as u64, 0, Errno::EINVAL),
        ("a source between beats", align / 2, MIB as u64, align, Errno::EINVAL),
        ("a destination between beats", 0, MIB as u64 + 1, align, Errno::EINVAL),
        ("half a beat", 0, MIB as u64, align / 2, Errno::EINVAL),
        ("onto itself", 0, 4096, 8192, Errno::EINVAL),
        ("a source behind the end", end, 0, align, Errno::ERANGE),
        ("a destination across the end", 0, end - align, 2 * align, Errno::ERANGE),
        ("more than there is", 0, align, end, Errno::ERANGE),
        ("a source that overflows", u64::MAX - align + 1, 0, 2 * align, Errno::ERANGE),
        ("a length that overflows", align, 2 * align, u64::MAX - align + 1, Errno::ERANGE),
    ];
    for (what, src, dst, len, errno) in wrong {
        let copy = copy(src, dst, len, 1);
        assert_eq!(queue.submit(&copy), Err(errno), "{what}, by ioctl");
        let error = queue.write_copies(&[copy]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno as i32), "{what}, by write");
    }
    assert_eq!(total_bytes(&daemon), before, "the engine has moved nothing");
    let stats = queue.stats();
    assert_eq!((stats.interrupts, stats.copies, stats.errors), (0, 0, 0));
    assert_eq!(stats.refused, 2 * wrong.len() as u64);
    assert_eq!(queue.wait(), Err(Errno::ENODATA));
    queue.submit(&copy(0, 4096, 4096, 9)).unwrap();
    assert_eq!(queue.wait(), Ok(Completion { cookie: 9, error: 0 }), "what is right is done");
}

/// The name of the device that the kernel's driver has for the node of the first channel.
fn platform_device() -> String {
    let entries = fs::read_dir(PLATFORM).expect("the driver is there").flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.find(|name| name.starts_with("ffa80000")).expect("the channel is bound")
}

fn tell_driver(what: &str, device: &str) {
    fs::write(format!("{PLATFORM}/{what}"), device)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
}

/// Copies until that fails, and tells why.
fn use_until_it_fails(node: &Path) -> i32 {
    let mut queue = Zdma::queue(node);
    loop {
        let copies: Vec<Copy> =
            (0..32).map(|index| copy(0, (1 + index) * MIB as u64 / 2, 64 << 10, index)).collect();
        if let Err(error) = queue.write_copies(&copies) {
            return error.raw_os_error().unwrap_or(0);
        }
        match queue.read_completions(64) {
            Ok(ended) => {
                if let Some(failed) = ended.iter().find(|completion| completion.error != 0) {
                    return failed.error;
                }
            }
            Err(error) => return error.raw_os_error().unwrap_or(0),
        }
    }
}

#[test]
fn clients_of_a_device_that_is_unbound_get_enodev_and_it_can_be_bound_again() {
    let _alone = alone();
    let device = platform_device();
    let daemon = launch(CHANNEL).start();
    let node = daemon.node().to_owned();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let node = node.clone();
            task::spawn(move || use_until_it_fails(&node))
        })
        .collect();
    wait::until("traffic", || daemon.status().line("raised") > 20);
    let unbound = device.clone();
    task::spawn(move || tell_driver("unbind", &unbound)).finish("the unbinding");
    for client in clients {
        assert_eq!(client.finish("a client that hears of it"), Errno::ENODEV as i32);
    }
    let end = daemon.wait_for_end();
    assert!(end.log.contains("gone") || end.log.contains("unbound"), "{}", end.log);
    tell_driver("bind", &device);
    let again: Daemon = launch(CHANNEL).start();
    let text = client::shell(again.node(), r#"echo again > "$NODE"; cat "$NODE""#).text();
    assert_eq!(text, "again\n");
}

const HUGE_PAGES: &str = "/proc/sys/vm/nr_hugepages";

#[test]
fn without_memory_of_its_own_a_channel_needs_the_users_word_and_a_huge_page() {
    let _alone = alone();
    fs::write(HUGE_PAGES, "0").unwrap();
    let words = ["carve-out", "--i-accept-dma-risk"];
    launch(WITHOUT_MEMORY).refused_and_left_nothing().assert(1, &words);
    let kind = world::node_kind().name();
    let risky = || {
        let args = ["run", WITHOUT_MEMORY, "--i-accept-dma-risk", "--node-kind", kind];
        Launch::with(&args)
    };
    risky().refused_and_left_nothing().assert(1, &["2 MiB", "1 too few", "nr_hugepages"]);
    fs::write(HUGE_PAGES, "1").unwrap();
    let daemon = risky().start();
    assert!(daemon.log().contains("of which the kernel does not know"), "{}", daemon.log());
    let text = client::shell(daemon.node(), r#"echo Hello > "$NODE"; cat "$NODE""#).text();
    assert_eq!(text, "Hello\n");
    copy_in_a_huge_page(daemon.node());
    drop(daemon);
    fs::write(HUGE_PAGES, "0").unwrap();
}

fn copy_in_a_huge_page(node: &Path) {
    let queue = Zdma::queue(node);
    let info = queue.info();
    assert_eq!((info.bytes, info.bus % (2 * MIB as u64)), ((2 * MIB - (64 << 10)) as u64, 0));
    assert_ne!(info.bus, 0, "no page is at 0");
    let data = pattern(77, MIB / 2);
    Zdma::memory(node, 0).put(&data);
    queue.submit(&copy(0, MIB as u64, MIB as u64 / 2, 7)).unwrap();
    assert_eq!(queue.wait(), Ok(Completion { cookie: 7, error: 0 }));
    let mut back = vec![0; data.len()];
    Zdma::memory(node, MIB as u64).get(&mut back);
    assert!(back == data, "what the engine wrote is in this page");
}
