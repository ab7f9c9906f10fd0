//! A device is left quiet: its CTRL register reads 0 when the daemon has ended, however it was asked to.

use nix::sys::signal::Signal;
use scenarios::daemon::Daemon;
use scenarios::module::Module;
use scenarios::{client, fd, wait};

#[test]
fn the_device_is_left_quiet() {
    let module = Module::of_the_bench();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let daemon = Daemon::start();
        client::shell(daemon.node(), r#"echo Hello > "$NODE""#).text();
        daemon.end(signal).assert_clean();
        assert_eq!(module.ctrl(), 0, "after {signal}");
    }
}

#[test]
fn what_was_left_in_the_device_is_not_the_next_ones() {
    let module = Module::of_the_bench();
    let daemon = Daemon::start();
    client::shell(daemon.node(), r#"echo left over > "$NODE""#).text();
    daemon.end(Signal::SIGKILL);
    assert_ne!(module.ctrl(), 0, "nobody was there to stop it");

    let next = Daemon::start();
    client::shell(next.node(), r#"echo fresh > "$NODE""#).text();
    assert_eq!(client::shell(next.node(), r#"head -n 1 "$NODE""#).text(), "fresh\n");
    wait::until("nothing else", || next.status().ring("rx") == 0);
    assert!(fd::read(&fd::nonblocking(next.node()), 1).is_err());
}
