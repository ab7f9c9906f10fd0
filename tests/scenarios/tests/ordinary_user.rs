//! The embedded default runs as an ordinary user: the node comes by way of `fusermount3`.

use nix::sys::signal::Signal;
use scenarios::client::{Client, script_as_nobody};
use scenarios::daemon::{Home, Launch};
use scenarios::{client, process, world};

fn launch() -> Launch {
    Launch::with(&["run", "sim:uio_dummy"]).home(&Home::of_nobody())
}

#[test]
fn an_ordinary_user_runs_the_embedded_default() {
    let daemon = launch().start();
    let log = daemon.log();
    let why = log.lines().find(|line| line.contains("FUSE, because: "));
    assert!(why.is_some_and(|why| why.contains("/dev/cuse")), "{log}");
    let text = r#"echo Hello > "$NODE"; head -n 1 "$NODE""#;
    let ended = Client::start(script_as_nobody(daemon.node(), text)).finish("its owner");
    assert_eq!(ended.text(), "Hello\n");
    let home = daemon.home().clone();
    daemon.end(Signal::SIGINT).assert_clean();
    assert_eq!(home.leftovers(), Vec::<String>::new());
}

#[test]
fn the_node_of_an_ordinary_user_is_not_for_others() {
    let daemon = launch().start();
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let [point] = &process::mounts_below(daemon.home().path())[..] else { panic!("one mount") };
    let mount = table.lines().find(|line| line.split_whitespace().nth(1) == Some(point)).unwrap();
    assert!(mount.contains("fuse.uiod") && !mount.contains("allow_other"), "{mount}");
    if world::is_root() {
        // Not even for root: the kernel keeps everybody else out of the mount.
        let ended = client::shell(daemon.node(), r#"cat "$NODE""#);
        assert!(!ended.status.success(), "{ended:?}");
    }
}

#[test]
fn a_blocked_client_of_an_ordinary_user_can_be_killed() {
    let daemon = launch().start();
    let cat = Client::start(script_as_nobody(daemon.node(), r#"exec cat "$NODE""#));
    daemon.await_readers(1);
    cat.signal(Signal::SIGKILL);
    assert_eq!(cat.finish("cat").signal(), Some(9));
    assert_eq!(daemon.status().node("waiting_readers"), 0);
}

#[test]
fn the_next_daemon_of_an_ordinary_user_clears_up_too() {
    let dead = launch().start();
    let (home, node) = (dead.home().clone(), dead.node().to_owned());
    dead.end(Signal::SIGKILL);
    assert_eq!(process::mounts_below(home.path()).len(), 1, "a dead daemon leaves its mount");
    let next = Launch::with(&["run", "sim:uio_dummy"]).home(&home).start();
    assert_eq!(next.node(), node);
    let text = r#"echo again > "$NODE"; head -n 1 "$NODE""#;
    let ended = Client::start(script_as_nobody(next.node(), text)).finish("its owner");
    assert_eq!(ended.text(), "again\n");
}
