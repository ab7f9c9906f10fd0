//! The ioctls of the node: their numbers, their arguments, and what each does. `docs/edu.md` tells them to users.
//!
//! All have their size in their number, so that the kernel copies their arguments by itself.

use uio_core::chardev::{IoctlArg, IoctlCmd};
use uio_core::error::Errno;
use uio_core::io::Io;

use crate::dma::{LONGEST, Transfer};
use crate::engine::{Engine, Ticket, Unit};
use crate::factorial::Computation;
use crate::node::Node;
use crate::regs::{Id, IrqRaise, Liveness};

/// Bytes of `struct edu_dma`: the offset, the length, the data.
const DMA_BYTES: u32 = 8 + LONGEST as u32;
/// Bytes of `struct edu_stats`: eleven numbers of 8 bytes.
const STATS_BYTES: u32 = 11 * 8;

const WRITE: u32 = 1;
const READ: u32 = 2;

/// `_IOC(direction, 'E', number, size)`.
const fn number(direction: u32, number: u32, size: u32) -> IoctlCmd {
    // CAST: a character of ASCII.
    IoctlCmd(direction << 30 | size << 16 | (b'E' as u32) << 8 | number)
}

/// `_IOR('E', 0, u32)`: what ID reads as.
pub(crate) const ID: IoctlCmd = number(READ, 0, 4);
/// `_IOWR('E', 1, u32)`: inverts a number by the LIVENESS register.
pub(crate) const LIVENESS: IoctlCmd = number(READ | WRITE, 1, 4);
/// `_IOWR('E', 2, u32)`: the factorial of a number, modulo 2^32.
pub(crate) const FACTORIAL: IoctlCmd = number(READ | WRITE, 2, 4);
/// `_IOW('E', 3, struct edu_dma)`: moves bytes into the device's buffer.
pub(crate) const DMA_WRITE: IoctlCmd = number(WRITE, 3, DMA_BYTES);
/// `_IOWR('E', 4, struct edu_dma)`: moves bytes out of it.
pub(crate) const DMA_READ: IoctlCmd = number(READ | WRITE, 4, DMA_BYTES);
/// `_IOW('E', 5, u32)`: has the device raise an interrupt.
pub(crate) const RAISE: IoctlCmd = number(WRITE, 5, 4);
/// `_IOR('E', 6, struct edu_stats)`: what the driver has counted.
pub(crate) const STATS: IoctlCmd = number(READ, 6, STATS_BYTES);

/// Whether a call waits for an engine.
pub(crate) fn waits(cmd: IoctlCmd) -> bool {
    [FACTORIAL, DMA_WRITE, DMA_READ].contains(&cmd)
}

impl Node {
    pub(crate) fn carry_out(&self, cmd: IoctlCmd, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        match cmd {
            ID => put(arg, &self.engines.whole.regs.try_read::<Id>()?.raw().to_ne_bytes()),
            LIVENESS => self.invert(arg),
            FACTORIAL => self.compute(arg),
            DMA_WRITE => self.dma_write(arg),
            DMA_READ => self.dma_read(arg),
            RAISE => self.raise(arg),
            STATS => self.tell_stats(arg),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn invert(&self, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        let number = word(arg.input, 0)?;
        let regs = &self.engines.whole.regs;
        // One client's number is not another's answer.
        let turn = self.liveness.lock_bh();
        regs.try_write(Liveness::new(number))?;
        let answer = regs.try_read::<Liveness>()?.raw();
        drop(turn);
        put(arg, &answer.to_ne_bytes())
    }

    fn compute(&self, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        let number = word(arg.input, 0)?;
        let done = self.ask(&self.engines.factorial, arg.state, || Ok(Computation(number)))?;
        put(arg, &done.0.to_ne_bytes())
    }

    fn dma_write(&self, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        let (offset, len) = (size(arg.input, 0)?, size(arg.input, 4)?);
        let data = arg.input.get(8..).and_then(|data| data.get(..len)).ok_or(Errno::EINVAL)?;
        let dma = self.dma()?;
        let first = *arg.state == 0;
        let done = self.ask(dma, arg.state, || Transfer::to_device(offset, data));
        if first && *arg.state != 0 {
            self.files.lock_bh().content.changed();
        }
        done.map(drop)
    }

    fn dma_read(&self, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        let (offset, len) = (size(arg.input, 0)?, size(arg.input, 4)?);
        let dma = self.dma()?;
        let done = self.ask(dma, arg.state, || Transfer::from_device(offset, len))?;
        let head = arg.input.get(..8).ok_or(Errno::EINVAL)?;
        arg.output.get_mut(..8).ok_or(Errno::EINVAL)?.copy_from_slice(head);
        let room = arg.output.get_mut(8..8 + len).ok_or(Errno::EINVAL)?;
        room.copy_from_slice(done.data());
        Ok(())
    }

    fn raise(&self, arg: &IoctlArg<'_>) -> Result<(), Errno> {
        match word(arg.input, 0)? {
            // It would raise nothing.
            0 => Err(Errno::EINVAL),
            bits => Ok(self.engines.whole.regs.try_write(IrqRaise::new(bits))?),
        }
    }

    fn tell_stats(&self, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        let counted = self.engines.stats.read();
        let about = [u64::from(self.engines.dma.is_some()), self.irq_kind];
        let numbers = counted.iter().chain(&about).flat_map(|number| number.to_ne_bytes());
        put(arg, &numbers.collect::<Vec<u8>>())
    }

    /// Queues a job at the first trial of a call, and looks for its result at the later ones. `state` is the
    /// ticket in between.
    fn ask<U: Unit>(
        &self,
        engine: &Engine<U>,
        state: &mut u64,
        job: impl FnOnce() -> Result<U::Job, Errno>,
    ) -> Result<U::Job, Errno> {
        let ticket = match Ticket::from_raw(*state) {
            Some(ticket) => ticket,
            None => {
                let ticket = engine.submit(job()?)?;
                self.engines.watch();
                ticket
            }
        };
        *state = ticket.get();
        engine.claim(ticket)
    }
}

/// The word at `offset` of what the client handed in.
fn word(input: &[u8], offset: usize) -> Result<u32, Errno> {
    let bytes = input.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_ne_bytes).ok_or(Errno::EINVAL)
}

/// A word that is an offset or a length.
fn size(input: &[u8], offset: usize) -> Result<usize, Errno> {
    // CAST: a usize has at least 32 bits on Linux.
    Ok(word(input, offset)? as usize)
}

fn put(arg: &mut IoctlArg<'_>, answer: &[u8]) -> Result<(), Errno> {
    arg.output.get_mut(..answer.len()).ok_or(Errno::EINVAL)?.copy_from_slice(answer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_that_the_manual_tells() {
        let all = [ID, LIVENESS, FACTORIAL, DMA_WRITE, DMA_READ, RAISE, STATS];
        let numbers = all.map(|cmd| cmd.0);
        let manual = include_str!("../../../docs/edu.md");
        for number in numbers {
            let text = format!("0x{number:08X}");
            assert!(manual.contains(&text), "{text}");
        }
    }
}
