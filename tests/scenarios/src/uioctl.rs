//! Running `uioctl` to its end, within the deadline.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{programs, task};

/// What it did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// Runs it with these arguments.
///
/// # Panics
///
/// If it cannot be run, or does not end in time.
pub fn run(args: &[&str]) -> Ran {
    let mut command = Command::new(programs::uioctl());
    command.args(args).stdin(Stdio::null());
    let what = format!("the end of {command:?}");
    let output = task::spawn(move || command.output()).finish(&what).expect("uioctl runs");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Ran {
    /// What it printed, when it did what was asked.
    ///
    /// # Panics
    ///
    /// If it failed or complained.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// The same as JSON.
    ///
    /// # Panics
    ///
    /// If it is none.
    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.done()).expect("JSON")
    }

    /// Fails unless it refused with one line, in which all of `words` stand.
    ///
    /// # Panics
    ///
    /// If it did anything else.
    #[track_caller]
    pub fn refused(self, words: &[&str]) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in: {}", self.stderr);
        }
        self.stderr
    }
}
