//! The ioctls of the node: those of the kernel's GPIO character device that need no descriptor of their own, and one
//! for the form of the events. `docs/pl061.md` tells them to users.
//!
//! All have their size in their number, so that the kernel copies their arguments by itself.

use uio_core::chardev::{File, IoctlArg, IoctlCmd};
use uio_core::error::Errno;

use crate::journal::Format;
use crate::lines::{Change, To};
use crate::node::Node;
use crate::uapi::{self, CHIP_INFO_BYTES, LINE_CONFIG_BYTES, LINE_INFO_BYTES, LINE_VALUES_BYTES};

const WRITE: u32 = 1;
const READ: u32 = 2;

/// `_IOC(direction, 0xB4, number, size)`.
const fn number(direction: u32, number: u32, size: usize) -> IoctlCmd {
    // CAST: a size has 14 bits.
    IoctlCmd(direction << 30 | (size as u32) << 16 | 0xB4 << 8 | number)
}

/// `GPIO_GET_CHIPINFO_IOCTL`: the name of the node, `pl061`, eight lines.
pub(crate) const GET_CHIPINFO: IoctlCmd = number(READ, 0x01, CHIP_INFO_BYTES);
/// `GPIO_V2_GET_LINEINFO_IOCTL`: how a line stands.
pub(crate) const GET_LINEINFO: IoctlCmd = number(READ | WRITE, 0x05, LINE_INFO_BYTES);
/// `GPIO_V2_LINE_SET_CONFIG_IOCTL`: what lines are to be.
pub(crate) const SET_CONFIG: IoctlCmd = number(READ | WRITE, 0x0D, LINE_CONFIG_BYTES);
/// `GPIO_V2_LINE_GET_VALUES_IOCTL`: the levels of lines, of one moment.
pub(crate) const GET_VALUES: IoctlCmd = number(READ | WRITE, 0x0E, LINE_VALUES_BYTES);
/// `GPIO_V2_LINE_SET_VALUES_IOCTL`: sets the levels of outputs, together.
pub(crate) const SET_VALUES: IoctlCmd = number(READ | WRITE, 0x0F, LINE_VALUES_BYTES);
/// `GPIOUIO_SET_FORMAT`, not the kernel's: what reads of this open file give, 0 text, 1 binary.
pub(crate) const SET_FORMAT: IoctlCmd = number(WRITE, 0x40, 4);

impl Node {
    pub(crate) fn carry_out(
        &self,
        file: &File,
        cmd: IoctlCmd,
        arg: &mut IoctlArg<'_>,
    ) -> Result<(), Errno> {
        match cmd {
            GET_CHIPINFO => {
                uapi::put_chip_info(answer(arg, CHIP_INFO_BYTES)?, &self.name, "pl061");
                Ok(())
            }
            GET_LINEINFO => self.line_info(arg),
            SET_CONFIG => self.set_config(arg),
            GET_VALUES => self.get_values(arg),
            SET_VALUES => self.set_values(arg),
            SET_FORMAT => self.set_format(file, arg),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn line_info(&self, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        let offset = uapi::u32_at(arg.input, 64)?;
        let states = self.shared.hardware.lock_irqsave().states()?;
        // CAST: a usize has at least 32 bits on Linux.
        let line = offset as usize;
        let state = states.get(line).ok_or(Errno::EINVAL)?;
        uapi::put_line_info(answer(arg, LINE_INFO_BYTES)?, offset, state, &self.lines[line]);
        Ok(())
    }

    fn set_config(&self, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        let changes = uapi::line_config(arg.input)?;
        self.apply(&changes).map_err(|refusal| refusal.errno)?;
        give_back(arg, LINE_CONFIG_BYTES)
    }

    fn get_values(&self, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        let mask = some_lines(arg.input)?;
        let levels = self.shared.hardware.lock_irqsave().levels(mask)?;
        give_back(arg, LINE_VALUES_BYTES)?;
        let bits = answer(arg, LINE_VALUES_BYTES)?;
        bits[..8].copy_from_slice(&u64::from(levels).to_ne_bytes());
        Ok(())
    }

    fn set_values(&self, arg: &mut IoctlArg<'_>) -> Result<(), Errno> {
        let lines = some_lines(arg.input)?;
        // Bits outside the mask mean nothing.
        let bits = uapi::mask(uapi::u64_at(arg.input, 0)? & u64::from(lines))?;
        self.apply(&[Change { lines, to: To::Level(bits) }]).map_err(|refusal| refusal.errno)?;
        give_back(arg, LINE_VALUES_BYTES)
    }

    fn set_format(&self, file: &File, arg: &IoctlArg<'_>) -> Result<(), Errno> {
        let format = match uapi::u32_at(arg.input, 0)? {
            0 => Format::Text,
            1 => Format::Binary,
            _ => return Err(Errno::EINVAL),
        };
        self.shared.journal.lock_bh().set_format(file.handle, format)
    }
}

/// The mask of a `struct gpio_v2_line_values`, which names one line at least.
fn some_lines(input: &[u8]) -> Result<u8, Errno> {
    match uapi::mask(uapi::u64_at(input, 8)?)? {
        0 => Err(Errno::EINVAL),
        mask => Ok(mask),
    }
}

fn answer<'a>(arg: &'a mut IoctlArg<'_>, bytes: usize) -> Result<&'a mut [u8], Errno> {
    arg.output.get_mut(..bytes).ok_or(Errno::EINVAL)
}

/// What the client handed in is what it gets back.
fn give_back(arg: &mut IoctlArg<'_>, bytes: usize) -> Result<(), Errno> {
    let input = arg.input.get(..bytes).ok_or(Errno::EINVAL)?;
    arg.output.get_mut(..bytes).ok_or(Errno::EINVAL)?.copy_from_slice(input);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_kernels_and_those_that_the_manual_tells() {
        let all = [GET_CHIPINFO, GET_LINEINFO, SET_CONFIG, GET_VALUES, SET_VALUES, SET_FORMAT];
        let numbers = all.map(|cmd| cmd.0);
        let kernel = [0x8044_B401, 0xC100_B405, 0xC110_B40D, 0xC010_B40E, 0xC010_B40F];
        assert_eq!(numbers[..5], kernel);
        let manual = include_str!("../../../docs/pl061.md");
        for number in numbers {
            let text = format!("0x{number:08X}");
            assert!(manual.contains(&text), "{text}");
        }
    }
}
