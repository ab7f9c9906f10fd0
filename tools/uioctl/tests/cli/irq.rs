//! `uioctl irq` and `uioctl softirqs`.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use super::{Run, fixture, on, uioctl};

#[test]
fn the_table_has_counts_chip_trigger_and_handlers() {
    let text = Run::with(on("interrupts-x86-desktop.txt", &["irq", "uio"])).stdout();
    let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..6], ["IRQ", "CPU0", "CPU1", "CPU2", "CPU3", "TOTAL"]);
    assert_eq!(lines[1][..9], ["16", "0", "0", "48", "0", "48", "IR-IO-APIC", "16", "level"]);
    assert!(text.ends_with("i801_smbus, ehci_hcd:usb1, uio_pci_generic\n"), "{text}");
}

#[test]
fn json_has_every_field() {
    let json = Run::with(on("interrupts-x86-desktop.txt", &["irq", "--json", "16"])).json();
    assert_eq!(json["cpus"], serde_json::json!([0, 1, 2, 3]));
    let expected = serde_json::json!({
        "name": "16", "irq": 16, "counts": [0, 0, 48, 0], "total": 48, "chip": "IR-IO-APIC", "hwirq": 16,
        "trigger": "level", "flow": "fasteoi", "handlers": ["i801_smbus", "ehci_hcd:usb1", "uio_pci_generic"],
        "affinity": null, "effective_affinity": null, "description": null,
    });
    assert_eq!(json["interrupts"], serde_json::json!([expected]));
}

/// A procfs with a machine of `cpus` CPUs and one interrupt, 9.
fn procfs(cpus: u32) -> tempfile::TempDir {
    let proc = tempfile::tempdir().unwrap();
    let header: String = (0..cpus).map(|cpu| format!("CPU{cpu} ")).collect();
    let counts: String = (0..cpus).map(|cpu| format!("{cpu} ")).collect();
    fs::write(
        proc.path().join("interrupts"),
        format!("   {header}\n9: {counts} IO-APIC 9-fasteoi acpi\nNMI: {counts} Non-maskable interrupts\nERR: 3\n"),
    )
    .unwrap();
    fs::write(proc.path().join("softirqs"), format!("   {header}\nTIMER: {counts}\n")).unwrap();
    let irq = proc.path().join("irq/9");
    fs::create_dir_all(&irq).unwrap();
    fs::write(irq.join("smp_affinity_list"), "0-63\n").unwrap();
    fs::write(irq.join("effective_affinity_list"), "7\n").unwrap();
    proc
}

fn in_proc(proc: &Path, args: &[&str]) -> Run {
    Run::with([&["--proc", proc.to_str().unwrap()][..], args].concat())
}

#[test]
fn affinity_comes_from_procfs() {
    let proc = procfs(2);
    let json = in_proc(proc.path(), &["irq", "--json", "9"]).json();
    let line = &json["interrupts"][0];
    assert_eq!((&line["affinity"], &line["effective_affinity"]), (&"0-63".into(), &"7".into()));
    let text = in_proc(proc.path(), &["irq", "9"]).stdout();
    assert!(text.contains("level    0-63      7          acpi"), "{text}");
}

#[test]
fn many_cpus_fold_to_the_busiest() {
    let proc = procfs(64);
    for command in ["irq", "softirqs"] {
        let text = in_proc(proc.path(), &[command]).stdout();
        assert!(text.contains("BUSIEST") && text.contains("CPU63 (3%)"), "{text}");
        assert!(!text.contains("CPU62"), "{text}");
        let text = in_proc(proc.path(), &[command, "--per-cpu"]).stdout();
        assert!(text.contains("CPU62") && !text.contains("BUSIEST"), "{text}");
    }
}

#[test]
fn a_count_of_no_cpu_stands_in_no_cpu_column() {
    let text = in_proc(procfs(2).path(), &["irq", "ERR"]).stdout();
    assert_eq!(text.lines().last().unwrap().split_whitespace().collect::<Vec<_>>(), ["ERR", "3"]);
    assert!(text.lines().last().unwrap().find('3') > text.find("CPU1"), "{text}");
}

#[test]
fn an_unknown_interrupt_is_a_failure() {
    let text = Run::with(on("interrupts-vm.txt", &["irq", "999"])).refusal(1);
    assert!(text.starts_with("cannot find 999 in"), "{text}");
}

