//! The control socket, `uioctl status` and `uioctl softirqs`: the numbers make sense, strangers are refused, nonsense is answered.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::poll::PollFlags;
use scenarios::client::Client;
use scenarios::control::{Control, STATUS};
use scenarios::daemon::Daemon;
use scenarios::{fd, programs, task, wait, world};

fn uioctl(daemon: &Daemon, args: &[&str]) -> Command {
    let mut command = Command::new(programs::uioctl());
    command.args(args).arg("--run-dir").arg(daemon.home().run());
    command
}

#[test]
fn the_numbers_make_sense_after_traffic() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    for _ in 0..10 {
        assert_eq!(fd::write(&file, &[7; 1000]), Ok(1000));
        assert_eq!(fd::read_exactly(daemon.node(), 1000), [7; 1000]);
    }
    assert_eq!(fd::write(&file, &[7; 300]), Ok(300));
    wait::until("the rest in the ring", || daemon.status().ring("rx") == 300);
    wait::until("the line at rest", || {
        let status = daemon.status();
        let rounds = status.line("handled") + status.line("none") + status.line("missed");
        rounds == status.line("raised")
    });
    let status = daemon.status();
    assert_eq!(status.number("/version"), 1);
    assert_eq!(status.number("/pid"), u64::try_from(daemon.pid()).unwrap());
    assert_eq!(status.text("/devices/0/driver"), "uio-dummy");
    assert_eq!(status.text("/devices/0/state"), "running");
    assert_eq!(status.text("/devices/0/backend"), world::device().split(':').next().unwrap());
    assert_eq!(status.text("/devices/0/regions/0/name"), "regs");
    assert_eq!(status.number("/devices/0/regions/1/size"), 128 * 1024);
    assert_eq!(status.text("/devices/0/lines/0/handlers/0"), "uio-dummy");
    assert_eq!(status.text("/devices/0/nodes/0/kind"), world::node_kind().name());
    assert_eq!(status.text("/devices/0/nodes/0/path"), daemon.node().to_str().unwrap());
    assert_eq!(status.number("/devices/0/nodes/0/rings/0/capacity"), 65536);
    // Each of the eleven pieces came back by an interrupt of its own, or by more.
    assert!(status.line("raised") >= 11 && status.line("handled") > 0, "{:#}", status.0);
    assert!(status.line("handler_ns") > 0);
    assert_eq!((status.ring("rx"), status.ring("tx")), (300, 0));
    wait::until("one opener", || daemon.status().node("openers") == 1);
}

#[test]
fn who_waits_is_counted() {
    let daemon = Daemon::start();
    let counts = || {
        let status = daemon.status();
        let names = ["openers", "waiting_readers", "waiting_writers", "pollers"];
        names.map(|name| status.node(name))
    };
    assert_eq!(counts(), [0; 4]);
    let file = fd::reader(daemon.node());
    let reading = task::spawn(move || fd::read(&file, 1));
    let file = fd::reader(daemon.node());
    let polling = task::spawn(move || fd::ready_within(&file, PollFlags::POLLIN, wait::DEADLINE));
    wait::until("one of each", || counts() == [2, 1, 0, 1]);
    // The reader takes the one; the other is for the poller to see.
    assert_eq!(fd::write(&fd::writer(daemon.node()), b"ab"), Ok(2));
    assert_eq!(reading.finish("the reader"), Ok(b"a".to_vec()));
    assert_eq!(polling.finish("the poller"), PollFlags::POLLIN);
    wait::until("nobody", || counts() == [0; 4]);
}

