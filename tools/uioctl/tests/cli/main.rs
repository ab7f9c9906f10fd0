//! `uioctl` as its users meet it: the real program, on copies of procfs and sysfs and on fake daemons.
//!
//! One module for each command, and `manners` for what they have in common; `fake` has the daemons. [`Run`] starts the program.

mod bind;
mod doctor;
mod fake;
mod irq;
mod ls;
mod manners;
mod platform;
mod registers;
mod resources;
mod softirqs;
mod status;

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The program, not yet started, with nothing in its environment that changes what it prints.
fn uioctl<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uioctl"));
    command.args(args).env_remove("NO_COLOR").env("TERM", "xterm").stdin(Stdio::null());
    command
}

/// What the program did.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn with<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        Self::of(&mut uioctl(args))
    }

    fn with_stdin<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, stdin: &[u8]) -> Self {
        let mut command = uioctl(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard output of a run without a complaint.
    #[track_caller]
    fn stdout(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    #[track_caller]
    fn json(self) -> Value {
        let stdout = self.stdout();
        assert_eq!(stdout.lines().count(), 1, "JSON in a pipe is one line");
        serde_json::from_str(&stdout).unwrap()
    }

    /// The one line of complaint of a run that ended with `code` and printed nothing else.
    #[track_caller]
    fn refusal(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        let line = self.stderr.strip_prefix("uioctl: ").and_then(|line| line.strip_suffix('\n'));
        let line = line.unwrap_or_else(|| panic!("{self:?}"));
        assert!(!line.contains('\n'), "{line}");
        line.to_owned()
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// `--file` and the path of a fixture, behind the other arguments.
fn on<'a>(name: &str, args: &[&'a str]) -> Vec<String> {
    let mut all: Vec<String> = args.iter().map(|&arg: &&'a str| arg.to_owned()).collect();
    all.extend(["--file".into(), fixture(name).to_str().unwrap().to_owned()]);
    all
}
