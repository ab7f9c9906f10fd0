//! Where the text to parse comes from: procfs, a file saved on another machine, or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use uio_core::{Error, Result};

use crate::cli::{Cli, InputArgs};

/// More than the largest machine writes; what is longer is no file of procfs (`/dev/zero`, say).
const LIMIT_BYTES: u64 = 64 << 20;

/// A text and what to call it in messages.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Whether it speaks of this machine, so that more about it can be looked up.
    pub(crate) is_here: bool,
}

impl Source {
    /// Reads `/proc/<file>`, or what `--file` names in its place.
    pub(crate) fn read(file: &str, input: &InputArgs, cli: &Cli) -> Result<Self> {
        match &input.file {
            Some(path) if path.as_os_str() == "-" => Ok(Self {
                name: "standard input".into(),
                text: text(io::stdin(), "standard input")?,
                is_here: false,
            }),
            Some(path) => Self::open(path, false),
            None => Self::open(&cli.proc.join(file), true)
                .map_err(|error| error.with_hint("--file reads a copy of it from elsewhere")),
        }
    }

    fn open(path: &Path, is_here: bool) -> Result<Self> {
        let name = path.display().to_string();
        let file =
            File::open(path).map_err(|error| Error::from_io(&error, "cannot open", &name))?;
        Ok(Self { text: text(file, &name)?, name, is_here })
    }
}

/// All of it; bytes that are no UTF-8 are replaced.
fn text(reader: impl Read, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    reader
        .take(LIMIT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::from_io(&error, "cannot read", name))?;
    if bytes.len() as u64 > LIMIT_BYTES {
        return Err(Error::invalid(
            "cannot read",
            name,
            "it is longer than 64 MiB, which no such file is",
        ));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
