//! A million interrupts back to back while the daemon runs: every one is counted, and told how it was taken.

use std::process::Command;
use std::time::Instant;

use scenarios::client::Client;
use scenarios::daemon::Daemon;
use scenarios::module::Module;
use scenarios::{client, programs, wait};

const EVENTS: u32 = 1_000_000;

/// Events raised back to back before the next gust: in one single storm they come together in a few rounds.
const GUST: u32 = 50;

/// What `uioctl status --json` says about the line.
fn line(daemon: &Daemon) -> serde_json::Value {
    let mut command = Command::new(programs::uioctl());
    command.args(["status", "--json", "--run-dir"]).arg(daemon.home().run());
    let text = Client::start(command).finish("uioctl").text();
    let status: serde_json::Value = serde_json::from_str(&text).unwrap();
    status[0]["devices"][0]["lines"][0].clone()
}

#[test]
fn a_million_interrupts_are_counted() {
    let module = Module::of_the_bench();
    let before = module.raised();
    let daemon = Daemon::start();
    let start = Instant::now();
    for _ in 0..EVENTS / GUST {
        module.storm(GUST);
    }
    let stormed = start.elapsed();
    let count = |line: &serde_json::Value, name: &str| line[name].as_u64().unwrap();
    wait::until("all of them", || {
        let status = daemon.status();
        let raised = status.line("raised");
        raised >= u64::from(EVENTS)
            && status.line("handled") + status.line("none") + status.line("missed") == raised
    });
    let line = line(&daemon);
    println!("{EVENTS} raised in {stormed:.1?}, taken in {:.1?}: {line}", start.elapsed());
    assert_eq!(module.raised() - before, u64::from(EVENTS));
    assert_eq!(count(&line, "raised"), u64::from(EVENTS));
    assert_eq!(count(&line, "none"), 0);
    assert_eq!(count(&line, "handled") + count(&line, "missed"), count(&line, "raised"));
    assert!(count(&line, "handled") >= u64::from(EVENTS / GUST) / 200, "hardly a round: {line}");
    let text = client::shell(daemon.node(), r#"echo calm > "$NODE"; head -n 1 "$NODE""#).text();
    assert_eq!(text, "calm\n", "and the device works");
}
