//! The terminal ioctls. Mirrors `drivers/tty/tty_ioctl.c`, `drivers/tty/tty_io.c` and `uart_ioctl`.
//!
//! Most of these numbers are older than the encoding of sizes, so [`layout`] has them in a table, and the node has
//! to be one for which the driver says what is copied: a CUSE node. On a FUSE node the kernel copies nothing for
//! them, and they are `ENOTTY`; those of `termios2` tell their size and work there too.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use uio_core::chardev::{File, IoctlArg, IoctlCmd, IoctlLayout};
use uio_core::error::Errno;

use crate::modem;
use crate::port::Port;
use crate::serial::{self, SERIAL_BYTES};
use crate::stats::ICOUNT_BYTES;
use crate::termios::{TERMIOS_BYTES, Termios};

const TCGETS: u32 = 0x5401;
const TCSETS: u32 = 0x5402;
const TCSETSW: u32 = 0x5403;
const TCSETSF: u32 = 0x5404;
const TCSBRK: u32 = 0x5409;
const TCXONC: u32 = 0x540A;
const TCFLSH: u32 = 0x540B;
const TIOCEXCL: u32 = 0x540C;
const TIOCNXCL: u32 = 0x540D;
const TIOCOUTQ: u32 = 0x5411;
const TIOCGWINSZ: u32 = 0x5413;
const TIOCSWINSZ: u32 = 0x5414;
const TIOCMGET: u32 = 0x5415;
const TIOCMBIS: u32 = 0x5416;
const TIOCMBIC: u32 = 0x5417;
const TIOCMSET: u32 = 0x5418;
const TIOCGSOFTCAR: u32 = 0x5419;
const TIOCSSOFTCAR: u32 = 0x541A;
const TIOCINQ: u32 = IoctlCmd::FIONREAD.0;
const TIOCGSERIAL: u32 = 0x541E;
const TIOCSSERIAL: u32 = 0x541F;
const TIOCSETD: u32 = 0x5423;
const TIOCGETD: u32 = 0x5424;
const TCSBRKP: u32 = 0x5425;
const TIOCSBRK: u32 = 0x5427;
const TIOCCBRK: u32 = 0x5428;
const TIOCSERGETLSR: u32 = 0x5459;
const TIOCMIWAIT: u32 = 0x545C;
const TIOCGICOUNT: u32 = 0x545D;
// These tell their size.
const TCGETS2: u32 = 0x802C_542A;
const TCSETS2: u32 = 0x402C_542B;
const TCSETSW2: u32 = 0x402C_542C;
const TCSETSF2: u32 = 0x402C_542D;
const TIOCGEXCL: u32 = 0x8004_5440;

/// What TIOCSERGETLSR says of a transmitter that has sent all.
const TIOCSER_TEMT: i32 = 1;

/// Length of the break of TCSBRK, and the unit of TCSBRKP.
const BREAK: Duration = Duration::from_millis(250);
const BREAK_UNIT: Duration = Duration::from_millis(100);
/// The longest break that is kept: nothing is without end.
const LONGEST_BREAK: Duration = Duration::from_secs(600);

/// The sizes of the argument of `cmd`.
pub(crate) fn layout(cmd: IoctlCmd) -> IoctlLayout {
    let gives = |output| IoctlLayout { input: 0, output };
    let takes = |input| IoctlLayout { input, output: 0 };
    match cmd.0 {
        TCGETS => gives(TERMIOS_BYTES),
        TCSETS | TCSETSW | TCSETSF => takes(TERMIOS_BYTES),
        TIOCOUTQ | TIOCINQ | TIOCMGET | TIOCGSOFTCAR | TIOCGETD | TIOCSERGETLSR => {
            gives(size_of::<i32>())
        }
        TIOCMBIS | TIOCMBIC | TIOCMSET | TIOCSSOFTCAR | TIOCSETD => takes(size_of::<i32>()),
        TIOCGWINSZ => gives(8),
        TIOCSWINSZ => takes(8),
        TIOCGSERIAL => gives(SERIAL_BYTES),
        TIOCSSERIAL => takes(SERIAL_BYTES),
        TIOCGICOUNT => gives(ICOUNT_BYTES),
        _ => {
            let size = |used: bool| if used { cmd.encoded_size() } else { 0 };
            IoctlLayout { input: size(cmd.writes()), output: size(cmd.reads()) }
        }
    }
}

/// Those that wait: for the output to be sent, for the end of a break, for a modem line.
pub(crate) fn waits(cmd: IoctlCmd) -> bool {
    drains(cmd.0) || cmd.0 == TIOCMIWAIT
}

/// Those that come after all output.
fn drains(cmd: u32) -> bool {
    matches!(cmd, TCSETSW | TCSETSF | TCSETSW2 | TCSETSF2 | TCSBRK | TCSBRKP | TIOCSBRK)
}

