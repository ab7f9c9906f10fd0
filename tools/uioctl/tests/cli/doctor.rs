//! `uioctl doctor`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::Run;

/// A machine with a UIO device, `uio0`, and the nodes that it needs; without an IOMMU, modules or PCI.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let device = root.path().join("sys/devices/platform/uio_dummy");
    let uio = device.join("uio/uio0");
    fs::create_dir_all(&uio).unwrap();
    fs::write(uio.join("name"), "uio_dummy\n").unwrap();
    symlink("../..", uio.join("device")).unwrap();
    fs::create_dir_all(root.path().join("sys/class/uio")).unwrap();
    symlink("../../devices/platform/uio_dummy/uio/uio0", root.path().join("sys/class/uio/uio0"))
        .unwrap();
    fs::create_dir_all(root.path().join("dev")).unwrap();
    for node in ["uio0", "cuse", "fuse"] {
        fs::write(root.path().join("dev").join(node), "").unwrap();
    }
    root
}

fn doctor(root: &Path, args: &[&str]) -> Run {
    let (sys, root) = (root.join("sys"), root.to_str().unwrap());
    let roots = ["--sysfs", sys.to_str().unwrap(), "--root", root, "doctor"];
    Run::with([&roots[..], args].concat())
}

#[test]
fn a_device_that_is_ready_is_exit_code_zero() {
    let root = machine();
    let text = doctor(root.path(), &["uio:uio0"]).stdout();
    assert!(text.ends_with("\nuio0 (uio_dummy) is ready\n"), "{text}");
    let text = doctor(root.path(), &["sim:edu"]).stdout();
    assert!(text.ends_with("\nsim:edu is ready\n"), "{text}");
}

#[test]
fn a_fault_is_exit_code_one_and_says_what_mends_it() {
    let root = machine();
    fs::remove_file(root.path().join("dev/uio0")).unwrap();
    let run = doctor(root.path(), &["uio:uio_dummy"]);
    assert_eq!((run.code, &*run.stderr), (Some(1), ""), "{run:?}");
    let lines: Vec<_> = run.stdout.lines().map(str::trim).collect();
    assert!(lines[1].starts_with("FAULT  node-uio") && lines[1].ends_with("dev/uio0: not there"));
    assert!(lines[2].starts_with("it is not there") && lines[3].starts_with("mend: "), "{run:?}");
    assert_eq!(lines.last(), Some(&"uio0 (uio_dummy) is not ready: 1 fault"));
}

#[test]
fn json_has_every_finding() {
    let root = machine();
    let json = doctor(root.path(), &["--json", "uio:uio0"]).json();
    assert_eq!((&json["device"], &json["ready"]), (&"uio:uio0".into(), &true.into()));
    let all = json["findings"].as_array().unwrap();
    assert_eq!(all.len(), 3);
    let node = root.path().join("dev/uio0");
    let expected = serde_json::json!({
        "check": "node-uio", "severity": "ok", "looked_at": node.to_str().unwrap(), "found": "may be opened",
        "problem": null, "command": null, "as_root": false, "advice": null,
    });
    assert_eq!(all[0], expected);
    fs::remove_file(node).unwrap();
    let run = doctor(root.path(), &["--json", "uio:uio0"]);
    assert_eq!((run.code, run.stdout.contains(r#""ready":false"#)), (Some(1), true), "{run:?}");
}

#[test]
fn a_device_that_is_not_there_is_a_failure_and_one_that_is_none_wrong_usage() {
    let root = machine();
    let text = doctor(root.path(), &["pci:00:1f.7"]).refusal(1);
    assert!(
        text.starts_with("cannot look at 0000:00:1f.7: there is no such PCI function"),
        "{text}"
    );
    let text = doctor(root.path(), &["uio:uio7"]).refusal(1);
    assert!(text.contains("uio7"), "{text}");
    for wrong in ["uio", "sim:", "pci:x", "usb:1", ""] {
        let text = doctor(root.path(), &[wrong]).refusal(2);
        assert!(text.contains("write it as pci:0000:00:03.0"), "{text}");
    }
}

#[test]
fn this_machine_is_looked_at() {
    let run = Run::with(["doctor", "--json"]);
    assert!(matches!(run.code, Some(0 | 1)) && run.stderr.is_empty(), "{run:?}");
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(json["ready"], run.code == Some(0));
}
