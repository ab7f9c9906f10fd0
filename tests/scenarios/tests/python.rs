//! Python as a client: its `select` module, and its signal handlers with and without `SA_RESTART`.

use std::process::Command;

use nix::sys::signal::Signal;
use scenarios::client::{self, Client};
use scenarios::daemon::Daemon;

fn script(daemon: &Daemon, program: &str) -> Command {
    let mut command = client::script(daemon.node(), r#"exec python3 -c "$PROGRAM""#);
    command.env("PROGRAM", program);
    command
}

fn python(daemon: &Daemon, program: &str) -> String {
    Client::start(script(daemon, program)).finish("python3").text()
}

#[test]
fn select_poll_and_epoll_of_python() {
    let daemon = Daemon::start();
    let program = r#"
import os, select
fd = os.open(os.environ["NODE"], os.O_RDWR | os.O_NONBLOCK)
print(select.select([fd], [fd], [fd], 0) == ([], [fd], []))
poll = select.poll()
poll.register(fd, select.POLLIN)
print(poll.poll(0) == [])
epoll = select.epoll()
epoll.register(fd, select.EPOLLIN | select.EPOLLET)
print(epoll.poll(0) == [])
os.write(fd, b"Hello")
print(epoll.poll(60) == [(fd, select.EPOLLIN)])
print(poll.poll(60000) == [(fd, select.POLLIN)])
print(select.select([fd], [], [], 60) == ([fd], [], []))
print(os.read(fd, 100) == b"Hello")
try:
    os.read(fd, 100)
except BlockingIOError:
    print(True)
"#;
    assert_eq!(python(&daemon, program), "True\n".repeat(8));
}

#[test]
fn a_handler_interrupts_a_read_with_and_without_sa_restart() {
    let daemon = Daemon::start();
    let program = r#"
import os, signal
class Alarm(Exception):
    pass
def handler(number, frame):
    raise Alarm
fd = os.open(os.environ["NODE"], os.O_RDWR)
signal.signal(signal.SIGALRM, handler)
signal.siginterrupt(signal.SIGALRM, os.environ["RESTART"] == "no")
try:
    os.read(fd, 1)
except Alarm:
    print("interrupted")
os.write(fd, b"x")
print(os.read(fd, 1))
"#;
    for restart in ["no", "yes"] {
        let mut command = script(&daemon, program);
        command.env("RESTART", restart);
        let client = Client::start(command);
        daemon.await_readers(1);
        client.signal(Signal::SIGALRM);
        assert_eq!(client.finish("python3").text(), "interrupted\nb'x'\n");
    }
}

#[test]
fn a_file_object_of_python_reads_lines() {
    let daemon = Daemon::start();
    let program = r#"
import os
with open(os.environ["NODE"], "wb", buffering=0) as node:
    node.write(b"one\ntwo\n")
with open(os.environ["NODE"], "rb", buffering=0) as node:
    print(node.readline(), node.readline())
"#;
    assert_eq!(python(&daemon, program), "b'one\\n' b'two\\n'\n");
}
