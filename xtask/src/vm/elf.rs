//! The shared libraries that a program of this machine needs to run in the guest.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Result};
use crate::process::{command, output};

/// True for an ELF file; false for anything else.
pub(crate) fn is_elf(path: &Path) -> Result<bool> {
    let mut magic = Vec::new();
    File::open(path).on("open", path)?.take(4).read_to_end(&mut magic).on("read", path)?;
    Ok(magic == b"\x7fELF")
}

/// The libraries that `ldd` finds, the loader among them; none for a static program.
pub(crate) fn libraries(path: &Path) -> Result<Vec<PathBuf>> {
    // A status other than 0 means "not a dynamic executable".
    let listing = output(command("ldd").arg(path))?;
    let listing = String::from_utf8_lossy(&listing.stdout);
    Ok(listing.lines().filter_map(library).map(PathBuf::from).collect())
}

/// `name => /path (0x...)`, or `/path/of/the/loader (0x...)`.
fn library(line: &str) -> Option<&str> {
    let words = line.split_whitespace();
    words.take_while(|word| !word.starts_with('(')).find(|word| word.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::library;

    #[test]
    fn ldd_lines() {
        assert_eq!(library("\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)"), Some("/lib/x/libc.so.6"));
        assert_eq!(library("\t/lib64/ld-linux.so.2 (0x7f)"), Some("/lib64/ld-linux.so.2"));
        assert_eq!(library("\tlinux-vdso.so.1 (0x7f)"), None);
        assert_eq!(library("\tnot a dynamic executable"), None);
    }
}
