//! The stages that run in the bench: the scenario packages' test programs, on each kernel.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::arch::Arch;
use crate::failure::{Result, failed};
use crate::kernels::Kernel;
use crate::paths::RunDir;
use crate::process::{capture, cargo, command, print, run_quietly};
use crate::programs;
use crate::vm::{self, Board, Guest, Machine};

use super::plan::{self, Run, without_hash};

/// Packages whose tests run in the bench as well as on the host.
const PACKAGES: [&str; 2] = ["scenarios", "uio-dummy-model"];

/// Leaves out of them what only the host can show, and adds what only the bench can.
const FEATURES: [&str; 3] = ["--no-default-features", "--features", "scenarios/bench"];

/// What the boards run besides their own test programs.
const ON_BOARDS_TOO: [&str; 2] = ["conformance", "echo_cat"];

/// How long all test programs together may take on one kernel.
const TIMEOUT: Duration = Duration::from_secs(5400);

/// Starts the line with which the guest reports a program, its status and its seconds.
const MARK: &str = "@bench-result";

/// What a test in the guest finds in its environment.
const ENVIRONMENT: &str = "export UIOD_TEST_BENCH=1 UIOD_TEST_DEVICE=uio:uio_dummy \
                           UIOD=/bin/uiod UIOCTL=/bin/uioctl RUST_BACKTRACE=1";

/// The test programs, without what only a debugger reads: a guest has them in its memory.
pub(super) struct Programs {
    _dir: RunDir,
    /// The machines that have programs, each with its programs.
    pub(super) of_machines: Vec<(Machine, Vec<PathBuf>)>,
}

/// Builds the test programs.
pub(super) fn build(arch: Arch) -> Result<Programs> {
    let dir = RunDir::new()?;
    let mut paths = Vec::new();
    for program in compile(arch)? {
        let stripped = dir.join(&program.file_name().unwrap_or_default().to_string_lossy());
        let mut strip = command(arch.tool("strip"));
        run_quietly(strip.arg("--strip-debug").arg("-o").arg(&stripped).arg(program))?;
        paths.push(stripped);
    }
    Ok(Programs { _dir: dir, of_machines: plan::by_machine(arch, &paths)? })
}

fn compile(arch: Arch) -> Result<Vec<PathBuf>> {
    let mut build = match arch {
        Arch::Amd64 => host_build(),
        Arch::Arm64 => board_build()?,
    };
    build.args(["--quiet", "--message-format=json-render-diagnostics"]);
    let messages = capture(&mut build)?;
    let programs: Vec<PathBuf> = messages.lines().filter_map(test_program).collect();
    if programs.is_empty() {
        return Err(failed(format!("no test program in the packages {}", PACKAGES.join(", "))));
    }
    Ok(programs)
}

/// Builds all test programs.
fn host_build() -> Command {
    let mut build = cargo();
    build.args(["test", "--no-run"]);
    for package in PACKAGES {
        build.args(["-p", package]);
    }
    build.args(FEATURES);
    build
}

/// Builds those that run on boards, and no others: that takes time and disk.
fn board_build() -> Result<Command> {
    let mut build = programs::arm64_cargo();
    programs::arm64_build(&mut build);
    for name in plan::for_boards()?.iter().map(String::as_str).chain(ON_BOARDS_TOO) {
        build.args(["--test", name]);
    }
    Ok(build)
}

/// The test program that a line of cargo's messages announces.
pub(super) fn test_program(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let program = message["executable"].as_str()?;
    is_test.then(|| PathBuf::from(program))
}

/// Runs the programs of a machine in one guest; fails if one fails, or if one has not reported.
pub(super) fn run(
    kernel: Kernel,
    machine: Machine,
    binaries: &[PathBuf],
    programs: &[PathBuf],
) -> Result<()> {
    let runs = plan::runs(programs);
    let command = script(machine, &runs);
    let dts = machine.board().map(Board::overlays).transpose()?.unwrap_or_default();
    let add = programs.to_vec();
    let guest = Guest { kernel, machine, dts, add, timeout: TIMEOUT, command };
    let (status, results) = match boot(&guest, binaries) {
        // Nothing that runs in a guest may end its emulator: this is the emulator's own fault, and once is no proof of
        // anything. Twice is.
        Err(failure) if failure.emulator_died => {
            print(&format!("test: {failure}; all programs of this machine run again, once\n"));
            boot(&guest, binaries)?
        }
        done => done?,
    };
    let mut failures = 0;
    for line in &results {
        print(&format!("test: kernel {}, machine {}: {line}\n", kernel.name, machine.name));
        failures += usize::from(!line.starts_with("passed"));
    }
    if status != 0 || results.len() != runs.len() {
        let (ran, all) = (results.len(), runs.len());
        return Err(failed(format!("status {status}, {ran} of {all} test programs ran")));
    }
    match failures {
        0 => Ok(()),
        count => Err(failed(format!("{count} of {} test programs failed", runs.len()))),
    }
}

