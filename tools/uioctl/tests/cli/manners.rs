//! What all commands have in common: exit codes, closed pipes, colour, help.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::{Run, on, uioctl};

#[test]
fn a_closed_pipe_is_no_error() {
    let rows: String =
        (0..20_000).map(|row| format!("{row:08x}-{row:08x} : row {row}\n")).collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("iomem");
    std::fs::write(&file, rows).unwrap();
    for json in [false, true] {
        let mut command = uioctl(["iomem", "--file"]);
        command.arg(&file).args(json.then_some("--json"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Reads less than there is, and goes.
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.fill_buf().unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = uioctl(on("iomem-x86-desktop.txt", &["iomem"])).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "uioctl: cannot write to standard output: no space left on device\n");
}

#[test]
fn wrong_usage_is_one_line_and_exit_code_two() {
    for args in [
        &["bogus"][..],
        &["iomem", "--size", "5Q"],
        &["iomem", "0xfg"],
        &["iomem", "a", "b"],
        &["ls", "--color", "sometimes"],
        &["status", "--run-dir"],
        &["--no-such-flag"],
    ] {
        Run::with(args).refusal(2);
    }
    let run = Run::with::<&str>([]);
    assert_eq!((run.code, &*run.stdout), (Some(2), ""));
    assert!(run.stderr.contains("Usage: uioctl"), "{run:?}");
}

#[test]
fn help_is_no_failure() {
    for command in ["iomem", "ioports", "irq", "softirqs", "ls", "doctor", "status"] {
        let text = Run::with([command, "--help"]).stdout();
        assert!(text.contains("--json") && text.contains("Usage: uioctl"), "{text}");
    }
    let text = Run::with(["--help"]).stdout();
    assert!(text.contains("Exit codes"), "{text}");
    assert!(Run::with(["--version"]).stdout().starts_with("uioctl "));
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let colored = |args: &[&str]| Run::with(on("ioports-vm.txt", args)).stdout().contains('\x1b');
    assert!(!colored(&["ioports"]));
    assert!(!colored(&["ioports", "--color", "never"]));
    assert!(colored(&["ioports", "--color", "always"]));
    assert!(!colored(&["ioports", "--color", "always", "--json"]));
}

#[test]
fn a_terminal_is_coloured_unless_no_color_is_set() {
    for (setting, expected) in
        [("", true), ("NO_COLOR=1", false), ("NO_COLOR=", true), ("TERM=dumb", false)]
    {
        let program = format!("{setting} {} ls", env!("CARGO_BIN_EXE_uioctl"));
        let run = Run::of(
            std::process::Command::new("script")
                .args(["-qec", program.trim(), "/dev/null"])
                .env_remove("NO_COLOR")
                .env("TERM", "xterm")
                .stdin(Stdio::null()),
        );
        assert_eq!(run.stdout.contains("\x1b[1m"), expected, "{setting}: {run:?}");
    }
}
