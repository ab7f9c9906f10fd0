//! CHAR NODE: a terminal in raw mode.
//!
//! Mirrors `n_tty_read`, `n_tty_write` and `n_tty_poll` of `drivers/tty/n_tty.c` without canonical mode, and the
//! open and close of `drivers/tty/serial/serial_core.c`. `open` never waits for a carrier.

use std::sync::PoisonError;
use std::time::Instant;

use uio_core::chardev::{CharDevice, File, IoctlArg, IoctlCmd, IoctlLayout, PollEvents};
use uio_core::error::Errno;
use uio_core::sync::WaitQueue;

use crate::ioctl;
use crate::output;
use crate::port::Port;
use crate::termios::Termios;

fn is_nonblocking(file: &File) -> bool {
    file.flags & libc::O_NONBLOCK != 0
}

impl Port {
    /// Whether a read that found `held` bytes, and has room for `room`, returns with them.
    fn suffices(
        &self,
        file: &File,
        modes: &Termios,
        held: usize,
        room: usize,
    ) -> Result<bool, Errno> {
        let (min, time) = (modes.min(), modes.time());
        let enough = held >= min.min(room).max(1);
        let at_once = min == 0 && time.is_zero();
        if enough || at_once {
            return Ok(true);
        }
        if is_nonblocking(file) {
            return if held > 0 { Ok(true) } else { Err(Errno::EAGAIN) };
        }
        // With a minimum, the time is between two bytes, and begins with the first.
        if time.is_zero() || (min > 0 && held == 0) {
            return Ok(false);
        }
        let over = self.timeouts().is_over(file.handle, held, time, Instant::now());
        if !over {
            // Has the alarm set.
            self.tasklet.schedule();
        }
        Ok(over)
    }
}

impl CharDevice for Port {
    fn open(&self, file: &File) -> Result<(), Errno> {
        let first = {
            let mut clients = self.clients();
            // As CAP_SYS_ADMIN in the kernel.
            if clients.exclusive && file.uid != 0 {
                return Err(Errno::EBUSY);
            }
            clients.opens += 1;
            clients.opens == 1
        };
        if first {
            self.flush_input();
            let started = self.with(|hardware| {
                hardware.start()?;
                Ok(hardware.termios)
            });
            let termios = started.inspect_err(|_| self.clients().opens -= 1)?;
            self.publish(termios);
        }
        Ok(())
    }

    fn release(&self, file: &File) {
        self.timeouts().end(file.handle);
        let last = {
            let mut clients = self.clients();
            clients.opens = clients.opens.saturating_sub(1);
            clients.exclusive &= clients.opens > 0;
            clients.opens == 0
        };
        if last {
            self.close();
        }
    }

    fn read(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        if buf.is_empty() {
            return Ok(0);
        }
        let modes = self.modes();
        let mut rx = self.rx.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.suffices(file, &modes, rx.len(), buf.len())? {
            return Err(Errno::EAGAIN);
        }
        let count = rx.pop_slice(buf);
        let left = rx.len();
        drop(rx);
        if !modes.time().is_zero() {
            self.timeouts().end(file.handle);
        }
        if self.room.is_due(left) {
            self.tasklet.schedule();
        }
        Ok(count)
    }

    fn write(&self, _file: &File, data: &[u8]) -> Result<usize, Errno> {
        let oflag = self.modes().oflag;
        let mut tx = self.tx.lock().unwrap_or_else(PoisonError::into_inner);
        let count = output::push(&mut tx, oflag, data);
        drop(tx);
        if count == 0 && !data.is_empty() {
            return Err(Errno::EAGAIN);
        }
        self.tasklet.schedule();
        Ok(count)
    }

    fn poll(&self, _file: &File) -> PollEvents {
        let modes = self.modes();
        let wanted = if modes.time().is_zero() { modes.min().max(1) } else { 1 };
        let mut events = PollEvents::empty();
        if self.fills[0].len() >= wanted {
            events |= PollEvents::READABLE;
        }
        // Room for a line end, whatever becomes of it.
        if self.fills[1].len() + 2 <= self.fills[1].capacity() {
            events |= PollEvents::WRITABLE;
        }
        events
    }

    fn ioctl_layout(&self, cmd: IoctlCmd) -> IoctlLayout {
        ioctl::layout(cmd)
    }

    fn ioctl_waits(&self, cmd: IoctlCmd) -> bool {
        ioctl::waits(cmd)
    }

    fn ioctl(&self, file: &File, cmd: IoctlCmd, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
        ioctl::serve(self, file, cmd, arg)
    }

    fn read_wait(&self) -> &WaitQueue {
        &self.shared.read_wait
    }

    fn write_wait(&self) -> &WaitQueue {
        &self.shared.write_wait
    }
}
