//! `uioctl iomem` and `uioctl ioports`.

use std::fs;

use super::{Run, on};

const DESKTOP: &str = "iomem-x86-desktop.txt";

#[test]
fn the_tree_is_shown_with_sizes_and_indent() {
    let text = Run::with(on(DESKTOP, &["iomem"])).stdout();
    assert!(text.starts_with("RANGE"), "{text}");
    assert!(text.contains("\n0000000000-0000000fff           4 KiB  Reserved\n"), "{text}");
    assert!(text.contains("\n    00a1000000-00a1003fff      16 KiB      0000:03:00.0\n"), "{text}");
    assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
}

#[test]
fn an_address_shows_its_innermost_owner_below_its_parents() {
    let text = Run::with(on(DESKTOP, &["iomem", "0xa1000040"])).stdout();
    let owners: Vec<_> =
        text.lines().skip(1).map(|line| line.split("  ").last().unwrap().trim()).collect();
    assert_eq!(owners, ["PCI Bus 0000:00", "PCI Bus 0000:03", "0000:03:00.0", "nvme"]);
    assert_eq!(Run::with(on(DESKTOP, &["iomem", "0xA100_0040"])).stdout(), text);
}

#[test]
fn an_address_of_nobody_is_answered_with_its_neighbours() {
    let text = Run::with(on(DESKTOP, &["iomem", "0xfed20000"])).refusal(1);
    assert!(
        text.contains("between fed00000-fed003ff (HPET 0) and fed40000-fed44fff (MSFT0101:00)"),
        "{text}"
    );
    let text = Run::with(on(DESKTOP, &["iomem", "0xffffffffffffffff"])).refusal(1);
    assert!(text.contains("above 4000000000-7fffffffff (PCI Bus 0000:00), the last"), "{text}");
}

#[test]
fn a_name_is_found_in_any_case_and_size_narrows_it() {
    let text = Run::with(on(DESKTOP, &["iomem", "APIC"])).stdout();
    assert!(
        text.contains("IOAPIC 0") && text.contains("Local APIC") && !text.contains("HPET"),
        "{text}"
    );
    assert_eq!(Run::with(on(DESKTOP, &["iomem", "apic"])).stdout(), text);
    let text = Run::with(on(DESKTOP, &["iomem", "apic", "--size", "4K"])).stdout();
    assert!(text.contains("Local APIC") && !text.contains("IOAPIC 0"), "{text}");
    let text = Run::with(on(DESKTOP, &["iomem", "--min-size", "1G", "--max-size", "0x100000000"]))
        .stdout();
    assert!(text.contains("00100000-007a2cffff") && !text.contains("0000:00:14.0"), "{text}");
}

#[test]
fn nothing_found_is_a_failure_with_a_hint() {
    let text = Run::with(on(DESKTOP, &["iomem", "fed20000"])).refusal(1);
    assert!(text.ends_with("write an address as 0xfed20000"), "{text}");
    let text = Run::with(on(DESKTOP, &["iomem", "--size", "3"])).refusal(1);
    assert!(text.contains("no resource has such a size"), "{text}");
}

#[test]
fn json_is_a_tree_and_marks_what_was_found() {
    let all = Run::with(on(DESKTOP, &["iomem", "--json"])).json();
    assert_eq!((&all["hidden"], &all["resources"][0]["start"]), (&false.into(), &0.into()));
    assert_eq!(all["resources"][0].get("found"), None);
    let some = Run::with(on(DESKTOP, &["iomem", "--json", "0xa1000040"])).json();
    let mut at = &some["resources"];
    for (name, found) in [
        ("PCI Bus 0000:00", false),
        ("PCI Bus 0000:03", false),
        ("0000:03:00.0", false),
        ("nvme", true),
    ] {
        assert_eq!(at.as_array().unwrap().len(), 1);
        assert_eq!((&at[0]["name"], &at[0]["found"]), (&name.into(), &found.into()));
        if found {
            assert_eq!(at[0]["size"], 0x4000);
        }
        at = &at[0]["children"];
    }
    let names = |value: &serde_json::Value| {
        value["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&all)[..2], ["\"Reserved\"", "\"System RAM\""], "the order is the kernel's");
}

#[test]
fn hidden_addresses_are_said_to_be_hidden() {
    let run = Run::with(on("iomem-hidden.txt", &["iomem", "nvme"]));
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.contains("hides its addresses"), "{run:?}");
    assert!(
        run.stdout.contains('?') && run.stdout.contains("nvme") && !run.stdout.contains("0000-"),
        "{run:?}"
    );
    let run = Run::with(on("iomem-hidden.txt", &["iomem", "--json", "nvme"]));
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&json["hidden"], &json["resources"][0]["start"]),
        (&true.into(), &serde_json::Value::Null)
    );
    for question in [&["iomem", "0xa1000000"][..], &["iomem", "--size", "4K"]] {
        let text = Run::with(on("iomem-hidden.txt", question)).refusal(1);
        assert!(text.contains("addresses are hidden from you; save the copy as root"), "{text}");
    }
}

#[test]
fn hidden_addresses_of_this_machine_ask_for_root() {
    let proc = tempfile::tempdir().unwrap();
    fs::write(proc.path().join("iomem"), "00000000-00000000 : System RAM\n").unwrap();
    let text = Run::with(["--proc", proc.path().to_str().unwrap(), "iomem", "0x1000"]).refusal(1);
    assert!(text.ends_with("run as root, with CAP_SYS_ADMIN"), "{text}");
}

#[test]
fn ports_are_counted_and_not_measured() {
    let text = Run::with(on("ioports-vm.txt", &["ioports", "0x3f9"])).stdout();
    assert_eq!(
        text,
        "RANGE        PORTS  OWNER\n0000-0cf7     3320  PCI Bus 0000:00\n  03f8-03ff      8    serial\n"
    );
}

#[test]
fn a_wrong_file_is_named() {
    let text = Run::with(on("softirqs-vm.txt", &["iomem"])).refusal(1);
    assert!(text.contains("softirqs-vm.txt: nothing in it looks like /proc/iomem"), "{text}");
    let text = Run::with(["iomem", "--file", "/no/such/file"]).refusal(1);
    assert_eq!(text, "cannot open /no/such/file: no such file or directory");
    let text = Run::with(["iomem", "--file", "/dev/zero"]).refusal(1);
    assert!(text.contains("longer than 64 MiB"), "{text}");
}

#[test]
fn standard_input_may_hold_anything() {
    let run = Run::with_stdin(["iomem", "--file", "-"], b"1000-1fff : a\x1b[2J\xff\0\njunk\n");
    assert_eq!(
        (run.code, &*run.stderr),
        (Some(0), "uioctl: passed over 1 line of standard input that are no rows\n")
    );
    assert!(run.stdout.contains("a\\u{1b}[2J\u{fffd}\\u{0}"), "{run:?}");
}

#[test]
fn the_files_of_this_machine_are_read() {
    assert!(Run::with(["ioports", "--json"]).code == Some(0));
    assert!(Run::with(["iomem", "--json"]).code == Some(0));
}