/// Carries out an ioctl.
pub(crate) fn serve(
    port: &Port,
    file: &File,
    cmd: IoctlCmd,
    arg: &mut IoctlArg<'_>,
) -> Result<i32, Errno> {
    // What has begun to break, or to wait for a line, has drained.
    if drains(cmd.0) && *arg.state == 0 {
        port.drained()?;
    }
    match cmd.0 {
        TCGETS | TCGETS2 => get_termios(port, arg.output),
        TCSETS | TCSETSW | TCSETSF | TCSETS2 | TCSETSW2 | TCSETSF2 => {
            port.set_termios(arg.input, matches!(cmd.0, TCSETSF | TCSETSF2))
        }
        TCSBRK | TCSBRKP | TIOCSBRK | TIOCCBRK => breaks(port, cmd.0, arg),
        TCXONC => port.flow_action(low(arg.value)),
        TCFLSH => port.flush(low(arg.value)),
        TIOCEXCL | TIOCNXCL => {
            port.clients().exclusive = cmd.0 == TIOCEXCL;
            Ok(0)
        }
        TIOCGEXCL => put(arg.output, i32::from(port.clients().exclusive)),
        TIOCINQ | TIOCOUTQ | TIOCSERGETLSR => queues(port, cmd.0, arg.output),
        TIOCMGET | TIOCMBIS | TIOCMBIC | TIOCMSET | TIOCMIWAIT => modem_lines(port, cmd.0, arg),
        TIOCGICOUNT => {
            port.look(|hardware| hardware.counts).write(arg.output);
            Ok(0)
        }
        TIOCGSERIAL | TIOCSSERIAL => serial_struct(port, file, cmd.0, arg),
        TIOCGWINSZ | TIOCSWINSZ | TIOCGETD | TIOCSETD | TIOCGSOFTCAR | TIOCSSOFTCAR => {
            terminal(port, cmd.0, arg)
        }
        // Job control and the rest of a terminal: there is no session on a serial port of ours.
        _ => Err(Errno::ENOTTY),
    }
}

fn low(value: u64) -> u32 {
    // CAST: the kernel's argument is an int.
    value as u32
}

fn put(to: &mut [u8], value: i32) -> Result<i32, Errno> {
    to.get_mut(..4).ok_or(Errno::EINVAL)?.copy_from_slice(&value.to_ne_bytes());
    Ok(0)
}

