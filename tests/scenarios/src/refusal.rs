//! When `uiod` does not start: one line that names the thing, the cause and the mend, and nothing left behind.

use std::io::Read;
use std::path::PathBuf;

use crate::daemon::{Daemon, Launch};
use crate::wait;

/// How a daemon refused to run.
#[derive(Debug)]
pub struct Refusal {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it wrote to standard error.
    pub said: String,
}

impl Launch {
    /// Starts it in the expectation that it does not run; `taken` are nodes that are there all the same.
    ///
    /// # Panics
    ///
    /// If it runs.
    pub fn refused(self) -> Refusal {
        let mut child = self.command().spawn().expect("the daemon can be run");
        let status = wait::until_some("the daemon to refuse", || child.try_wait().unwrap());
        let mut said = String::new();
        // PANIC: it was asked for.
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        Refusal { code: status.code(), said }
    }

    /// The same, and fails if it left anything behind in its directories.
    pub fn refused_and_left_nothing(self) -> Refusal {
        let home = self.home_ref().clone();
        let refusal = self.refused();
        Daemon::assert_gone(&home, &Vec::<PathBuf>::new());
        refusal
    }
}

impl Refusal {
    /// Fails unless it is one line of ours with this exit code, in which all of `words` stand.
    ///
    /// # Panics
    ///
    /// If it is anything else.
    pub fn assert(&self, code: i32, words: &[&str]) {
        let said = &self.said;
        assert_eq!(self.code, Some(code), "{said}");
        assert_eq!(said.lines().count(), 1, "not one line:\n{said}");
        assert!(said.starts_with("uiod: "), "{said}");
        for word in words {
            assert!(said.contains(word), "`{word}` is not in: {said}");
        }
    }
}
