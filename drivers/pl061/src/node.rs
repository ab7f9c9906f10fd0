//! CHAR NODE: events to read, commands to write, ioctls.

use std::fmt::Write;
use std::sync::Arc;

use uio_core::chardev::{CharDevice, File, IoctlArg, IoctlCmd, PollEvents};
use uio_core::error::{Errno, Error};
use uio_core::sync::WaitQueue;

use crate::bottom_half::Shared;
use crate::command::{self, GRAMMAR};
use crate::hardware::Refusal;
use crate::journal::Format;
use crate::lines::{Change, Kind, LineState};
use crate::regs::LINES;

/// Bytes of answers that one open file may leave unread.
const UNREAD_ANSWERS: usize = 4096;

/// The file operations of the node.
pub(crate) struct Node {
    pub(crate) shared: Arc<Shared>,
    /// What the log calls it.
    pub(crate) name: String,
    /// What the device tree calls the lines; empty if it does not.
    pub(crate) lines: [String; LINES],
}

impl Node {
    /// Makes all changes or none.
    pub(crate) fn apply(&self, changes: &[Change]) -> Result<(), Refusal> {
        self.shared.hardware.lock_irqsave().apply(changes)
    }

    fn command(&self, file: &File, data: &[u8]) -> Result<(), Errno> {
        let shown = || String::from_utf8_lossy(data).trim_end().to_owned();
        let commands = command::parse(data).map_err(|wrong| {
            let error = Error::invalid("cannot carry out", quoted(&wrong.command), wrong.cause);
            self.complain(file, &error.with_hint(GRAMMAR));
            Errno::EINVAL
        })?;
        if commands.show {
            self.may_answer(file)?;
        }
        self.apply(&commands.changes).map_err(|refusal| {
            let error = Error::new(refusal.errno, "cannot carry out", quoted(&shown()));
            self.complain(file, &error.with_cause(refusal.cause).with_hint(refusal.mend));
            refusal.errno
        })?;
        if commands.show { self.show(file) } else { Ok(()) }
    }

    /// Whether the states of the lines may be put before the reader.
    fn may_answer(&self, file: &File) -> Result<(), Errno> {
        let mut journal = self.shared.journal.lock_bh();
        match journal.format(file.handle)? {
            Format::Binary => Err(Errno::EINVAL),
            Format::Text if journal.unread_answers(file.handle)? >= UNREAD_ANSWERS => {
                Err(Errno::ENOSPC)
            }
            Format::Text => Ok(()),
        }
    }

    fn show(&self, file: &File) -> Result<(), Errno> {
        let states = self.shared.hardware.lock_irqsave().states()?;
        let mut text = String::new();
        for (line, (state, name)) in states.iter().zip(&self.lines).enumerate() {
            describe(&mut text, line, state, name);
        }
        self.shared.journal.lock_bh().answer(file.handle, &text)?;
        self.shared.read_wait.wake_all();
        Ok(())
    }

    /// Puts what is wrong with a command into the log, unless the file has had its share.
    fn complain(&self, file: &File, error: &Error) {
        if self.shared.journal.lock_bh().may_complain(file.handle) {
            tracing::warn!("{}: {error}", self.name);
        }
    }
}

/// A command in the log: what a client writes is not trusted to be printable, or short.
fn quoted(command: &str) -> String {
    let short: String = command.chars().take(64).collect();
    format!("`{}`", short.escape_default())
}

/// How a line stands, as text.
fn describe(text: &mut String, line: usize, state: &LineState, name: &str) {
    let (direction, high) = (if state.output { "out" } else { "in" }, u8::from(state.high));
    // A String takes everything.
    let _ = write!(text, "line {line} {direction} {high}");
    if state.kind != Kind::None {
        let _ = write!(text, " {}", state.kind.word());
    }
    text.push_str(if state.fired { " fired" } else { "" });
    text.push_str(if state.taken { " taken" } else { "" });
    if !name.is_empty() {
        let _ = write!(text, " {name:?}");
    }
    text.push('\n');
}

impl CharDevice for Node {
    fn open(&self, file: &File) -> Result<(), Errno> {
        self.shared.journal.lock_bh().open(file.handle);
        Ok(())
    }

    fn release(&self, file: &File) {
        self.shared.journal.lock_bh().release(file.handle);
    }

    fn read(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        self.shared.journal.lock_bh().read(file.handle, buf)
    }

    fn write(&self, file: &File, data: &[u8]) -> Result<usize, Errno> {
        self.command(file, data).map(|()| data.len())
    }

    fn poll(&self, file: &File) -> PollEvents {
        let readable = self.shared.journal.lock_bh().is_readable(file.handle);
        let events = if readable { PollEvents::READABLE } else { PollEvents::empty() };
        events | PollEvents::WRITABLE
    }

    fn ioctl(&self, file: &File, cmd: IoctlCmd, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
        self.carry_out(file, cmd, arg).map(|()| 0)
    }

    /// One that has read everything does not hold up one that has not.
    fn reads_apart(&self) -> bool {
        true
    }

    fn read_wait(&self) -> &WaitQueue {
        &self.shared.read_wait
    }

    fn write_wait(&self) -> &WaitQueue {
        &self.shared.write_wait
    }
}
