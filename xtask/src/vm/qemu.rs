//! QEMU: its command line, its end, and the sockets that carry the command's streams.
//!
//! What the hardware is, [`mod@super::machine`] says; what the guest may ask for, [`super::monitor`].

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::failure::{Context, Result, bench, failed};
use crate::kernels::Kernel;
use crate::paths::RunDir;
use crate::process::command;

use super::machine::Machine;
use super::monitor;
use super::pc::escaped;

/// The streams, in the order of their virtio ports from 1 on. The other ends of the serial ports come after them.
const PORTS: [&str; 4] = ["out", "err", "status", "monitor"];

/// The names of a machine's virtio ports, from number 1 on.
pub(crate) fn port_names(machine: Machine) -> Vec<String> {
    let ends = machine.serials().iter().map(|name| format!("{name}-end"));
    PORTS.iter().map(|name| (*name).to_owned()).chain(ends).collect()
}

/// Where QEMU takes commands.
const QMP: &str = "qmp";

/// How often a machine that runs is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// How long QEMU may take to come up.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Boot<'a> {
    pub(crate) kernel: Kernel,
    pub(crate) machine: Machine,
    pub(crate) initrd: &'a Path,
    /// The device tree, if the machine is a board.
    pub(crate) tree: Option<&'a Path>,
    pub(crate) console: &'a Path,
    pub(crate) run_dir: &'a RunDir,
    pub(crate) timeout: Duration,
}

/// How a machine ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The command ended with this status.
    Status(u8),
    /// The guest says that it could not be made ready.
    Broken(String),
    /// QEMU ended and no status had come.
    Vanished,
    /// QEMU died of this signal.
    Died(i32),
    /// No status came in time.
    TimedOut,
}

impl Boot<'_> {
    /// Runs the machine until the command has ended, copying its standard output to `out`.
    pub(crate) fn run(&self, out: Box<dyn Write + Send>) -> Result<End> {
        let deadline = Instant::now() + self.timeout;
        let listeners = PORTS.iter().chain([&QMP]).map(|name| self.listen(name));
        let listeners = listeners.collect::<Result<Vec<_>>>()?;
        let mut qemu = Running(self.command()?.spawn().map_err(|error| {
            failed(format!("cannot run setpriv and {}: {error}", self.machine.arch().qemu()))
        })?);
        let mut streams = Vec::new();
        for listener in &listeners {
            streams.push(qemu.accept(listener)?);
        }
        let mut streams = streams.into_iter();
        let mut next = || streams.next().ok_or_else(|| failed("a stream is missing"));
        let copies = [copy(next()?, out), copy(next()?, Box::new(io::stderr()))];
        let status = read_line(next()?);
        monitor::relay(next()?, next()?);
        let end = qemu.wait(&status, deadline)?;
        drop(qemu);
        // QEMU is gone, so each stream ends when what it still holds is copied.
        for copy in copies {
            let _ = copy.join();
        }
        match end {
            Some(end) => Ok(end),
            None => Ok(parse_status(&status.join().unwrap_or_default())),
        }
    }

    fn listen(&self, name: &str) -> Result<UnixListener> {
        let path = self.run_dir.join(name);
        UnixListener::bind(&path).on("listen on", &path)
    }

    /// QEMU dies with this process, however that ends: the kernel kills it (`PR_SET_PDEATHSIG`).
    fn command(&self) -> Result<Command> {
        let mut qemu = command("setpriv");
        qemu.args(["--pdeathsig", "KILL", self.machine.arch().qemu()]);
        qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        qemu.arg("-kernel").arg(self.kernel.boot_image()?).arg("-initrd").arg(self.initrd);
        qemu.arg("-append").arg(self.machine.kernel_line());
        if let Some(tree) = self.tree {
            qemu.arg("-dtb").arg(tree);
        }
        qemu.arg("-chardev").arg(format!("file,id=console,path={}", escaped(self.console)));
        qemu.args(["-serial", "chardev:console"]);
        qemu.args(self.machine.options(self.run_dir)?);
        qemu.arg("-chardev").arg(self.socket(QMP, QMP));
        qemu.arg("-mon").arg(format!("chardev={QMP},mode=control"));
        for (index, name) in PORTS.iter().enumerate() {
            self.add_port(&mut qemu, index + 1, name, name);
        }
        for (index, name) in self.machine.serials().iter().enumerate() {
            self.add_port(&mut qemu, PORTS.len() + index + 1, &format!("{name}-end"), name);
        }
        qemu.stdout(Stdio::from(io::stderr()));
        Ok(qemu)
    }

    /// Adds the virtio port `name`, whose bytes come and go by a socket.
    fn add_port(&self, qemu: &mut Command, number: usize, name: &str, socket: &str) {
        qemu.arg("-chardev").arg(self.socket(name, socket));
        let port = format!("virtserialport,chardev={name},name={name},nr={number}");
        qemu.arg("-device").arg(port);
    }

    /// The character device `id`, a client of the socket.
    fn socket(&self, id: &str, socket: &str) -> String {
        format!("socket,id={id},path={}", escaped(&self.run_dir.join(socket)))
    }
}