fn int(from: &[u8]) -> Result<i32, Errno> {
    let bytes = from.get(..4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(i32::from_ne_bytes).ok_or(Errno::EINVAL)
}

fn get_termios(port: &Port, output: &mut [u8]) -> Result<i32, Errno> {
    port.modes().write(output);
    Ok(0)
}

fn queues(port: &Port, cmd: u32, output: &mut [u8]) -> Result<i32, Errno> {
    let value = match cmd {
        TIOCINQ => port.fills[0].len(),
        TIOCOUTQ => port.fills[1].len(),
        _ => {
            let drained = port.drained().is_ok();
            return put(output, if drained { TIOCSER_TEMT } else { 0 });
        }
    };
    // CAST: a ring is far smaller than 2 GiB.
    put(output, value as i32)
}

fn modem_lines(port: &Port, cmd: u32, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
    if cmd == TIOCMGET {
        return put(arg.output, port.look(|hardware| hardware.modem_bits()));
    }
    if cmd == TIOCMIWAIT {
        return port.modem_change(low(arg.value).cast_signed(), arg.state);
    }
    let bits = int(arg.input)?;
    let (set, clear) = match cmd {
        TIOCMBIS => (bits, 0),
        TIOCMBIC => (0, bits),
        _ => (bits, !bits),
    };
    port.with(|hardware| Ok(hardware.change_outputs(set, clear)?))?;
    Ok(0)
}

fn serial_struct(port: &Port, file: &File, cmd: u32, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
    if cmd == TIOCGSERIAL {
        let bytes = port.look(serial::get);
        arg.output.get_mut(..SERIAL_BYTES).ok_or(Errno::EINVAL)?.copy_from_slice(&bytes);
        return Ok(0);
    }
    let termios = port.with(|hardware| {
        serial::set(hardware, arg.input, file.uid == 0)?;
        Ok(hardware.termios)
    })?;
    port.publish(termios);
    Ok(0)
}

/// What every terminal is asked, and has not much to do with a serial port.
fn terminal(port: &Port, cmd: u32, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
    match cmd {
        TIOCGWINSZ => {
            let window = port.clients().window;
            arg.output.get_mut(..8).ok_or(Errno::EINVAL)?.copy_from_slice(&window);
            Ok(0)
        }
        TIOCSWINSZ => {
            port.clients().window.copy_from_slice(arg.input.get(..8).ok_or(Errno::EINVAL)?);
            Ok(0)
        }
        // N_TTY, and no other.
        TIOCGETD => put(arg.output, 0),
        TIOCSETD => (int(arg.input)? == 0).then_some(0).ok_or(Errno::EINVAL),
        TIOCGSOFTCAR => put(arg.output, i32::from(port.modes().has(libc::CLOCAL))),
        _ => {
            let on = int(arg.input)? != 0;
            let mut termios = port.modes();
            termios.cflag = termios.cflag & !libc::CLOCAL | if on { libc::CLOCAL } else { 0 };
            port.apply(termios)
        }
    }
}

fn breaks(port: &Port, cmd: u32, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
    let tenths = BREAK_UNIT.saturating_mul(low(arg.value)).min(LONGEST_BREAK);
    match cmd {
        // tcdrain: to have drained is all.
        TCSBRK if arg.value != 0 => Ok(0),
        TCSBRKP if arg.value != 0 => port.timed_break(tenths, arg.state),
        TCSBRK | TCSBRKP => port.timed_break(BREAK, arg.state),
        _ => {
            port.with(|hardware| {
                hardware.held_break = cmd == TIOCSBRK;
                Ok(hardware.write_lcr()?)
            })?;
            Ok(0)
        }
    }
}

impl Port {
    /// `EAGAIN` while output is not on the wire yet; the writers' queue is woken when it is.
    fn drained(&self) -> Result<(), Errno> {
        let mut hardware = self.shared.hardware.lock_bh();
        if hardware.is_drained() {
            return Ok(());
        }
        hardware.drain_wanted = true;
        drop(hardware);
        self.tasklet.schedule();
        Err(Errno::EAGAIN)
    }

    fn set_termios(&self, input: &[u8], flush: bool) -> Result<i32, Errno> {
        let asked = Termios::parse(input, &self.modes()).ok_or(Errno::EINVAL)?;
        if flush {
            self.flush_input();
        }
        self.apply(asked)
    }

    fn apply(&self, asked: Termios) -> Result<i32, Errno> {
        let termios = self.with(|hardware| {
            hardware.configure(asked)?;
            Ok(hardware.termios)
        })?;
        self.publish(termios);
        Ok(0)
    }

    /// Lets reads and writes know; those that wait look again.
    pub(crate) fn publish(&self, termios: Termios) {
        *self.modes.lock().unwrap_or_else(PoisonError::into_inner) = termios;
        self.shared.read_wait.wake_all();
        self.shared.write_wait.wake_all();
    }

    /// Begins a break, or waits for the end of the one that this call began, as `state` says.
    fn timed_break(&self, length: Duration, state: &mut u64) -> Result<i32, Errno> {
        if *state == 0 {
            let until = Instant::now() + length;
            self.with(|hardware| {
                let known = hardware.break_until.unwrap_or(until);
                hardware.break_until = Some(known.max(until));
                Ok(hardware.write_lcr()?)
            })?;
            *state = 1;
            return Err(Errno::EAGAIN);
        }
        // The bottom half ends it, and wakes us then. Breaks of several callers end together.
        let over = self.look(|hardware| hardware.break_until.is_none());
        if over { Ok(0) } else { Err(Errno::EAGAIN) }
    }

    /// TIOCMIWAIT: waits for a change of one of the lines; `state` has the counts of when it began.
    fn modem_change(&self, lines: i32, state: &mut u64) -> Result<i32, Errno> {
        let now = self.look(|hardware| modem::snapshot(&hardware.counts));
        if *state == 0 {
            *state = now;
        }
        if modem::has_changed(*state, now, lines) { Ok(0) } else { Err(Errno::EAGAIN) }
    }

    /// TCXONC: stops and starts the output, or the other end's.
    fn flow_action(&self, action: u32) -> Result<i32, Errno> {
        self.with(|hardware| {
            match i32::try_from(action).unwrap_or(-1) {
                libc::TCOOFF => hardware.flow.suspended = true,
                libc::TCOON => hardware.flow.suspended = false,
                libc::TCIOFF => hardware.tell(true),
                libc::TCION => hardware.tell(false),
                _ => return Err(Errno::EINVAL),
            }
            Ok(0)
        })
    }

    /// TCFLSH.
    fn flush(&self, queue: u32) -> Result<i32, Errno> {
        let queue = i32::try_from(queue).unwrap_or(-1);
        if !matches!(queue, libc::TCIFLUSH | libc::TCOFLUSH | libc::TCIOFLUSH) {
            return Err(Errno::EINVAL);
        }
        if queue != libc::TCOFLUSH {
            self.flush_input();
        }
        if queue != libc::TCIFLUSH {
            self.flush_output()?;
        }
        Ok(0)
    }
}
