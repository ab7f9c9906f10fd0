//! The ioctls of the node: their numbers, their arguments, and what each does. `docs/zynqmp-dma.md` tells them to users.
//!
//! All have their size in their number, so that the kernel copies their arguments by itself.

use uio_core::chardev::{File, IoctlArg, IoctlCmd};
use uio_core::error::Errno;

use crate::copies::{COPY_BYTES, Copy};
use crate::node::Node;
use crate::queue::{Completion, IN_FLIGHT, Mode};
use crate::stats::COUNTS;

/// Bytes of `struct zdma_info`.
const INFO_BYTES: u32 = 32;
/// Bytes of `struct zdma_completion`.
pub(crate) const COMPLETION_BYTES: usize = 16;
/// Bytes of `struct zdma_mode`.
const MODE_BYTES: usize = 16;
/// Bytes of `struct zdma_stats`.
const STATS_BYTES: u32 = COUNTS as u32 * 8;

const WRITE: u32 = 1;
const READ: u32 = 2;

/// `_IOC(direction, 'Z', number, size)`.
const fn number(direction: u32, number: u32, size: u32) -> IoctlCmd {
    // CAST: a character of ASCII.
    IoctlCmd(direction << 30 | size << 16 | (b'Z' as u32) << 8 | number)
}

/// `_IOR('Z', 0, struct zdma_info)`: what may be copied.
pub(crate) const INFO: IoctlCmd = number(READ, 0, INFO_BYTES);
/// `_IOW('Z', 1, struct zdma_mode)`: what reads and writes of this open file mean.
pub(crate) const MODE: IoctlCmd = number(WRITE, 1, MODE_BYTES as u32);
/// `_IOW('Z', 2, struct zdma_copy)`: queues a copy.
pub(crate) const SUBMIT: IoctlCmd = number(WRITE, 2, COPY_BYTES as u32);
/// `_IOR('Z', 3, struct zdma_completion)`: waits for a copy of this open file to end.
pub(crate) const WAIT: IoctlCmd = number(READ, 3, COMPLETION_BYTES as u32);
/// `_IOR('Z', 4, struct zdma_stats)`: what the driver has counted.
pub(crate) const STATS: IoctlCmd = number(READ, 4, STATS_BYTES);

/// Whether a call waits for the engine.
pub(crate) fn waits(cmd: IoctlCmd) -> bool {
    [SUBMIT, WAIT].contains(&cmd)
}

/// `struct zdma_completion`: the cookie, and 0 or the number of the error.
pub(crate) fn completion_bytes(completion: &Completion) -> [u8; COMPLETION_BYTES] {
    // CAST: numbers of errors are positive and small.
    let error = completion.result.map_or_else(|errno| errno as u32, |()| 0);
    let mut bytes = [0; COMPLETION_BYTES];
    bytes[..8].copy_from_slice(&completion.cookie.to_ne_bytes());
    bytes[8..12].copy_from_slice(&error.to_ne_bytes());
    bytes
}

impl Node {
    pub(crate) fn carry_out(
        &self,
        file: &File,
        cmd: IoctlCmd,
        arg: &mut IoctlArg<'_>,
    ) -> Result<(), Errno> {
        match cmd {
            INFO => self.tell_info(arg),
            MODE => self.set_mode(file, arg.input),
            SUBMIT => {
                let bytes: &[u8; COPY_BYTES] = arg.input.try_into().map_err(|_| Errno::EINVAL)?;
                self.submit(file, &Copy::parse(bytes))
            }
            WAIT => self.wait(file, arg),
            STATS => {
                let numbers = self.engine.stats.read();
                put(arg, &numbers.map(u64::to_ne_bytes).concat())
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn tell_info(&self, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        let limits = &self.limits;
        let mut info = Vec::new();
        info.extend(limits.bytes.to_ne_bytes());
        info.extend(self.engine.keep.arena.iova().0.to_ne_bytes());
        info.extend(limits.longest().to_ne_bytes());
        // CAST: both are small.
        info.extend((limits.align as u32).to_ne_bytes());
        info.extend((IN_FLIGHT as u32).to_ne_bytes());
        put(arg, &info)
    }

    fn set_mode(&self, file: &File, input: &[u8]) -> Result<(), Errno> {
        let bytes: &[u8; MODE_BYTES] = input.try_into().map_err(|_| Errno::EINVAL)?;
        let (words, _) = bytes.as_chunks::<8>();
        let (mode, offset) = (u64::from_ne_bytes(words[0]), u64::from_ne_bytes(words[1]));
        let mode = match mode {
            0 => Mode::Echo,
            1 => Mode::Memory,
            2 => Mode::Queue,
            _ => return Err(Errno::EINVAL),
        };
        if offset != 0 && mode != Mode::Memory {
            return Err(Errno::EINVAL);
        }
        if offset > self.limits.bytes {
            return Err(Errno::ERANGE);
        }
        self.with(file, |open| {
            open.mode = mode;
            open.position = offset;
            Ok(())
        })
    }

    fn wait(&self, file: &File, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        let completion = self.with(file, |open| match open.done.pop_front() {
            Some(completion) => Ok(completion),
            None if open.in_flight == 0 => Err(Errno::ENODATA),
            None => Err(Errno::EAGAIN),
        })?;
        put(arg, &completion_bytes(&completion))
    }
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
        let manual = include_str!("../../../docs/zynqmp-dma.md");
        for number in [INFO, MODE, SUBMIT, WAIT, STATS].map(|cmd| cmd.0) {
            let text = format!("0x{number:08X}");
            assert!(manual.contains(&text), "{text}");
        }
    }
}