/// A QEMU process, killed on drop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// How it ended, if it has.
    fn end(&mut self) -> Result<Option<ExitStatus>> {
        self.0.try_wait().map_err(|error| failed(format!("cannot wait for qemu: {error}")))
    }

    fn has_ended(&mut self) -> Result<bool> {
        Ok(self.end()?.is_some())
    }

    /// Takes QEMU's connection for one stream.
    fn accept(&mut self, listener: &UnixListener) -> Result<UnixStream> {
        let give_up = Instant::now() + PATIENCE;
        let cannot =
            |error: &dyn std::fmt::Display| failed(format!("cannot connect to qemu: {error}"));
        listener.set_nonblocking(true).map_err(|error| cannot(&error))?;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(|error| cannot(&error))?;
                    return Ok(stream);
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(cannot(&error)),
                Err(_) if self.has_ended()? => {
                    return Err(bench("qemu ended before the guest started"));
                }
                Err(_) if Instant::now() > give_up => return Err(bench("qemu did not start")),
                Err(_) => thread::sleep(GLANCE),
            }
        }
    }

    /// Waits until the status line has come (`None`), QEMU has ended, or time is up.
    fn wait(&mut self, status: &JoinHandle<String>, deadline: Instant) -> Result<Option<End>> {
        loop {
            if status.is_finished() {
                return Ok(None);
            }
            if let Some(ended) = self.end()? {
                return Ok(ended.signal().map(End::Died));
            }
            if Instant::now() > deadline {
                return Ok(Some(End::TimedOut));
            }
            thread::sleep(GLANCE);
        }
    }
}

/// Copies until the stream ends. When nobody takes the copy any more, the rest is read and dropped, so that
/// the guest is not held up: a closed pipe is no error.
fn copy(mut from: UnixStream, mut to: Box<dyn Write + Send>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        let mut wanted = true;
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            wanted = wanted && to.write_all(&buffer[..count]).and_then(|()| to.flush()).is_ok();
        }
    })
}

/// Reads up to the end of the line, or to the end of the stream.
fn read_line(from: UnixStream) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut line = Vec::new();
        for byte in io::BufReader::new(from).bytes() {
            match byte {
                Ok(byte) if byte != b'\n' => line.push(byte),
                Ok(_) => return String::from_utf8_lossy(&line).into_owned(),
                Err(_) => break,
            }
        }
        String::new()
    })
}

fn parse_status(line: &str) -> End {
    match line.split_once(' ') {
        Some(("status", status)) => status.parse().map_or(End::Vanished, End::Status),
        Some(("broken", why)) => End::Broken(why.to_owned()),
        _ => End::Vanished,
    }
}

#[cfg(test)]
mod tests {
    use super::{End, parse_status};

    #[test]
    fn status_lines() {
        assert_eq!(parse_status("status 3"), End::Status(3));
        assert_eq!(parse_status("broken no disk"), End::Broken("no disk".to_owned()));
        assert_eq!(parse_status(""), End::Vanished);
        assert_eq!(parse_status("status many"), End::Vanished);
    }
}
