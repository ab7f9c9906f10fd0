//! Errors that explain themselves: the act, the thing, the cause, the mend.
//!
//! [`Error`] is what every fallible call outside the data path returns. It carries an [`Errno`], so that a
//! driver can hand it to a client of its node unchanged, and four pieces of text, so that an operator need
//! not guess: what was tried (`cannot open`), on what (`/dev/uio0`), what the kernel said (`permission
//! denied`), and what to do about it.
//!
//! The data path uses plain [`Errno`] values and small `Copy` enums instead: building an `Error` allocates.
//!
//! Mirrors `rust/kernel/error.rs`, which has the errno and leaves the text to `dev_err!`.

use std::borrow::Cow;
use std::fmt;
use std::io;

pub use nix::errno::Errno;

/// The result of every fallible call outside the data path.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed, on what, why, and how to mend it.
///
/// Displayed on one line: `cannot open /dev/uio0: permission denied; run as root, or ...`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    errno: Errno,
    act: Cow<'static, str>,
    thing: String,
    cause: Option<String>,
    hint: Option<String>,
}

impl Error {
    /// An error of kind `errno`: the `act` (`cannot open`) failed on the `thing` (`/dev/uio0`).
    ///
    /// The cause is the errno's own text until [`with_cause`](Self::with_cause) gives a better one.
    pub fn new(errno: Errno, act: impl Into<Cow<'static, str>>, thing: impl fmt::Display) -> Self {
        Self { errno, act: act.into(), thing: thing.to_string(), cause: None, hint: None }
    }

    /// The error of a failed [`io`] call, whose cause is the system's text.
    pub fn from_io(
        error: &io::Error,
        act: impl Into<Cow<'static, str>>,
        thing: impl fmt::Display,
    ) -> Self {
        match error.raw_os_error() {
            Some(raw) => Self::new(Errno::from_raw(raw), act, thing),
            None => Self::new(Errno::EIO, act, thing).with_cause(error),
        }
    }

    /// Bad input: `EINVAL` with the cause in words.
    pub fn invalid(
        act: impl Into<Cow<'static, str>>,
        thing: impl fmt::Display,
        cause: impl fmt::Display,
    ) -> Self {
        Self::new(Errno::EINVAL, act, thing).with_cause(cause)
    }

    /// Replaces the errno's text by a better cause.
    #[must_use]
    pub fn with_cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds what the reader can do about it, as an imperative without a full stop.
    #[must_use]
    pub fn with_hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The kind of the failure, as a client of a node would see it.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// What the reader can do about it, if anything is known to help.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.act, self.thing)?;
        match &self.cause {
            Some(cause) => f.write_str(cause)?,
            None => f.write_str(&self.errno.desc().to_lowercase())?,
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_act_the_thing_the_cause_and_the_mend() {
        let error = Error::new(Errno::EACCES, "cannot open", "/dev/uio0").with_hint("run as root");
        assert_eq!(error.to_string(), "cannot open /dev/uio0: permission denied; run as root");
        assert_eq!(error.errno(), Errno::EACCES);
    }

    #[test]
    fn a_better_cause_replaces_the_errno_text() {
        let error = Error::invalid("cannot use node name", "a/b", "it has a slash");
        assert_eq!(error.to_string(), "cannot use node name a/b: it has a slash");
    }
}
