//! [`Selector`]: how a user names a node.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A node, by where it is or by what it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The node at this path: `/pl031@9010000`.
    Path(String),
    /// The one node that is compatible with this: `arm,pl031`.
    Compatible(String),
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |cause: &str| {
            Err(Error::invalid("cannot use device", format_args!("`of:{text}`"), cause).with_hint(
                "write of: and a path of the device tree, of:/pl031@9010000, or a compatible, of:arm,pl031",
            ))
        };
        if text.is_empty() {
            return refuse("it does not say which device");
        }
        if !text.starts_with('/') {
            return Ok(Self::Compatible(text.to_owned()));
        }
        let path = text.trim_end_matches('/');
        let mut parts = path.split('/').skip(1);
        if path.is_empty() || parts.any(|part| matches!(part, "" | "." | "..")) {
            return refuse("that is no path of a device");
        }
        Ok(Self::Path(path.to_owned()))
    }
}

impl fmt::Display for Selector {
    /// Without the `of:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Path(text) | Self::Compatible(text)) = self;
        f.write_str(text)
    }
}
