//! `uioctl softirqs`: the kernel's, and beside them those of daemons that tell, do not tell, refuse or are not there.

use std::io::Write;
use std::path::Path;

use super::fake::{answering, daemon};
use super::{Run, fixture, on};

const ANSWER: &str = r#"{"version":1,"pid":7,"uptime_ms":61000,"softirqs":[{"dispatcher":2,"vectors":[{"name":"HI","runs":0,"time_ns":0,"pending":false,"broken":false},{"name":"TASKLET","runs":10,"time_ns":25000,"pending":false,"broken":false},{"name":"BLOCK","runs":1,"time_ns":900,"pending":false,"broken":true}],"ksoftirqd":{"active":false,"taken_over":3,"turns":14},"squeezed":5},{"dispatcher":3,"vectors":[{"name":"HI","runs":4,"time_ns":400}],"ksoftirqd":{}}]}"#;

/// A procfs with the softirqs of a fixture.
fn proc(dir: &Path) -> String {
    let proc = dir.join("proc");
    std::fs::create_dir_all(&proc).unwrap();
    std::fs::copy(fixture("softirqs-vm.txt"), proc.join("softirqs")).unwrap();
    proc.to_str().unwrap().to_owned()
}

fn softirqs(dir: &Path, args: &[&str]) -> Run {
    let (proc, run_dir) = (proc(dir), dir.to_str().unwrap());
    Run::with([&["softirqs", "--proc", &proc, "--run-dir", run_dir][..], args].concat())
}

#[test]
fn the_kernels_are_counted_by_cpu() {
    let text = Run::with(on("softirqs-vm.txt", &["softirqs"])).stdout();
    assert!(
        text.contains("\nNET_RX     2038   3296   5334  network, received packets\n"),
        "{text}"
    );
    let json = Run::with(on("softirqs-vm.txt", &["softirqs", "--json"])).json();
    let tasklet = serde_json::json!({"name": "TASKLET", "counts": [44, 1], "total": 45});
    assert_eq!(json["softirqs"][6], tasklet);
}

#[test]
fn a_file_is_of_another_machine_and_stands_alone() {
    let dir = tempfile::tempdir().unwrap();
    let args = on("softirqs-vm.txt", &["softirqs", "--run-dir", dir.path().to_str().unwrap()]);
    let text = Run::with(&args).stdout();
    assert!(text.starts_with("SOFTIRQ ") && !text.contains("uiod"), "{text}");
    let json = Run::with([args, vec!["--json".into()]].concat()).json();
    assert_eq!(json.get("daemons"), None);
}

#[test]
fn each_dispatcher_of_a_daemon_has_a_section_beside_the_kernels() {
    let dir = tempfile::tempdir().unwrap();
    answering(dir.path(), 7, ANSWER);
    let text = softirqs(dir.path(), &[]).stdout();
    let titles: Vec<_> =
        text.lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).collect();
    assert!(titles[0].starts_with("kernel, ") && titles[0].ends_with("/proc/softirqs"), "{text}");
    let ours = ["uiod 7, dispatcher 2, up 1 min 1 s", "uiod 7, dispatcher 3, up 1 min 1 s"];
    assert_eq!(titles[1..], ours);
    for line in [
        "  NET_RX     2038   3296   5334  network, received packets",
        "  TASKLET    10  25.0 us     2.5 us  tasklets",
        "  BLOCK       1   900 ns     900 ns  free for drivers: panicked, not run again",
        "  HI          0        -          -  tasklets of high priority",
        "  ksoftirqd/2 took over 3 times and ran 14 times",
        "  polling stopped 5 times with work left",
        "  ksoftirqd/3 was never needed",
    ] {
        assert!(text.lines().any(|had| had == line), "`{line}` is not in:\n{text}");
    }
}

#[test]
fn json_has_the_kernels_and_the_daemons() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(softirqs(dir.path(), &["--json"]).json()["daemons"], serde_json::json!([]));
    answering(dir.path(), 7, ANSWER);
    let json = softirqs(dir.path(), &["--json"]).json();
    assert_eq!(json["softirqs"][6]["total"], 45);
    assert_eq!(json["daemons"][0]["pid"], 7);
    let first = &json["daemons"][0]["softirqs"][0];
    assert_eq!((&first["dispatcher"], &first["squeezed"]), (&2.into(), &5.into()));
    let tasklet = serde_json::json!({"name": "TASKLET", "runs": 10, "time_ns": 25000, "pending": false, "broken": false});
    assert_eq!(first["vectors"][1], tasklet);
    let ksoftirqd = serde_json::json!({"active": false, "taken_over": 3, "turns": 14});
    assert_eq!(first["ksoftirqd"], ksoftirqd);
}

#[test]
fn without_a_daemon_the_kernels_stand_alone_and_a_note_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let text = softirqs(dir.path(), &[]).stdout();
    let last = text.lines().next_back().unwrap();
    assert!(last.starts_with("no uiod") && last.ends_with(dir.path().to_str().unwrap()), "{text}");
}

#[test]
fn a_daemon_that_tells_nothing_of_softirqs_is_named() {
    let dir = tempfile::tempdir().unwrap();
    answering(dir.path(), 9, r#"{"version":1,"pid":9}"#);
    let text = softirqs(dir.path(), &[]).stdout();
    assert!(text.contains("\nuiod 9, up 0.0 s\n\n  it tells nothing of its softirqs"), "{text}");
}

#[test]
fn a_daemon_that_does_not_answer_hides_neither_the_kernels_nor_the_others() {
    let dir = tempfile::tempdir().unwrap();
    answering(dir.path(), 1, ANSWER);
    answering(dir.path(), 2, r#"{"softirqs":[{"vectors":{}}]}"#);
    answering(dir.path(), 3, r#"{"error":"not now"}"#);
    daemon(dir.path(), 4, drop);
    daemon(dir.path(), 5, |mut stream| {
        let _ = stream.write_all(&[0xFF; 100]);
    });
    let run = softirqs(dir.path(), &[]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("NET_RX     2038") && run.stdout.contains("uiod 1,"), "{run:?}");
    assert_eq!(run.stderr.lines().count(), 4, "{run:?}");
    assert!(run.stderr.contains("daemon 3 refused: not now"), "{run:?}");
    // No directory at all, but something in its place.
    let not_a_directory = fixture("softirqs-vm.txt");
    let proc = proc(dir.path());
    let args = ["softirqs", "--proc", &proc, "--run-dir", not_a_directory.to_str().unwrap()];
    let run = Run::with(args);
    assert!(run.code == Some(1) && run.stdout.contains("NET_RX     2038"), "{run:?}");
}

#[test]
fn this_machine_is_read() {
    let dir = tempfile::tempdir().unwrap();
    Run::with(["softirqs", "--run-dir", dir.path().to_str().unwrap()]).stdout();
}
