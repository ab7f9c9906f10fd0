//! What `uioctl doctor` finds, and somebody who does what it says.
//!
//! An [`Asker`] is a shell of a user, which asks; [`follow`] runs the command of the first fault, in that shell, or as
//! root where it says so, and asks again, until nothing is wrong. So a mend that does not mend fails the story.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;

use crate::client::Client;
use crate::{programs, wait, world};

/// Starts the line with the exit code of what the shell ran.
const END: &str = "@end ";

/// More mends than anything needs.
const MOST_MENDS: usize = 8;

/// A shell that asks. It is ended on drop.
#[derive(Debug)]
pub struct Asker {
    shell: Child,
    commands: ChildStdin,
    lines: Receiver<String>,
}

/// What the doctor said.
#[derive(Debug)]
pub struct Answer {
    /// The exit code.
    pub code: i32,
    /// All of it, as JSON.
    pub json: Value,
}

/// A fault, and the command that was run against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The check that found the fault.
    pub check: String,
    /// Its mend.
    pub command: String,
    /// Whether root ran it, and not the shell that asked.
    pub as_root: bool,
}

impl Asker {
    /// Root, or whoever runs the story.
    pub fn root() -> Self {
        Self::start(Command::new("sh"))
    }

    /// The ordinary user of the stories.
    ///
    /// # Panics
    ///
    /// If we cannot become one.
    pub fn nobody() -> Self {
        assert!(world::is_root(), "only root can become somebody else");
        let (user, group) = world::NOBODY;
        let mut shell = Command::new("sh");
        shell.uid(user).gid(group);
        Self::start(shell)
    }

    fn start(mut shell: Command) -> Self {
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("there is a shell");
        let commands = shell.stdin.take().expect("a pipe");
        let out = BufReader::new(shell.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            // When the story has ended, nobody listens.
            out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut asker = Self { shell, commands, lines };
        assert_eq!(asker.run("exec 2>&1").0, 0);
        asker
    }

    /// Runs a command in the shell itself, so that what it changes of the shell stays. Returns its exit code and what
    /// it printed.
    ///
    /// # Panics
    ///
    /// When the deadline passes.
    pub fn run(&mut self, command: &str) -> (i32, String) {
        writeln!(self.commands, "{command}\necho; echo \"{END}$?\"").expect("the shell lives");
        let mut said = String::new();
        loop {
            let line = self.lines.recv_timeout(wait::DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("{command}: no end of it; it said: {said}"));
            if let Some(code) = line.strip_prefix(END) {
                return (code.parse().expect("an exit code"), said);
            }
            said += &line;
            said.push('\n');
        }
    }

    /// Asks about a device, or about the machine.
    ///
    /// # Panics
    ///
    /// If the answer makes no sense.
    pub fn ask(&mut self, device: &str) -> Answer {
        let program = programs::uioctl().display();
        let (_, said) = self.run(&format!("{program} doctor --json {device}; echo code=$?"));
        let mut lines = said.lines();
        let json = lines.next().and_then(|line| serde_json::from_str(line).ok());
        let code = lines.find_map(|line| line.strip_prefix("code=")?.parse().ok());
        let (Some(json), Some(code)) = (json, code) else { panic!("{said}") };
        Answer { code, json }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

impl Answer {
    /// Whether the device is ready; the exit code says the same.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn is_ready(&self) -> bool {
        let ready = self.json["ready"] == true;
        assert_eq!(self.code, i32::from(!ready), "{self:?}");
        ready
    }

    fn findings(&self) -> impl Iterator<Item = &Value> {
        self.json["findings"].as_array().into_iter().flatten()
    }

    /// The checks that found a fault, in their order.
    pub fn faults(&self) -> Vec<&str> {
        let faults = self.findings().filter(|found| found["severity"] == "fault");
        faults.filter_map(|found| found["check"].as_str()).collect()
    }

    /// What a check found.
    ///
    /// # Panics
    ///
    /// If it was not made.
    pub fn finding(&self, check: &str) -> &Value {
        let found = self.findings().find(|found| found["check"] == check);
        found.unwrap_or_else(|| panic!("nobody looked at {check}: {self:?}"))
    }
}

/// Does what the doctor says about the device, until nothing is wrong with it. Returns what was done.
///
/// # Panics
///
/// If a fault has no command, if a command fails, or if it never ends.
pub fn follow(asker: &mut Asker, device: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        let answer = asker.ask(device);
        if answer.is_ready() {
            return steps;
        }
        assert!(steps.len() < MOST_MENDS, "{steps:?} did not mend {answer:?}");
        let step = first_step(&answer);
        assert!(!steps.contains(&step), "{step:?} did not mend it: {answer:?}");
        mend(asker, &step);
        steps.push(step);
    }
}

fn first_step(answer: &Answer) -> Step {
    let mut faults = answer.findings().filter(|found| found["severity"] == "fault");
    let found = faults.find(|found| found["command"].is_string());
    let found = found.unwrap_or_else(|| panic!("no command against any fault of {answer:?}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Step { check: text("check"), command: text("command"), as_root: found["as_root"] == true }
}

fn mend(asker: &mut Asker, step: &Step) {
    if !step.as_root {
        let (code, said) = asker.run(&step.command);
        assert_eq!(code, 0, "{step:?}: {said}");
        return;
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &step.command]);
    let ended = Client::start(shell).finish(&step.command);
    assert!(ended.status.success(), "{step:?}: {ended:?}");
}
