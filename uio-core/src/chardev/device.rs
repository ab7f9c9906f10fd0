//! What a driver implements to be a character device: [`CharDevice`].
//!
//! Mirrors `struct file_operations` (`include/linux/fs.h`) and the `MiscDevice` trait of
//! `rust/kernel/miscdevice.rs`, with one difference: **no operation ever blocks**. Where a kernel driver
//! sleeps in `read`, ours answers `EAGAIN` and names, once and for all, the [`WaitQueue`] on which the
//! request waits. The session parks the request and tries again on every wake-up of that queue, in order of
//! arrival. A blocked client therefore holds an entry in a table and no thread.

use nix::errno::Errno;

use crate::sync::WaitQueue;

bitflags::bitflags! {
    /// Readiness of a file, in the bits of `poll(2)` (`include/uapi/asm-generic/poll.h`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct PollEvents: u32 {
        /// There is data to read.
        const IN = 0x0001;
        /// There is room to write.
        const OUT = 0x0004;
        /// The device is in error.
        const ERR = 0x0008;
        /// The device is gone.
        const HUP = 0x0010;
        /// Normal data may be read; a kernel device sets it together with `IN`.
        const RDNORM = 0x0040;
        /// Normal data may be written; a kernel device sets it together with `OUT`.
        const WRNORM = 0x0100;
    }
}

impl PollEvents {
    /// `IN` and `RDNORM`, as a kernel device reports data.
    pub const READABLE: Self = Self::IN.union(Self::RDNORM);
    /// `OUT` and `WRNORM`, as a kernel device reports room.
    pub const WRITABLE: Self = Self::OUT.union(Self::WRNORM);
}

/// An open file description of a node: what `open(2)` made and the last `close(2)` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Number of the open, unique for the life of the node.
    pub handle: u64,
    /// The status flags, as last seen: those of `open(2)`, until `fcntl(F_SETFL)` changes them and the file is
    /// read or written next.
    pub flags: i32,
    /// User id of the opener.
    pub uid: u32,
    /// Group id of the opener.
    pub gid: u32,
    /// Thread id of the opener, in the pid namespace of the daemon; 0 if it is not visible there.
    pub pid: u32,
}

impl File {
    /// Whether its calls are not to wait.
    pub fn is_nonblocking(&self) -> bool {
        self.flags & libc::O_NONBLOCK != 0
    }
}

/// The number of an `ioctl(2)`, taken apart as `include/uapi/asm-generic/ioctl.h` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoctlCmd(pub u32);

impl IoctlCmd {
    /// `FIONREAD`, alias `TIOCINQ`: the number of bytes that a read would return, into an `int`.
    pub const FIONREAD: Self = Self(0x541B);

    /// Size of the argument in bytes, as encoded in the number (`_IOC_SIZE`).
    pub fn encoded_size(self) -> usize {
        (self.0 >> 16 & 0x3FFF) as usize
    }

    /// Whether the number says that the caller hands data in (`_IOC_WRITE`).
    pub fn writes(self) -> bool {
        self.0 >> 30 & 1 != 0
    }

    /// Whether the number says that the caller gets data back (`_IOC_READ`).
    pub fn reads(self) -> bool {
        self.0 >> 31 & 1 != 0
    }
}

/// Sizes of an ioctl's argument, in bytes, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IoctlLayout {
    /// Bytes that the client hands in.
    pub input: usize,
    /// Bytes that the client gets back at the most.
    pub output: usize,
}

/// A call that waited, as [`CharDevice::interrupted`] is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingCall {
    /// A read.
    Read,
    /// A write.
    Write,
    /// An ioctl, and what its last trial left in [`IoctlArg::state`].
    Ioctl {
        /// Its number.
        cmd: IoctlCmd,
        /// The state.
        state: u64,
    },
}

/// The argument of an ioctl, copied from and to the client by the session.
#[derive(Debug)]
pub struct IoctlArg<'a> {
    /// The third argument of `ioctl(2)` as it was passed: for numbers that take a value, not a pointer.
    pub value: u64,
    /// What the client handed in: [`IoctlLayout::input`] bytes.
    pub input: &'a [u8],
    /// Room for what the client gets back: [`IoctlLayout::output`] bytes, zeroed.
    pub output: &'a mut [u8],
    /// 0 at the first trial; what a trial that ends with `EAGAIN` leaves here, the next one of the same call
    /// finds. Only for calls that [wait](CharDevice::ioctl_waits).
    pub state: &'a mut u64,
}

