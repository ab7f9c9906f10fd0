//! Ioctls: tried at once, and parked if the device says that they wait.
//!
//! The arguments of the [parent](super) hold for them too, with one difference: every pass tries all of them,
//! since one that drains the output has nothing to do with one that waits for a modem line.

use nix::errno::Errno;

use super::{Answer, Pump, guarded};
use crate::chardev::device::{File, IoctlArg, IoctlCmd};
use crate::chardev::table::{Direction, Job, Owed, Waiting, Work};
use crate::chardev::wire::abi::IoctlOut;
use crate::chardev::wire::reply::Reply;

/// A fresh IOCTL, its data already copied from the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ioctl<'a> {
    pub(crate) cmd: IoctlCmd,
    pub(crate) value: u64,
    pub(crate) input: &'a [u8],
}

impl<A: Answer> Pump<A> {
    /// A fresh IOCTL. `output` is the session's, as long as what the client gets back.
    pub(crate) fn ioctl(&self, owed: Owed, file: &File, call: Ioctl<'_>, output: &mut [u8]) {
        let mut state = 0;
        let result = self.ioctl_device(file, call, &mut state, output);
        if result != Err(Errno::EAGAIN) || !self.ioctl_waits(call.cmd) {
            return self.answer_ioctl(owed, result, output);
        }
        let Ioctl { cmd, value, input } = call;
        let waiting = Waiting { cmd, value, input: input.into(), output: output.len(), state };
        self.park(owed, *file, Work::Ioctl(waiting));
    }

    /// Tries all that are parked, once each.
    pub(super) fn serve_ioctls(&self, buf: &mut Vec<u8>) {
        let (mut left, _) = self.waiting(Direction::Ioctl);
        while let Some(job) = (left > 0).then(|| self.claim(Direction::Ioctl)).flatten() {
            left -= 1;
            self.serve_ioctl(job, buf);
        }
    }

    fn serve_ioctl(&self, mut job: Job, buf: &mut Vec<u8>) {
        let Work::Ioctl(waiting) = &mut job.work else { return self.misplaced(job) };
        let size = waiting.output;
        if buf.len() < size {
            buf.resize(size, 0);
        }
        let call = Ioctl { cmd: waiting.cmd, value: waiting.value, input: &waiting.input };
        let result = self.ioctl_device(&job.file, call, &mut waiting.state, &mut buf[..size]);
        if result == Err(Errno::EAGAIN) {
            if let Err((job, errno)) = self.put_back(job) {
                self.give_up(job, errno);
            }
            return;
        }
        let owed = self.settle(job);
        self.answer_ioctl(owed, result, &buf[..size]);
    }

    /// Not reached: each queue has its own kind of work.
    fn misplaced(&self, job: Job) {
        let owed = self.settle(job);
        self.fail(owed, Errno::EIO);
    }

    fn ioctl_waits(&self, cmd: IoctlCmd) -> bool {
        guarded(|| Ok(self.device().ioctl_waits(cmd))).unwrap_or(false)
    }

    fn ioctl_device(
        &self,
        file: &File,
        call: Ioctl<'_>,
        state: &mut u64,
        output: &mut [u8],
    ) -> Result<i32, Errno> {
        output.fill(0);
        let Ioctl { cmd, value, input } = call;
        let mut arg = IoctlArg { value, input, output, state };
        guarded(|| self.device().ioctl(file, cmd, &mut arg))
    }

    fn answer_ioctl(&self, owed: Owed, result: Result<i32, Errno>, output: &[u8]) {
        match result {
            Ok(result) => {
                let out = IoctlOut { result, ..IoctlOut::default() };
                self.reply(owed, &Reply::Ioctl(out, output));
            }
            Err(Errno::ENOSYS) => self.fail(owed, Errno::ENOTTY),
            Err(errno) => self.fail(owed, errno),
        }
    }
}