/// The guest's status and the programs' reports.
fn boot(guest: &Guest, binaries: &[PathBuf]) -> Result<(u8, Vec<String>)> {
    let watch = Watch::default();
    let results = Arc::clone(&watch.results);
    let status = vm::boot(guest, binaries, Box::new(watch))?;
    let results = results.lock().map(|results| results.clone()).unwrap_or_default();
    Ok((status, results))
}

/// The shell script that runs the programs one after the other and reports each. The time is that since the guest's start:
/// a story may set the clock.
fn script(machine: Machine, runs: &[Run<'_>]) -> String {
    let words: Vec<_> = runs.iter().map(|run| format!("{}:{}", run.kind, run.program)).collect();
    format!(
        "{ENVIRONMENT} UIOD_TEST_MACHINE={machine}
        for run in {words}; do
            name=${{run#*:}}
            export UIOD_TEST_NODE_KIND=${{run%%:*}}
            echo \"== $name ($UIOD_TEST_NODE_KIND)\"
            start=$(cut -d. -f1 /proc/uptime)
            /add/$name --test-threads=1 2>&1
            status=$?
            echo
            echo \"{MARK} $name $UIOD_TEST_NODE_KIND $status $(($(cut -d. -f1 /proc/uptime) - start))\"
        done",
        machine = machine.name,
        words = words.join(" ")
    )
}

/// Passes the guest's output on to standard output and takes the reports out of it.
#[derive(Default)]
struct Watch {
    line: Vec<u8>,
    results: Arc<Mutex<Vec<String>>>,
}

impl Watch {
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let Some(result) = std::str::from_utf8(&line).ok().and_then(verdict) else {
            // The reports count even if nobody reads the rest.
            let _ = io::stdout().write_all(&line);
            return;
        };
        if let Ok(mut results) = self.results.lock() {
            results.push(result);
        }
    }
}

impl Write for Watch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.line.push(*byte);
            if *byte == b'\n' {
                self.end_line();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stdout().flush();
        Ok(())
    }
}

/// A report as a line to read, with the hash of the program's name left out.
fn verdict(line: &str) -> Option<String> {
    let mut words = line.strip_prefix(MARK)?.split_whitespace();
    let (program, kind) = (words.next()?, words.next()?);
    let (status, seconds) = (words.next()?, words.next()?);
    let name = without_hash(program);
    Some(match status {
        "0" => format!("passed  {name} on {kind} ({seconds} s)"),
        _ => format!("FAILED  {name} on {kind} (status {status}, {seconds} s)"),
    })
}

#[cfg(test)]
mod tests {
    use super::{test_program, verdict};
    use std::path::Path;

    #[test]
    fn only_test_programs_are_taken_from_cargo() {
        let test =
            r#"{"reason":"compiler-artifact","profile":{"test":true},"executable":"/t/a-1"}"#;
        assert_eq!(test_program(test).as_deref(), Some(Path::new("/t/a-1")));
        let program = test.replace("true", "false");
        assert_eq!(test_program(&program), None);
        let library = test.replace("\"/t/a-1\"", "null");
        assert_eq!(test_program(&library), None);
        assert_eq!(test_program("not json"), None);
    }

    #[test]
    fn reports_of_the_guest() {
        let passed = verdict("@bench-result uio-dummy-0a1b cuse 0 12\n");
        assert_eq!(passed.as_deref(), Some("passed  uio-dummy on cuse (12 s)"));
        let failed = verdict("@bench-result uio-dummy-0a1b fuse 101 2\n");
        assert_eq!(failed.as_deref(), Some("FAILED  uio-dummy on fuse (status 101, 2 s)"));
        assert_eq!(verdict("test x ... ok"), None);
    }
}