/// Has `uioctl irq --watch` read two samples, and returns what it makes of them.
fn watch(args: &[&str]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("interrupts");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let samples: &[&str] = &[
        "     CPU0 CPU1\n 4: 10 10 IO-APIC 4-edge ttyS0\n 5: 0 100 IO-APIC 5-edge uio\n 6: 4294967290 0 X 6-edge wrap\n 7: 0 500 X 7-edge anew\nERR: 0\n",
        "     CPU0 CPU1\n 4: 10 10 IO-APIC 4-edge ttyS0\n 5: 0 400 IO-APIC 5-edge uio\n 6: 90 0 X 6-edge wrap\n 7: 0 8 X 7-edge anew\nERR: 0\n",
    ];
    let mut command = uioctl(["irq", "--watch=0.2", "--count", "1", "--file"]);
    let child = command
        .arg(&fifo)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let writer = thread::spawn(move || {
        // Opening to write waits for the reader. While that waits for the first sample, the second one takes the
        // path, so that the next look finds it, however long either of the two is kept waiting.
        let mut first = File::options().write(true).open(&fifo).unwrap();
        let next = fifo.with_extension("next");
        fs::write(&next, samples[1]).unwrap();
        fs::rename(&next, &fifo).unwrap();
        first.write_all(samples[0].as_bytes()).unwrap();
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn watching_sorts_by_rate_and_knows_a_wrap_from_a_new_begin() {
    let json = watch(&["--json"]).json();
    let interval = json["interval_s"].as_f64().unwrap();
    let events: Vec<_> = json["interrupts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (line["name"].as_str().unwrap(), (line["rate"].as_f64().unwrap() * interval).round())
        })
        .collect();
    assert_eq!(events, [("5", 300.0), ("6", 96.0), ("7", 8.0), ("4", 0.0), ("ERR", 0.0)]);
}

#[test]
fn watching_without_a_terminal_writes_plain_tables() {
    let text = watch(&[]).stdout();
    assert!(!text.contains('\x1b'), "{text:?}");
    let mut lines = text.lines();
    // 0.2 seconds or more, as busy as the machine may be.
    let title = lines.next().unwrap();
    assert!(title.contains(" events/s over ") && title.ends_with(" s"), "{text}");
    assert!(
        lines
            .next()
            .unwrap()
            .split_whitespace()
            .eq("IRQ PER SECOND BUSIEST TOTAL AFFINITY HANDLERS".split(' '))
    );
    let first = lines.next().unwrap();
    assert!(
        first.starts_with("  5") && first.contains("CPU1 (100%)") && first.ends_with("uio"),
        "{text}"
    );
}

#[test]
fn count_ends_the_watch_after_so_many_tables() {
    let tables = |run: Run| run.stdout().matches("PER SECOND").count();
    assert_eq!(
        tables(Run::with(on("interrupts-vm.txt", &["irq", "--watch=0.01", "--count", "3"]))),
        3
    );
    let run =
        Run::with(on("interrupts-vm.txt", &["irq", "--watch=0.01", "--count", "2", "--json"]));
    let values: Vec<Value> =
        run.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), 2);
    // What is no number is the query: `--watch` may have none.
    let text =
        Run::with(on("interrupts-vm.txt", &["irq", "--count", "1", "--watch", "ttyS0"])).stdout();
    assert!(text.contains("ttyS0") && !text.contains("virtio"), "{text}");
}

#[test]
fn a_wrong_interval_is_wrong_usage() {
    for args in [
        &["irq", "--watch=0"][..],
        &["irq", "--watch=-1"],
        &["irq", "--watch=nan"],
        &["irq", "--watch=x", "y"],
        &["irq", "--count", "1"],
    ] {
        Run::with(args).refusal(2);
    }
    let text = Run::with(["irq", "--watch", "1", "--file", "-"]).refusal(2);
    assert!(text.contains("standard input: it can be read only once"), "{text}");
}

#[test]
fn a_terminal_gets_one_screen_that_is_drawn_over() {
    let program = format!(
        "stty cols 60 rows 6; {} irq --watch=0.01 --count 2 --file {}",
        env!("CARGO_BIN_EXE_uioctl"),
        fixture("interrupts-x86-desktop.txt").display()
    );
    let run = Run::of(
        Command::new("script")
            .args(["-qec", &program, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::null()),
    );
    let screens: Vec<_> = run.stdout.split("\x1b[H").skip(2).collect();
    assert_eq!(screens.len(), 2, "{run:?}");
    for screen in screens {
        assert!(screen.lines().count() <= 5, "{screen:?}");
        assert!(screen.contains("Ctrl-C ends") && screen.contains("\x1b[1m"), "{screen:?}");
    }
}

#[test]
fn this_machine_is_read() {
    let json = Run::with(["irq", "--json"]).json();
    assert!(!json["interrupts"].as_array().unwrap().is_empty());
}