/// The operations of a character device. See the [module](self) for how blocking works.
///
/// Calls for one node may come from several threads at once: the node's session thread, and whoever wakes
/// one of the queues. Errors go to the client as they are; never answer `ENOSYS`, which the kernel remembers
/// as "this device has no such operation, do not ask again".
pub trait CharDevice: Send + Sync {
    /// A client opens the node.
    ///
    /// # Errors
    ///
    /// What `open(2)` is to return.
    fn open(&self, file: &File) -> Result<(), Errno> {
        let _ = file;
        Ok(())
    }

    /// The last reference to an open file went away.
    fn release(&self, file: &File) {
        let _ = file;
    }

    /// Moves what is there into `buf`, at most its length, and returns how many bytes; 0 is end of file.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if nothing is there: a blocking caller then waits on [`read_wait`](Self::read_wait).
    fn read(&self, file: &File, buf: &mut [u8]) -> Result<usize, Errno>;

    /// Takes as much of `data` as there is room for, and returns how many bytes.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is no room: a blocking caller then waits on [`write_wait`](Self::write_wait).
    fn write(&self, file: &File, data: &[u8]) -> Result<usize, Errno>;

    /// What the file is ready for now. Must not report readiness for which `read` or `write` says `EAGAIN`.
    fn poll(&self, file: &File) -> PollEvents;

    /// The sizes of the argument of `cmd`. The default believes the number (`_IOC_DIR`, `_IOC_SIZE`), and
    /// knows the numbers from before that encoding which a stream device is asked.
    fn ioctl_layout(&self, cmd: IoctlCmd) -> IoctlLayout {
        if cmd == IoctlCmd::FIONREAD {
            return IoctlLayout { input: 0, output: size_of::<i32>() };
        }
        let size = |used: bool| if used { cmd.encoded_size() } else { 0 };
        IoctlLayout { input: size(cmd.writes()), output: size(cmd.reads()) }
    }

    /// Carries out an ioctl and returns the call's result, 0 or more.
    ///
    /// # Errors
    ///
    /// `ENOTTY` for a number that the device does not know (the default).
    fn ioctl(&self, file: &File, cmd: IoctlCmd, arg: &mut IoctlArg<'_>) -> Result<i32, Errno> {
        let _ = (file, cmd, arg);
        Err(Errno::ENOTTY)
    }

    /// Whether a call of `cmd` waits for what it cannot have yet, as `tcdrain` does. If so, and
    /// [`ioctl`](Self::ioctl) answers `EAGAIN`, the call is tried again whenever
    /// [`write_wait`](Self::write_wait) is woken, until it answers something else or a signal ends it.
    ///
    /// `O_NONBLOCK` makes no difference, as in the kernel's terminals; a device for which it does looks at
    /// [`File::flags`]. The default: no call waits, and `EAGAIN` goes to the client.
    fn ioctl_waits(&self, cmd: IoctlCmd) -> bool {
        let _ = cmd;
        false
    }

    /// A signal ended a call that waited, and it will not be tried again: what the device keeps for it can go. A
    /// kernel driver does this where its `wait_event_interruptible` returns `-ERESTARTSYS`.
    ///
    /// The client gets its `EINTR` afterwards.
    fn interrupted(&self, file: &File, call: WaitingCall) {
        let _ = (file, call);
    }

    /// Whether each open file reads what is its own, as the events since its open: then a file that has nothing to read
    /// does not hold up the others. The default: all of them read one stream, and are served in order of arrival.
    ///
    /// Asked once, when the node is made.
    fn reads_apart(&self) -> bool {
        false
    }

    /// Woken when data arrived: blocked reads are tried again, pollers are told.
    fn read_wait(&self) -> &WaitQueue;

    /// Woken when room was made: blocked writes and waiting ioctls are tried again, pollers are told.
    fn write_wait(&self) -> &WaitQueue;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ioctl_number_is_taken_apart_as_the_kernel_does() {
        // _IOWR('T', 1, u64)
        let cmd = IoctlCmd(0xC008_5401);
        assert!(cmd.reads() && cmd.writes());
        assert_eq!(cmd.encoded_size(), 8);
    }
}
