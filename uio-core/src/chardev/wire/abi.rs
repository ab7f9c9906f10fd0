//! The structures and numbers of `include/uapi/linux/fuse.h` that a character device meets.
//!
//! Field names are the header's. Every structure is plain old data without padding, and its size is that of
//! the kernel's, checked when this file compiles. Byte order is the machine's own.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Major version of the protocol; another one is refused by either side.
pub(crate) const MAJOR: u32 = 7;
/// The newest minor version whose structures are those below (Linux 6.12).
pub(crate) const MINOR: u32 = 41;
/// The oldest minor version that is served: 16 brought the unambiguous `ioctl_iovec`.
pub(crate) const MINOR_OLDEST: u32 = 16;

/// Request numbers (`enum fuse_opcode`).
pub(crate) mod opcode {
    pub(crate) const LOOKUP: u32 = 1;
    pub(crate) const FORGET: u32 = 2;
    pub(crate) const GETATTR: u32 = 3;
    pub(crate) const SETATTR: u32 = 4;
    pub(crate) const OPEN: u32 = 14;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const STATFS: u32 = 17;
    pub(crate) const RELEASE: u32 = 18;
    pub(crate) const FLUSH: u32 = 25;
    pub(crate) const INIT: u32 = 26;
    pub(crate) const OPENDIR: u32 = 27;
    pub(crate) const READDIR: u32 = 28;
    pub(crate) const RELEASEDIR: u32 = 29;
    pub(crate) const SETLK: u32 = 32;
    pub(crate) const SETLKW: u32 = 33;
    pub(crate) const INTERRUPT: u32 = 36;
    pub(crate) const DESTROY: u32 = 38;
    pub(crate) const IOCTL: u32 = 39;
    pub(crate) const POLL: u32 = 40;
    pub(crate) const BATCH_FORGET: u32 = 42;
    pub(crate) const CUSE_INIT: u32 = 4096;
}

/// `enum fuse_notify_code`: what a message with `unique == 0` says.
pub(crate) const NOTIFY_POLL: i32 = 1;

/// `CUSE_INIT` flag: the driver may name client memory in ioctls.
pub(crate) const CUSE_UNRESTRICTED_IOCTL: u32 = 1 << 0;

/// `FUSE_INIT` flags.
pub(crate) mod init {
    pub(crate) const BIG_WRITES: u32 = 1 << 5;
    /// `flock` comes to us.
    pub(crate) const FLOCK_LOCKS: u32 = 1 << 10;
    pub(crate) const MAX_PAGES: u32 = 1 << 22;
}

/// Flags of `open_out`.
pub(crate) mod fopen {
    /// Reads and writes come to us as they are, past the page cache and past `st_size`.
    pub(crate) const DIRECT_IO: u32 = 1 << 0;
    /// No `lseek`.
    pub(crate) const NONSEEKABLE: u32 = 1 << 2;
    /// No file position at all, so a read and a write on one descriptor do not wait for each other.
    pub(crate) const STREAM: u32 = 1 << 4;
    /// `close` sends no FLUSH.
    pub(crate) const NOFLUSH: u32 = 1 << 5;
    /// Writes below `st_size` share the inode lock, so a blocked one does not hold up the others.
    pub(crate) const PARALLEL_DIRECT_WRITES: u32 = 1 << 6;
}

/// `setattr_in.valid`.
pub(crate) mod fattr {
    pub(crate) const MODE: u32 = 1 << 0;
    pub(crate) const UID: u32 = 1 << 1;
    pub(crate) const GID: u32 = 1 << 2;
    pub(crate) const ATIME: u32 = 1 << 4;
    pub(crate) const MTIME: u32 = 1 << 5;
    pub(crate) const ATIME_NOW: u32 = 1 << 7;
    pub(crate) const MTIME_NOW: u32 = 1 << 8;
}

/// Flags of `ioctl_in` and `ioctl_out`.
pub(crate) mod ioctl {
    pub(crate) const UNRESTRICTED: u32 = 1 << 1;
    pub(crate) const RETRY: u32 = 1 << 2;
}

/// `read_in.read_flags`: a call of `read(2)`, which has an owner. Reads that fill the page cache have none.
pub(crate) const READ_LOCKOWNER: u32 = 1 << 1;

