//! Signals: a blocked client is never stuck.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};

use nix::errno::Errno;
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;

use super::control::drain;
use super::io::{fill, open, read_some};
use super::server::{Server, Setup};
use super::{Task, eventually};

extern "C" fn do_nothing(_: libc::c_int) {}

fn catch(signal: Signal, flags: SaFlags) {
    let action = SigAction::new(SigHandler::Handler(do_nothing), flags, SigSet::empty());
    // SAFETY: the handler does nothing at all.
    unsafe { sigaction(signal, &action) }.unwrap();
}

/// Blocks a thread in `call` until `blocked` says so, sends it the signal, and returns what the call said.
fn interrupted(
    signal: Signal,
    server: &mut Server,
    call: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let (send, receive) = mpsc::channel();
    let task = Task::start(move || {
        send.send(pthread_self()).unwrap();
        call()
    });
    let thread = receive.recv().unwrap();
    server.until("blocked", |s| s.waiting_readers + s.waiting_writers + s.waiting_ioctls == 1);
    pthread_kill(thread, signal).unwrap();
    task.finish()
}

#[test]
fn a_signal_gives_eintr_to_a_blocked_read_and_write() {
    // A request that a server has taken cannot be restarted, so SA_RESTART makes no difference.
    for (signal, flags) in
        [(Signal::SIGUSR1, SaFlags::empty()), (Signal::SIGUSR2, SaFlags::SA_RESTART)]
    {
        catch(signal, flags);
        let mut server = Setup::new().capacity(1000).start();
        let file = Arc::new(open(&server.path));
        let reader = Arc::clone(&file);
        let result = interrupted(signal, &mut server, move || read_some(&reader, 10).map(drop));
        assert_eq!(result.unwrap_err().raw_os_error(), Some(Errno::EINTR as i32));

        fill(&server.path);
        let writer = Arc::clone(&file);
        let write = move || io::Write::write(&mut &*writer, b"x").map(drop);
        let result = interrupted(signal, &mut server, write);
        assert_eq!(result.unwrap_err().raw_os_error(), Some(Errno::EINTR as i32));

        let stats = server.stats();
        assert_eq!((stats.waiting_readers, stats.waiting_writers, stats.interrupted), (0, 0, 2));
        assert_eq!(server.ask("given_up"), "[Read, Write]", "the device hears of it");
        // Nothing was lost, and nothing came twice.
        assert_eq!(read_some(&file, 2000).unwrap().len(), 1000);
    }
}

#[test]
fn a_signal_gives_eintr_to_a_waiting_ioctl() {
    catch(Signal::SIGALRM, SaFlags::SA_RESTART);
    let mut server = Setup::new().start();
    let file = Arc::new(open(&server.path));
    io::Write::write_all(&mut &*file, b"12345").unwrap();
    let client = Arc::clone(&file);
    let result = interrupted(Signal::SIGALRM, &mut server, move || Ok(drain(&client).map(drop)?));
    assert_eq!(result.unwrap_err().raw_os_error(), Some(Errno::EINTR as i32));
    assert_eq!(server.stats().waiting_ioctls, 0);
    let told = server.ask("given_up");
    assert!(told.starts_with("[Ioctl") && told.contains("state: "), "{told}");
    // What would have been waited for comes, and nobody is there any more.
    assert_eq!(read_some(&file, 10).unwrap(), b"12345");
}

fn cat_from(path: &Path) -> Child {
    Command::new("cat").arg(path).stdout(Stdio::null()).spawn().unwrap()
}

fn cat_to(path: &Path) -> Child {
    Command::new("cat").arg("/dev/zero").stdout(open(path)).spawn().unwrap()
}

fn dies_of(child: &mut Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
    assert!(eventually(|| child.try_wait().unwrap().is_some()), "{signal} ends a blocked client");
}

#[test]
fn sigkill_and_sigint_end_a_blocked_client() {
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let mut server = Setup::new().capacity(1000).start();
        let mut reader = cat_from(&server.path);
        server.until_readers(1);
        dies_of(&mut reader, signal);
        let mut writer = cat_to(&server.path);
        server.until_writers(1);
        dies_of(&mut writer, signal);
        let stats = server.until("released", |s| s.openers == 0);
        assert_eq!((stats.waiting_readers, stats.waiting_writers), (0, 0));
        assert_eq!(read_some(&open(&server.path), 2000).unwrap().len(), 1000);
    }
}

#[test]
fn a_killed_reader_takes_no_bytes_with_it() {
    let mut server = Setup::new().start();
    for round in 0..50_u8 {
        let mut reader = cat_from(&server.path);
        server.until_readers(1);
        // The bytes race with the signal: either the reader gets them or the next one does.
        let path = server.path.clone();
        let writer = Task::start(move || io::Write::write_all(&mut open(&path), &[round]));
        kill(Pid::from_raw(reader.id() as i32), Signal::SIGKILL).unwrap();
        reader.wait().unwrap();
        writer.finish().unwrap();
        server.until("released", |s| s.openers == 0 && s.waiting_readers == 0);
        let rest = read_some(&super::io::open_nonblocking(&server.path), 10).unwrap_or_default();
        assert!(rest.is_empty() || rest == [round], "{rest:?} in round {round}");
    }
}
