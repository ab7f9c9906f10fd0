//! `/proc/self/mountinfo`: what is mounted at a path. Asking the file itself would ask its server, which may
//! be dead, or hang, or be this process.
//!
//! Format: `Documentation/filesystems/proc.rst`, section 3.5.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountEntry {
    pub(crate) path: PathBuf,
    /// File system type: `fuse.uiod`.
    pub(crate) kind: String,
    pub(crate) source: String,
}

/// The mount on top at `path`, if there is one.
pub(crate) fn find(text: &[u8], path: &Path) -> Option<MountEntry> {
    // A later mount at the same path covers an earlier one.
    text.split(|&byte| byte == b'\n').filter_map(parse_line).rfind(|mount| mount.path == path)
}

/// `36 35 98:0 /root /path opts [tag...] - type source options`
fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|&byte| byte == b' ');
    let path = unescape(fields.by_ref().nth(4)?);
    let mut after_dash = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = unescape(after_dash.next()?);
    let source = unescape(after_dash.next()?);
    Some(MountEntry {
        path: PathBuf::from(path),
        kind: kind.to_string_lossy().into_owned(),
        source: source.to_string_lossy().into_owned(),
    })
}

/// Blank, tab, newline and backslash are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, octal(tail)) {
            (b'\\', Some(escaped)) => {
                out.push(escaped);
                rest = &tail[3..];
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    OsString::from_vec(out)
}

fn octal(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits.get(..3)?).ok()?;
    u8::from_str_radix(text, 8).ok()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        90 22 0:40 / /run/uiod/a rw - fuse.uiod uiod:17 rw,user_id=0\n\
        91 22 0:41 / /run/my\\040dir/a rw shared:3 master:1 - fuse.uiod uiod:18 rw\n\
        92 90 0:42 / /run/uiod/a rw - tmpfs none rw\n";

    #[test]
    fn the_topmost_mount_counts() {
        let found = find(TEXT, Path::new("/run/uiod/a")).unwrap();
        assert_eq!(found.kind, "tmpfs");
    }

    #[test]
    fn blanks_and_optional_fields_are_understood() {
        let found = find(TEXT, Path::new("/run/my dir/a")).unwrap();
        assert_eq!((found.kind.as_str(), found.source.as_str()), ("fuse.uiod", "uiod:18"));
        assert_eq!(find(TEXT, Path::new("/run/my")), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = find(&text, Path::new("/a"));
        }
    }
}
