//! A cpio archive in the "newc" format, as the kernel unpacks it into its first root file system.
//!
//! The kernel takes several archives one after the other; a later one may add to directories and
//! replace files of an earlier one. Format: `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::failure::{Context, Result, failed};

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const TRAILER: &str = "TRAILER!!!";

struct Entry {
    mode: u32,
    data: Vec<u8>,
}

/// Path in the guest, without the leading slash, to what is there. Sorted, so parents come first.
#[derive(Default)]
pub(crate) struct Archive(BTreeMap<String, Entry>);

impl Archive {
    pub(crate) fn directory(&mut self, path: &str, permissions: u32) {
        self.put(path, DIRECTORY | permissions, Vec::new());
    }

    pub(crate) fn file(&mut self, path: &str, permissions: u32, data: impl Into<Vec<u8>>) {
        self.put(path, REGULAR | permissions, data.into());
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) {
        self.put(path, SYMLINK | 0o777, target.into());
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path.trim_start_matches('/'))
    }

    /// Copies a file of this machine, following symbolic links, with its mode.
    pub(crate) fn copy(&mut self, from: &Path, to: &str) -> Result<()> {
        let mode = fs::metadata(from).on("read", from)?.permissions().mode();
        let data = fs::read(from).on("read", from)?;
        self.file(to, mode & 0o7777, data);
        Ok(())
    }

    /// Copies a file or directory of this machine with everything below it, modes and symbolic links kept.
    pub(crate) fn copy_tree(&mut self, from: &Path, to: &str) -> Result<()> {
        let meta = fs::symlink_metadata(from).on("read", from)?;
        let kind = meta.file_type();
        if kind.is_dir() {
            self.directory(to, meta.permissions().mode() & 0o7777);
            for entry in fs::read_dir(from).on("read", from)? {
                let entry = entry.on("read", from)?;
                let name = entry.file_name();
                let name = name.to_str().ok_or_else(|| not_utf8(&entry.path()))?;
                self.copy_tree(&entry.path(), &format!("{to}/{name}"))?;
            }
            Ok(())
        } else if kind.is_symlink() {
            let target = fs::read_link(from).on("read", from)?;
            let target = target.to_str().ok_or_else(|| not_utf8(from))?;
            self.symlink(to, target);
            Ok(())
        } else if kind.is_file() {
            self.copy(from, to)
        } else {
            Err(failed(format!("cannot add {}: it is not a file or directory", from.display())))
        }
    }

    fn put(&mut self, path: &str, mode: u32, data: Vec<u8>) {
        let path = path.trim_start_matches('/');
        let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
        for parent in parents {
            let make = || Entry { mode: DIRECTORY | 0o755, data: Vec::new() };
            self.0.entry(parent.to_owned()).or_insert_with(make);
        }
        self.0.insert(path.to_owned(), Entry { mode, data });
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, (path, entry)) in self.0.iter().enumerate() {
            append(&mut bytes, number + 1, path, entry);
        }
        append(&mut bytes, 0, TRAILER, &Entry { mode: 0, data: Vec::new() });
        bytes
    }
}

fn append(bytes: &mut Vec<u8>, inode: usize, path: &str, entry: &Entry) {
    let (mode, links, size, name_size) = (entry.mode, 1, entry.data.len(), path.len() + 1);
    let header = format!(
        "070701{inode:08x}{mode:08x}{uid:08x}{gid:08x}{links:08x}{mtime:08x}{size:08x}\
         {device:016x}{node:016x}{name_size:08x}{check:08x}",
        uid = 0,
        gid = 0,
        mtime = 0,
        device = 0,
        node = 0,
        check = 0,
    );
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(path.as_bytes());
    bytes.push(0);
    pad(bytes);
    bytes.extend_from_slice(&entry.data);
    pad(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn not_utf8(path: &Path) -> crate::failure::Failure {
    failed(format!("cannot add {}: its name is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn parents_are_made_and_come_first() {
        let mut archive = Archive::default();
        archive.file("/a/b/c", 0o644, "hello");
        let bytes = archive.to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        let at = |name: &str| text.find(name).unwrap();
        assert!(at("a\0") < at("a/b\0"));
        assert!(at("a/b\0") < at("a/b/c\0"));
        assert!(at("a/b/c\0") < at("hello"));
        assert!(at("hello") < at("TRAILER!!!"));
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn the_header_is_110_bytes() {
        let bytes = Archive::default().to_bytes();
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[110..120], b"TRAILER!!!");
    }
}
