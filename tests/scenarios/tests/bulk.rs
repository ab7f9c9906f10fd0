//! 64 MiB of random bytes through the node and back, while others poll and one of them dies again and again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use scenarios::client::{self, Client};
use scenarios::daemon::Daemon;
use scenarios::{fd, task};

const MIB: u64 = 64;

/// How long the bytes may take. The bench emulates its processor.
const PATIENCE: Duration = Duration::from_secs(900);

/// How long a poller sleeps at the most before it looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

const STORY: &str = "sixty_four_mebibytes_come_back_as_they_were";

#[test]
fn sixty_four_mebibytes_come_back_as_they_were() {
    if let Some(node) = client::role() {
        poll_for_ever(&node);
    }
    let daemon = Daemon::start();
    let file = daemon.home().path().join("random");
    client::random_file(&file, MIB << 20);
    let sum = checksum(&file);

    let wanted = Arc::new(AtomicBool::new(true));
    let (node, polls) = (daemon.node().to_owned(), Arc::clone(&wanted));
    let poller = task::spawn(move || poll_while(&node, &polls));
    let (node, kills) = (daemon.node().to_owned(), Arc::clone(&wanted));
    let killer = task::spawn(move || kill_while(&node, &kills));

    let start = Instant::now();
    let script = format!(
        r#"
        dd if={} of="$NODE" bs=64k 2> /dev/null &
        dd if="$NODE" bs=1M count={MIB} iflag=fullblock 2> /dev/null | sha256sum
        wait
        "#,
        file.display(),
    );
    let ended = Client::shell(daemon.node(), &script).finish_within("the copy", PATIENCE);
    let took = start.elapsed();
    wanted.store(false, Ordering::Relaxed);
    let (events, killed) = (poller.finish("the poller"), killer.finish("the killer"));
    println!("{MIB} MiB in {took:.1?}, {events} events polled, {killed} clients killed");

    assert_eq!(ended.text().split_whitespace().next(), Some(sum.as_str()));
    assert!(events > 0 && killed > 0, "{events} events polled, {killed} clients killed");
    let status = daemon.status();
    assert_eq!((status.ring("rx"), status.ring("tx")), (0, 0));
}

fn checksum(file: &Path) -> String {
    let text = client::shell(file, r#"sha256sum < "$NODE""#).text();
    text.split_whitespace().next().unwrap().to_owned()
}

/// Polls both directions, and counts what it is told.
fn poll_while(node: &Path, wanted: &AtomicBool) -> u64 {
    let file = fd::both(node);
    let mut events = 0;
    while wanted.load(Ordering::Relaxed) {
        let told = fd::ready_within(&file, PollFlags::POLLIN, LOOK);
        assert!(!told.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL));
        events += u64::from(told.contains(PollFlags::POLLIN));
    }
    events
}

/// The client that is killed: polls until it is.
fn poll_for_ever(node: &Path) -> ! {
    let file = fd::both(node);
    loop {
        let both = PollFlags::POLLIN | PollFlags::POLLOUT;
        fd::ready_within(&file, both, LOOK);
        fd::ready_within(&file, PollFlags::POLLIN, LOOK);
    }
}

/// Starts a client that polls, kills it once it does, and so on.
fn kill_while(node: &Path, wanted: &AtomicBool) -> u64 {
    let mut killed = 0;
    while wanted.load(Ordering::Relaxed) {
        let client = Client::start(client::in_role(STORY, node));
        scenarios::wait::until("a client that has the node open", || {
            scenarios::process::has_open(client.pid(), node)
        });
        client.signal(Signal::SIGKILL);
        assert_eq!(client.finish("a killed client").signal(), Some(9));
        killed += 1;
    }
    killed
}
