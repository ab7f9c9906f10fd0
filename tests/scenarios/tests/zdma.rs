//! The DMA engine, simulated, as a user has it: echo and cat, copies by ioctl and by write, poll.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use scenarios::client;
use scenarios::daemon::{Daemon, Launch};
use scenarios::zdma::{Completion, Copy, Zdma, pattern};

fn launch() -> Daemon {
    Launch::with(&["run", "sim:zynqmp-dma", "--node-kind", "fuse"]).start()
}

fn copy(src: u64, dst: u64, len: u64, cookie: u64) -> Copy {
    Copy { src, dst, len, cookie }
}

#[test]
fn what_is_echoed_into_the_node_goes_through_the_engine_and_comes_back() {
    let daemon = launch();
    let text = client::shell(daemon.node(), r#"echo Hello > "$NODE"; cat "$NODE" "$NODE""#).text();
    assert_eq!(text, "Hello\nHello\n");
    let stats = Zdma::open(daemon.node()).stats();
    assert_eq!((stats.copies, stats.bytes, stats.errors), (1, 8, 0), "one copy of whole beats");
    let copy = r#"head -c 60000 /dev/urandom > "$NODE".in && dd if="$NODE".in of="$NODE" bs=7000 &&
                  dd if="$NODE" of="$NODE".out bs=900 && cmp "$NODE".in "$NODE".out"#;
    let copy = copy.replace("\"$NODE\".", "\"$DIR\"/");
    let dir = tempfile::tempdir().unwrap();
    let mut script = client::script(daemon.node(), &copy);
    script.env("DIR", dir.path());
    client::Client::start(script).finish("dd").text();
}

/// Tries everything once, with an open file of each kind.
fn try_all(node: &Path) {
    let queue = Zdma::queue(node);
    let info = queue.info();
    assert_eq!((info.align, info.longest), (8, (1 << 30) - 8));
    let data = pattern(5, 100_000);
    Zdma::memory(node, 8).put(&data);
    let half = info.bytes / 2;
    queue.submit(&copy(8, half, 100_000, 42)).unwrap();
    assert_eq!(queue.wait(), Ok(Completion { cookie: 42, error: 0 }));
    let mut back = vec![0; data.len()];
    Zdma::memory(node, half).get(&mut back);
    assert!(back == data);
    for (src, dst, len, errno) in [
        (0, half, 0, Errno::EINVAL),
        (4, half, 8, Errno::EINVAL),
        (0, half, 9, Errno::EINVAL),
        (0, 8, 16, Errno::EINVAL),
        (info.bytes, 0, 8, Errno::ERANGE),
        (0, 8, u64::MAX - 7, Errno::ERANGE),
    ] {
        assert_eq!(queue.submit(&copy(src, dst, len, 0)), Err(errno), "{src} {dst} {len}");
    }
    assert_eq!(queue.wait(), Err(Errno::ENODATA));
}

#[test]
fn copies_by_ioctl_move_bytes_and_wrong_ones_are_refused() {
    let daemon = launch();
    try_all(daemon.node());
}

#[test]
fn a_write_queues_many_and_poll_tells_when_they_have_ended() {
    let daemon = launch();
    let mut queue = Zdma::queue(daemon.node());
    let copies: Vec<Copy> = (0..500).map(|index| copy(0, 8 + index * 8, 8, index)).collect();
    assert_eq!(queue.write_copies(&copies).unwrap(), 500);
    let mut cookies = Vec::new();
    while cookies.len() < 500 {
        let mut fds = [PollFd::new(queue.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::from(30_000_u16)), Ok(1));
        let told = queue.read_completions(64).unwrap();
        assert!(told.iter().all(|completion| completion.error == 0));
        cookies.extend(told.iter().map(|completion| completion.cookie));
    }
    assert_eq!(cookies, (0..500).collect::<Vec<u64>>());
}