#[test]
fn nonsense_is_answered_with_what_is_wrong_and_the_next_request_is_served() {
    let daemon = Daemon::start();
    let mut control = Control::connect(&daemon.socket());
    let long = "x".repeat(3000);
    for nonsense in ["", "{}", "[1, 2", r#"{"request":"reboot"}"#, "\u{1}\u{2}", &long] {
        let answer = control.ask(nonsense);
        assert!(answer["error"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    }
    assert_eq!(control.ask(STATUS)["version"], 1);
}

#[test]
fn a_request_without_an_end_is_answered_and_does_no_harm() {
    let daemon = Daemon::start();
    let mut control = Control::connect(&daemon.socket());
    control.send(&[b'x'; 4096]);
    let answer = control.answer();
    assert!(answer.is_none_or(|answer| answer["error"].is_string()));
    // Bytes that are no text.
    let mut control = Control::connect(&daemon.socket());
    control.send(&[0xFF, 0xFE, b'\n']);
    let answer = control.answer();
    assert!(answer.is_none_or(|answer| answer["error"].is_string()));
    assert_eq!(daemon.status().number("/version"), 1);
}

#[test]
fn many_clients_at_once_are_all_answered() {
    let daemon = Daemon::start();
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let mut control = Control::connect(&daemon.socket());
            task::spawn(move || (0..10).all(|_| control.ask(STATUS)["version"] == 1))
        })
        .collect();
    assert!(asking.into_iter().all(|task| task.finish("a client")));
}

#[test]
fn a_client_that_says_nothing_holds_up_nobody() {
    let daemon = Daemon::start();
    let _silent: Vec<_> = (0..20).map(|_| Control::connect(&daemon.socket())).collect();
    assert_eq!(daemon.status().number("/version"), 1);
}

#[test]
fn the_socket_is_for_its_owner_alone() {
    let daemon = Daemon::start();
    let meta = fs::metadata(daemon.socket()).unwrap();
    assert_eq!(meta.mode() & 0o777, 0o600);
    assert_eq!(meta.uid(), nix::unistd::geteuid().as_raw());
    if !world::is_root() {
        // Nobody else to be; the mode says it.
        return;
    }
    let ask = |what: &str| {
        let (user, group) = world::NOBODY;
        let mut command = uioctl(&daemon, &["status"]);
        command.uid(user).gid(group);
        let ended = Client::start(command).finish(what);
        assert!(!ended.status.success() && ended.out.is_empty(), "{what}: {ended:?}");
    };
    ask("a stranger");
    // A careless administrator: the daemon looks at who asks all the same.
    fs::set_permissions(daemon.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    ask("a stranger at an open door");
}

#[test]
fn uioctl_prints_the_status() {
    let daemon = Daemon::start();
    let text = Client::start(uioctl(&daemon, &["status"])).finish("uioctl status").text();
    let node = daemon.node().display().to_string();
    for words in [daemon.pid().to_string().as_str(), "uio_dummy", "uio-dummy", "running", &node] {
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
    }
    let json = Client::start(uioctl(&daemon, &["--json", "status"])).finish("uioctl").text();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["pid"], daemon.pid());
    assert_eq!(json[0]["devices"][0]["nodes"][0]["path"], node);
}

#[test]
fn uioctl_shows_the_daemons_softirqs_beside_the_kernels() {
    let daemon = Daemon::start();
    assert_eq!(fd::write(&fd::writer(daemon.node()), &[7; 1000]), Ok(1000));
    // The time is written after the count.
    wait::until("the bottom half", || daemon.status().softirq("TASKLET", "time_ns") > 0);
    let text = Client::start(uioctl(&daemon, &["softirqs"])).finish("uioctl softirqs").text();
    let title = format!("\nuiod {}, dispatcher 0, up ", daemon.pid());
    assert!(text.starts_with("kernel, ") && text.contains(&title), "{text}");
    let json = Client::start(uioctl(&daemon, &["--json", "softirqs"])).finish("uioctl").text();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    // The same vectors, in the same order.
    let names = |vectors: &serde_json::Value| -> Vec<String> {
        let name = |vector: &serde_json::Value| vector["name"].as_str().unwrap().to_owned();
        vectors.as_array().unwrap().iter().map(name).collect()
    };
    let ours = &json["daemons"][0]["softirqs"][0];
    assert_eq!(names(&ours["vectors"]), names(&json["softirqs"]));
    let tasklet = &ours["vectors"][6];
    assert!(tasklet["runs"].as_u64() > Some(0) && tasklet["time_ns"].as_u64() > Some(0), "{ours}");
    assert_eq!(ours["ksoftirqd"]["active"], false);
}
