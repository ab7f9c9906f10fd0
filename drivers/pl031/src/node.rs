//! CHAR NODE: as the kernel's `/dev/rtcN` to programs, and in text to people.
//!
//! Mirrors `rtc_dev_read` and `rtc_dev_poll` of `drivers/rtc/dev.c`, with two differences. Several files may be
//! open: each counts alarms for itself, from its open on. And a read with room for a line gets one.

use uio_core::chardev::{CharDevice, File, IoctlArg, IoctlCmd, PollEvents};
use uio_core::error::Errno;
use uio_core::sync::WaitQueue;

use crate::clock::Alarm;
use crate::ioctl;
use crate::rtc::{Rtc, Seen};
use crate::text::{self, Command, Refusal, TEXT_FROM, When};

/// What a word says beside the count (`include/uapi/linux/rtc.h`): there was an interrupt, and it was the alarm's.
const RTC_IRQF: u64 = 0x80;
const RTC_AF: u64 = 0x20;

impl Rtc {
    /// A word as `rtc_dev_read` gives it: how often, and what.
    fn read_word(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        let (count, _) = self.take_news(file)?;
        let word = count << 8 | RTC_IRQF | RTC_AF;
        // CAST: the kernel's unsigned int is cut so.
        let short = (word as u32).to_ne_bytes();
        let long = word.to_ne_bytes();
        let bytes: &[u8] = if buf.len() == short.len() { &short } else { &long };
        buf[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    /// A line: first the time, then the alarms that ring.
    fn read_line(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        let told = self.seen(file, |seen| std::mem::replace(&mut seen.time, true))?;
        let line = if told {
            let (count, at) = self.take_news(file)?;
            text::alarm_line(count, at)
        } else {
            text::time_line(self.with(|clock| Ok(clock.time()?))?)
        };
        buf[..line.len()].copy_from_slice(line.as_bytes());
        Ok(line.len())
    }

    /// Alarms that rang since the last time, and when the latest did; `EAGAIN` if none.
    fn take_news(&self, file: &File) -> Result<(u64, u32), Errno> {
        let (count, at) = self.seen(file, |seen| {
            let (rung, at) = self.rung();
            (rung - std::mem::replace(&mut seen.rung, rung), at)
        })?;
        if count == 0 { Err(Errno::EAGAIN) } else { Ok((count, at)) }
    }

    fn seen<R>(&self, file: &File, act: impl FnOnce(&mut Seen) -> R) -> Result<R, Errno> {
        self.files.lock_bh().get_mut(&file.handle).map(act).ok_or(Errno::EBADF)
    }

    /// Root and the owner of the daemon set the time, as those with CAP_SYS_TIME do in the kernel.
    pub(crate) fn may_set(&self, file: &File) -> Result<(), Errno> {
        if file.uid == 0 || file.uid == self.owner { Ok(()) } else { Err(Errno::EACCES) }
    }

    fn follow(&self, file: &File, command: Command) -> Result<(), Errno> {
        match command {
            Command::SetTime(time) => {
                self.may_set(file)?;
                self.with(|clock| clock.set_time(time))
            }
            Command::Arm(when) => self.with(|clock| {
                let at = match when {
                    When::At(at) => at,
                    When::In(span) => clock.time()?.checked_add(span).ok_or(Errno::ERANGE)?,
                };
                Ok(clock.set_alarm(Alarm { at, armed: true })?)
            }),
            Command::Disarm => self.with(|clock| Ok(clock.enable_alarm(false)?)),
        }
    }

    /// Explains once for each open file: the client itself hears no more than an error's number.
    fn explain(&self, file: &File, data: &[u8], Refusal(errno, why): Refusal) -> Errno {
        let told = self.seen(file, |seen| std::mem::replace(&mut seen.fault, true));
        if told == Ok(false) {
            let begin = String::from_utf8_lossy(&data[..data.len().min(TEXT_FROM)]);
            tracing::info!("{}: cannot follow {:?}: {why}", self.name, begin.trim());
        }
        errno
    }
}

impl CharDevice for Rtc {
    fn open(&self, file: &File) -> Result<(), Errno> {
        let mut files = self.files.lock_bh();
        let (rung, _) = self.rung();
        files.insert(file.handle, Seen { rung, ..Seen::default() });
        Ok(())
    }

    fn release(&self, file: &File) {
        self.files.lock_bh().remove(&file.handle);
    }

    fn read(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno> {
        match buf.len() {
            TEXT_FROM.. => self.read_line(file, buf),
            4 | 8.. => self.read_word(file, buf),
            _ => Err(Errno::EINVAL),
        }
    }

    fn write(&self, file: &File, data: &[u8]) -> Result<usize, Errno> {
        let command = text::parse(data).map_err(|refusal| self.explain(file, data, refusal))?;
        self.follow(file, command)?;
        Ok(data.len())
    }

    fn poll(&self, file: &File) -> PollEvents {
        let news = self.seen(file, |seen| seen.rung != self.rung().0).unwrap_or(false);
        let readable = if news { PollEvents::READABLE } else { PollEvents::empty() };
        // A write is never put off.
        readable | PollEvents::WRITABLE
    }

    fn ioctl(&self, file: &File, cmd: IoctlCmd, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
        ioctl::serve(self, file, cmd, arg).map(|()| 0)
    }

    /// A file is told the time though another waits for the alarm.
    fn reads_apart(&self) -> bool {
        true
    }

    fn read_wait(&self) -> &WaitQueue {
        self.waiting_readers()
    }

    fn write_wait(&self) -> &WaitQueue {
        self.waiting_writers()
    }
}
