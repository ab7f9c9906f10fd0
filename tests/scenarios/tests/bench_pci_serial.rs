//! A serial port on PCI, over VFIO and over uio_pci_generic: programs that know nothing of us use it as they use
//! any, and no byte is lost on the way to its other end or back.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use scenarios::client::{self, Client};
use scenarios::daemon::{Daemon, Launch};
use scenarios::pci::{self, Bound};
use scenarios::stream::Pattern;
use scenarios::{fd, task};

/// What goes each way over each of the backends: an emulated port takes minutes for a mebibyte, and the driver's text is
/// the same on both.
const LOADS: [(&str, usize); 2] = [("vfio-pci", 1 << 20), ("uio_pci_generic", 64 << 10)];

/// What has to come within a deadline.
const PART: usize = 16 * 1024;

/// The kernel's drivers that hand a device out.
const BACKENDS: [&str; 2] = ["vfio-pci", "uio_pci_generic"];

/// A port that our driver has, and its other end. In the order of their release.
struct Port {
    daemon: Daemon,
    end: File,
    _bound: Bound,
}

impl Port {
    fn over(backend: &str) -> Self {
        let function = pci::serial(0);
        let bound = pci::bind(function, backend);
        let daemon = Launch::with(&["run", &function.spec(), "--node-kind", "cuse"]).start();
        Self { daemon, end: pci::open_serial_end(0), _bound: bound }
    }

    fn node(&self) -> &Path {
        self.daemon.node()
    }

    /// Runs a program of Python, in which `NODE` is the environment's.
    fn python(&self, program: &str) -> Client {
        let mut command = client::script(self.node(), r#"exec /usr/bin/python3 -c "$PROGRAM""#);
        command.env("PROGRAM", program);
        Client::start(command)
    }

    /// What the other end receives next.
    fn expect(&self, wanted: &[u8]) {
        assert_eq!(receive(&self.end, wanted.len()), wanted);
    }
}

/// Receives so many bytes; the deadline is for each part of them, for an emulated port is slow.
fn receive(from: &File, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(receive_part(from, PART.min(count - all.len())));
    }
    all
}

fn receive_part(from: &File, count: usize) -> Vec<u8> {
    let from = from.try_clone().expect("a descriptor");
    let reading = task::spawn(move || {
        let mut part = Vec::new();
        while part.len() < count {
            part.extend(fd::read(&from, count - part.len()).expect("a read"));
        }
        part
    });
    reading.finish("the next bytes to come")
}

fn send(to: &File, data: Vec<u8>) -> task::Task<()> {
    let to = to.try_clone().expect("a descriptor");
    task::spawn(move || {
        let mut rest = &data[..];
        while !rest.is_empty() {
            rest = &rest[fd::write(&to, rest).expect("a write")..];
        }
    })
}

fn stty(node: &Path, words: &[&str]) -> String {
    let mut stty = Command::new("/bin/stty");
    stty.arg("-F").arg(node).args(words);
    Client::start(stty).finish("stty").text()
}

#[test]
fn a_mebibyte_goes_each_way_and_is_whole() {
    for (backend, bytes) in LOADS {
        let port = Port::over(backend);
        let node = fd::both(port.node());
        for (from, to, seed) in [(&node, &port.end, 1), (&port.end, &node, 2)] {
            let data = Pattern::new(seed).take(bytes);
            let sending = send(from, data.clone());
            assert!(receive(to, bytes) == data, "{backend}: other bytes came");
            sending.finish("all bytes to go");
        }
    }
}

#[test]
fn stty_sets_what_it_then_reads() {
    for backend in BACKENDS {
        let port = Port::over(backend);
        let set = ["115200", "cs7", "parenb", "-parodd", "cstopb", "crtscts", "ixon", "ixoff"];
        stty(port.node(), &set);
        let all = stty(port.node(), &["-a"]);
        assert!(all.starts_with("speed 115200 baud;"), "{backend}: {all}");
        for word in &set[1..] {
            assert!(
                all.split_whitespace().any(|it| it.trim_end_matches(';') == *word),
                "{word}: {all}"
            );
        }
        let saved = stty(port.node(), &["-g"]);
        // The rate stays: stty compares what it restored with the rate that there was.
        stty(port.node(), &["raw", "cs8", "-parenb", "-cstopb", "-crtscts"]);
        stty(port.node(), &[saved.trim()]);
        assert_eq!(stty(port.node(), &["-a"]), all);
    }
}

#[test]
fn pyserial_uses_it_as_a_serial_port() {
    let program = r#"
import os, serial
port = serial.Serial(os.environ["NODE"], 38400, bytesize=8, parity="N", stopbits=1, timeout=60, exclusive=True)
port.dtr, port.rts = False, True
print(port.cts, port.dsr, port.cd, port.ri)
port.write(b"question\n")
port.flush()
print(port.out_waiting, port.readline())
port.baudrate = 31250
print(port.baudrate)
port.timeout = 0
print(port.read(10))
port.timeout = 60
port.send_break(0.25)
port.write(b"last")
port.reset_output_buffer()
port.timeout = 0.2
print(port.read(1))
port.close()
"#;
    for backend in BACKENDS {
        let port = Port::over(backend);
        let client = port.python(program);
        port.expect(b"question\n");
        send(&port.end, b"answer\n".to_vec()).finish("the answer");
        let said = client.finish("python3").text();
        assert_eq!(said, "True True True False\n0 b'answer\\n'\n31250\nb''\nb''\n", "{backend}");
    }
}

#[test]
fn picocom_carries_what_is_typed_and_shows_what_comes() {
    for backend in BACKENDS {
        let port = Port::over(backend);
        let line = r#"printf 'to the port' | picocom -q -b 57600 -f n -x 3000 "$NODE""#;
        let client = Client::shell(port.node(), line);
        port.expect(b"to the port");
        send(&port.end, b"from the port".to_vec()).finish("the answer");
        assert_eq!(client.finish("picocom").text(), "from the port", "{backend}");
    }
}
