//! A serial port that is simulated: what is written comes back through its plug, and its settings are a terminal's.

use std::io::IsTerminal;
use std::process::Command;

use rustix::termios::{ControlModes, OptionalActions, QueueSelector, tcdrain, tcflush};
use rustix::termios::{Termios, tcgetattr, tcsetattr};
use scenarios::client;
use scenarios::daemon::{Daemon, Launch};
use scenarios::stream::Pattern;
use scenarios::world::{self, Kind};
use scenarios::{fd, task, wait};

const BYTES: usize = 256 * 1024;

fn daemon() -> Daemon {
    Launch::with(&["run", "sim:ns16550", "--node-kind", world::node_kind().name()]).start()
}

#[test]
fn what_is_written_comes_back_whole() {
    let daemon = daemon();
    let (port, writer) = (fd::both(daemon.node()), fd::writer(daemon.node()));
    let sent = Pattern::new(1).take(BYTES);
    let mut rest = sent.clone();
    let writing = task::spawn(move || {
        while !rest.is_empty() {
            let count = fd::write(&writer, &rest).expect("a write");
            rest.drain(..count);
        }
        tcdrain(&writer).expect("a drain");
    });
    let mut came = Vec::new();
    while came.len() < BYTES {
        came.extend(fd::read(&port, BYTES).expect("a read"));
    }
    assert!(came == sent, "other bytes came");
    writing.finish("the drain");
}

#[test]
fn settings_are_read_back_as_they_were_set() {
    let daemon = daemon();
    let port = fd::both(daemon.node());
    let mut wanted = tcgetattr(&port).expect("settings");
    assert_eq!(wanted.output_speed(), 9600);
    wanted.set_speed(57_600).expect("a rate");
    wanted.control_modes |= ControlModes::CRTSCTS | ControlModes::PARENB | ControlModes::CSTOPB;
    tcsetattr(&port, OptionalActions::Drain, &wanted).expect("they can be set");
    let back = tcgetattr(&port).expect("settings");
    let parts =
        |it: &Termios| (it.control_modes, it.input_modes, it.local_modes, it.output_speed());
    assert_eq!(parts(&back), parts(&wanted));
}

#[test]
fn it_is_a_terminal_where_the_kernel_lets_it_be_one() {
    let daemon = daemon();
    let port = fd::both(daemon.node());
    let is_cuse = world::node_kind() == Kind::Cuse;
    assert_eq!(port.is_terminal(), is_cuse);
    let mut stty = Command::new("stty");
    let done = client::Client::start({
        stty.arg("-F").arg(daemon.node()).arg("speed");
        stty
    });
    let done = done.finish("stty");
    assert_eq!((done.status.success(), done.out == b"9600\n"), (is_cuse, is_cuse), "{}", done.err);
}

#[test]
fn flushing_forgets_what_nobody_has_read() {
    let daemon = daemon();
    let port = fd::nonblocking(daemon.node());
    fd::write(&port, b"old").expect("a write");
    tcdrain(&port).expect("a drain");
    wait::until("the bytes to be forgotten", || {
        tcflush(&port, QueueSelector::IFlush).expect("a flush");
        fd::write(&port, b"!").expect("a write");
        let came = wait::until_some("a byte", || fd::read(&port, 10).ok());
        came == b"!"
    });
}
