//! The file system of a FUSE node: one directory with one file, and what `ls`, `chmod` and `touch` see of them.
//!
//! # Why every look-up gives another inode
//!
//! The kernel locks the inode of a regular file for a write. A write that blocks would hold up, beyond the reach
//! of signals, whoever needs that lock for himself: `open` with `O_TRUNC`, which is what a shell does for
//! `>`, a writer with `O_APPEND`, `chmod`. So no two `open`s share an inode: each look-up of the name gives out a
//! new number, for the same file with the same attributes, and nothing of it is remembered by the kernel.
//! That is also why the node is not mounted as a file itself: the root of a mount has one inode only.
//!
//! # Why the file has a size, and why this one
//!
//! Descriptors that came from one `open` do share the inode. There the kernel takes its lock shared for a write
//! below the end of the file, and our writes start at position 0 always; so the end must lie beyond the
//! longest write there is, just below 2 GiB. It must also have its low 32 bits zero, because the kernel
//! answers `FIONREAD` on a regular file from it. And it should be no larger than that: programs that reserve
//! memory for a whole file believe it. Hence 4 GiB.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use zerocopy::IntoBytes;

use super::wire::abi::{Attr, AttrOut, Dirent, EntryOut, SetattrIn, StatfsOut, fattr};

/// The root's number is the protocol's; all others are the file's.
const ROOT: u64 = 1;
/// What `stat` shows as the number of the file, whatever the kernel calls it.
const FILE: u64 = 2;
const FILE_SIZE: u64 = 1 << 32;
const PAGE: u32 = 4096;
const DIRECTORY_MODE: u32 = libc::S_IFDIR | 0o555;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Tree {
    name: String,
    mode: u32,
    uid: u32,
    gid: u32,
    accessed: Time,
    modified: Time,
    changed: Time,
    /// The number that the next look-up gives out.
    next_inode: u64,
}

#[derive(Debug, Clone, Copy)]
struct Time {
    seconds: u64,
    nanoseconds: u32,
}

impl Time {
    fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
    }
}

impl Tree {
    pub(crate) fn new(name: &str, mode: u32, uid: u32, gid: u32) -> Self {
        let now = Time::now();
        Self {
            name: name.to_owned(),
            mode,
            uid,
            gid,
            accessed: now,
            modified: now,
            changed: now,
            next_inode: FILE,
        }
    }

    /// Finds the file in the directory. Nothing of the answer may be kept: no time is given for it.
    pub(crate) fn look_up(&mut self, parent: u64, name: &[u8]) -> Result<EntryOut, Errno> {
        if parent != ROOT {
            return Err(Errno::ENOTDIR);
        }
        if name != self.name.as_bytes() {
            return Err(Errno::ENOENT);
        }
        let nodeid = self.next_inode;
        self.next_inode += 1;
        Ok(EntryOut { nodeid, attr: self.attributes(nodeid).attr, ..EntryOut::default() })
    }

    /// The attributes, to be asked for again each time: the kernel checks rights against them.
    pub(crate) fn attributes(&self, inode: u64) -> AttrOut {
        let (mode, size, ino) = match inode {
            ROOT => (DIRECTORY_MODE, 0, ROOT),
            _ => (libc::S_IFREG | self.mode, FILE_SIZE, FILE),
        };
        AttrOut {
            attr: Attr {
                ino,
                size,
                atime: self.accessed.seconds,
                atimensec: self.accessed.nanoseconds,
                mtime: self.modified.seconds,
                mtimensec: self.modified.nanoseconds,
                ctime: self.changed.seconds,
                ctimensec: self.changed.nanoseconds,
                mode,
                nlink: 1,
                uid: self.uid,
                gid: self.gid,
                blksize: PAGE,
                ..Attr::default()
            },
            ..AttrOut::default()
        }
    }

    /// Carries out what the kernel has allowed already (`default_permissions`). A new size is no error and
    /// no change: that is what `>` asks for.
    pub(crate) fn change(&mut self, inode: u64, ask: &SetattrIn) -> Result<AttrOut, Errno> {
        if inode == ROOT {
            return Err(Errno::EPERM);
        }
        let now = Time::now();
        let asked = |flag| ask.valid & flag != 0;
        if asked(fattr::MODE) {
            self.mode = ask.mode & 0o7777;
        }
        if asked(fattr::UID) {
            self.uid = ask.uid;
        }
        if asked(fattr::GID) {
            self.gid = ask.gid;
        }
        if asked(fattr::ATIME | fattr::ATIME_NOW) {
            let given = Time { seconds: ask.atime, nanoseconds: ask.atimensec };
            self.accessed = if asked(fattr::ATIME_NOW) { now } else { given };
        }
        if asked(fattr::MTIME | fattr::MTIME_NOW) {
            let given = Time { seconds: ask.mtime, nanoseconds: ask.mtimensec };
            self.modified = if asked(fattr::MTIME_NOW) { now } else { given };
        }
        self.changed = now;
        Ok(self.attributes(inode))
    }

    /// What the directory holds from `offset` on, as READDIR wants it.
    pub(crate) fn list(&self, offset: u64) -> Vec<u8> {
        if offset > 0 {
            return Vec::new();
        }
        let name = self.name.as_bytes();
        let entry = Dirent {
            ino: FILE,
            off: 1,
            // A name has at most 63 bytes.
            namelen: name.len() as u32,
            kind: u32::from(libc::DT_REG),
        };
        let mut bytes = [entry.as_bytes(), name].concat();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }
}

/// What `df` is told: a file system without blocks.
pub(crate) fn statfs() -> StatfsOut {
    StatfsOut { files: 1, bsize: PAGE, frsize: PAGE, namelen: 255, ..StatfsOut::default() }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::new("node", 0o600, 1, 2)
    }

    #[test]
    fn every_look_up_gives_another_inode_of_the_same_file() {
        let mut tree = tree();
        let first = tree.look_up(ROOT, b"node").unwrap();
        let second = tree.look_up(ROOT, b"node").unwrap();
        assert_ne!(first.nodeid, second.nodeid);
        assert_eq!(first.attr, second.attr);
        assert_eq!(tree.look_up(ROOT, b"other"), Err(Errno::ENOENT));
        assert_eq!(tree.look_up(first.nodeid, b"node"), Err(Errno::ENOTDIR));
    }

    #[test]
    fn a_change_shows_in_every_inode_and_truncating_changes_nothing() {
        let mut tree = tree();
        let before = tree.attributes(FILE).attr;
        let truncate = SetattrIn { valid: 1 << 3, ..SetattrIn::default() };
        assert_eq!(tree.change(7, &truncate).unwrap().attr.size, before.size);
        let chmod = SetattrIn { valid: fattr::MODE, mode: 0o100_644, ..SetattrIn::default() };
        tree.change(7, &chmod).unwrap();
        assert_eq!(tree.attributes(9).attr.mode, libc::S_IFREG | 0o644);
        assert_eq!(tree.change(ROOT, &chmod), Err(Errno::EPERM));
    }

    #[test]
    fn the_directory_lists_the_file_once() {
        let tree = tree();
        let bytes = tree.list(0);
        assert_eq!(bytes.len() % 8, 0);
        assert!(bytes[24..].starts_with(b"node"));
        assert!(tree.list(1).is_empty());
    }
}