/// `poll_in.flags`: somebody waits and wants to be told.
pub(crate) const POLL_SCHEDULE_NOTIFY: u32 = 1 << 0;

/// Declares wire structures and proves their sizes.
macro_rules! wire {
    ($($(#[$doc:meta])* $name:ident[$size:literal] { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
        pub(crate) struct $name { $(pub(crate) $field: $type,)* }
        const _: () = assert!(size_of::<$name>() == $size, stringify!($name));
    )*};
}

wire! {
    /// Opens every request.
    InHeader[40] {
        len: u32, opcode: u32, unique: u64, nodeid: u64, uid: u32, gid: u32, pid: u32,
        total_extlen: u16, padding: u16,
    }
    /// Opens every reply.
    OutHeader[16] { len: u32, error: i32, unique: u64, }

    CuseInitIn[16] { major: u32, minor: u32, unused: u32, flags: u32, }
    CuseInitOut[72] {
        major: u32, minor: u32, unused: u32, flags: u32, max_read: u32, max_write: u32,
        dev_major: u32, dev_minor: u32, spare: [u32; 10],
    }
    /// The part of `fuse_init_in` that every version has.
    InitIn[16] { major: u32, minor: u32, max_readahead: u32, flags: u32, }
    InitOut[64] {
        major: u32, minor: u32, max_readahead: u32, flags: u32, max_background: u16,
        congestion_threshold: u16, max_write: u32, time_gran: u32, max_pages: u16, map_alignment: u16,
        flags2: u32, unused: [u32; 7],
    }

    Attr[88] {
        ino: u64, size: u64, blocks: u64, atime: u64, mtime: u64, ctime: u64, atimensec: u32,
        mtimensec: u32, ctimensec: u32, mode: u32, nlink: u32, uid: u32, gid: u32, rdev: u32,
        blksize: u32, flags: u32,
    }
    AttrOut[104] { attr_valid: u64, attr_valid_nsec: u32, dummy: u32, attr: Attr, }
    EntryOut[128] {
        nodeid: u64, generation: u64, entry_valid: u64, attr_valid: u64, entry_valid_nsec: u32,
        attr_valid_nsec: u32, attr: Attr,
    }
    /// Stands before a name in a directory; padded to 8 bytes with it.
    Dirent[24] { ino: u64, off: u64, namelen: u32, kind: u32, }
    SetattrIn[88] {
        valid: u32, padding: u32, fh: u64, size: u64, lock_owner: u64, atime: u64, mtime: u64,
        ctime: u64, atimensec: u32, mtimensec: u32, ctimensec: u32, mode: u32, unused4: u32, uid: u32,
        gid: u32, unused5: u32,
    }
    StatfsOut[80] {
        blocks: u64, bfree: u64, bavail: u64, files: u64, ffree: u64, bsize: u32, namelen: u32,
        frsize: u32, padding: u32, spare: [u32; 6],
    }

    OpenIn[8] { flags: u32, open_flags: u32, }
    OpenOut[16] { fh: u64, open_flags: u32, backing_id: i32, }
    ReleaseIn[24] { fh: u64, flags: u32, release_flags: u32, lock_owner: u64, }
    ReadIn[40] {
        fh: u64, offset: u64, size: u32, read_flags: u32, lock_owner: u64, flags: u32, padding: u32,
    }
    WriteIn[40] {
        fh: u64, offset: u64, size: u32, write_flags: u32, lock_owner: u64, flags: u32, padding: u32,
    }
    WriteOut[8] { size: u32, padding: u32, }
    LockIn[48] {
        fh: u64, owner: u64, start: u64, end: u64, kind: u32, pid: u32, lk_flags: u32, padding: u32,
    }
    InterruptIn[8] { unique: u64, }
    IoctlIn[32] { fh: u64, flags: u32, cmd: u32, arg: u64, in_size: u32, out_size: u32, }
    IoctlIovec[16] { base: u64, len: u64, }
    IoctlOut[16] { result: i32, flags: u32, in_iovs: u32, out_iovs: u32, }
    PollIn[24] { fh: u64, kh: u64, flags: u32, events: u32, }
    PollOut[8] { revents: u32, padding: u32, }
    NotifyPollWakeupOut[8] { kh: u64, }
}
