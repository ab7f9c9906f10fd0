//! `uioctl bind`, `unbind` and `status BDF`, on a sysfs of plain files. Nothing reacts to what is written there, so here
//! is what is refused, shown or found out; that it really binds is shown on real kernels.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use super::fake::answering;
use super::{Run, uioctl};

/// A function that nobody drives, alone in its group.
const EDU: &str = "0000:00:03.0";
/// A disk, in one group with a network card and a port.
const DISK: &str = "0000:01:00.0";
const CARD: &str = "0000:01:00.1";
const PORT: &str = "0000:00:1c.0";

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        for (bdf, id, class, driver, group) in [
            (EDU, "0x1234 0x11e8", "0x00ff00", None, Some("3")),
            (DISK, "0x1b36 0x0010", "0x010802", Some("nvme"), Some("5")),
            (CARD, "0x8086 0x10d3", "0x020000", Some("e1000e"), Some("5")),
            (PORT, "0x1b36 0x000c", "0x060400", Some("pcieport"), Some("5")),
            ("0000:02:00.0", "0x1b36 0x0002", "0x070002", None, None),
        ] {
            world.add(bdf, id, class, driver, group);
        }
        for driver in ["vfio-pci", "uio_pci_generic", "nvme", "e1000e"] {
            for file in ["bind", "unbind"] {
                world.write(&format!("sys/bus/pci/drivers/{driver}/{file}"), "");
            }
        }
        world.write("sys/bus/pci/drivers_probe", "");
        fs::create_dir(world.path("rules")).unwrap();
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn add(&self, bdf: &str, id: &str, class: &str, driver: Option<&str>, group: Option<&str>) {
        let dir = format!("sys/bus/pci/devices/{bdf}");
        let (vendor, device) = id.split_once(' ').unwrap();
        for (name, text) in [
            ("vendor", vendor),
            ("device", device),
            ("class", class),
            ("irq", "0"),
            ("driver_override", "(null)"),
            ("modalias", "pci:v0"),
        ] {
            self.write(&format!("{dir}/{name}"), &format!("{text}\n"));
        }
        if let Some(driver) = driver {
            symlink(format!("../../drivers/{driver}"), self.path(&format!("{dir}/driver")))
                .unwrap();
        }
        if let Some(group) = group {
            let members = self.path(&format!("sys/kernel/iommu_groups/{group}/devices"));
            fs::create_dir_all(&members).unwrap();
            symlink(self.path(&dir), members.join(bdf)).unwrap();
            let to = self.path(&format!("sys/kernel/iommu_groups/{group}"));
            symlink(to, self.path(&format!("{dir}/iommu_group"))).unwrap();
        }
    }

    fn args(&self, args: &[&str]) -> Vec<String> {
        let text = |path: &str| self.path(path).to_str().unwrap().to_owned();
        let mut all: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        all.extend(["--sysfs".into(), text("sys"), "--proc".into(), text("proc")]);
        all.extend(["--rules-dir".into(), text("rules"), "--udev-data".into(), text("udev")]);
        all
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::with(self.args(args))
    }

    fn status(&self, args: &[&str]) -> Run {
        let run_dir = self.path("run").to_str().unwrap().to_owned();
        let mut all = self.args(&[&["status"], args].concat());
        all.extend(["--run-dir".to_owned(), run_dir]);
        Run::with(all)
    }

    /// Everything in it, by path: what must be the same when nothing was changed.
    fn contents(&self) -> Vec<(PathBuf, String)> {
        fn walk(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
            for entry in fs::read_dir(dir).unwrap().flatten() {
                let path = entry.path();
                let kind = entry.file_type().unwrap();
                if kind.is_symlink() {
                    let to = fs::read_link(&path).unwrap().to_string_lossy().into_owned();
                    found.push((path, to));
                } else if kind.is_dir() {
                    walk(&path, found);
                } else if kind.is_file() {
                    let text = fs::read_to_string(&path).unwrap();
                    found.push((path, text));
                }
            }
        }
        let mut found = Vec::new();
        walk(self.dir.path(), &mut found);
        found.sort();
        found
    }

    /// A mounted partition on the disk.
    fn mount_disk(&self, at: &str) {
        let disk = format!("sys/bus/pci/devices/{DISK}/nvme/nvme0/nvme0n1");
        self.write(&format!("{disk}/dev"), "259:0\n");
        symlink("/sys/class/block", self.path(&disk).join("subsystem")).unwrap();
        let line = format!("30 1 259:0 / {at} rw - ext4 /dev/nvme0n1 rw\n");
        self.write("proc/self/mountinfo", &line);
    }

    fn open(&self, pid: u32, name: &str, node: &str) {
        self.write(&format!("proc/{pid}/comm"), &format!("{name}\n"));
        let fd = self.path(&format!("proc/{pid}/fd"));
        fs::create_dir_all(&fd).unwrap();
        symlink(node, fd.join("7")).unwrap();
    }

    /// The function is with this driver, as if by us.
    fn give(&self, bdf: &str, driver: &str) {
        let link = self.path(&format!("sys/bus/pci/devices/{bdf}/driver"));
        let _ = fs::remove_file(&link);
        symlink(format!("../../drivers/{driver}"), link).unwrap();
        self.write(&format!("sys/bus/pci/devices/{bdf}/driver_override"), &format!("{driver}\n"));
    }
}

/// An attribute that the kernel does not come back from.
struct Stuck(PathBuf);

impl Stuck {
    fn make(path: PathBuf) -> Self {
        fs::remove_file(&path).unwrap();
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        Self(path)
    }
}

impl Drop for Stuck {
    /// Lets go of the process that was left behind: both ends are open for a moment.
    fn drop(&mut self) {
        drop(open(&self.0, OFlag::O_RDWR | OFlag::O_NONBLOCK, Mode::empty()).unwrap());
    }
}

#[test]
fn a_dry_run_shows_numbered_steps_and_changes_nothing() {
    let world = World::new();
    let before = world.contents();
    let text = world.run(&["bind", "00:03.0", "vfio-pci", "--dry-run"]).stdout();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("note: ")).collect();
    let pci = world.path("sys/bus/pci").display().to_string();
    assert_eq!(
        lines,
        [
            format!(
                "1. reserve {EDU} for vfio-pci: echo vfio-pci > {pci}/devices/{EDU}/driver_override"
            ),
            format!("2. bind {EDU} to vfio-pci: echo {EDU} > {pci}/drivers/vfio-pci/bind"),
            "dry run: nothing was changed".to_owned(),
        ]
    );
    assert_eq!(world.contents(), before);
}

#[test]
fn a_dry_run_loads_no_module_and_writes_no_rule() {
    let world = World::new();
    let before = world.contents();
    let args = ["bind", EDU, "made-up", "--dry-run", "--persist"];
    let text = world.run(&args).stdout();
    assert!(text.starts_with("1. load the module made-up: modprobe made-up\n"), "{text}");
    let rule = world.path(&format!("rules/70-uioctl-{EDU}.rules"));
    assert!(text.contains(&format!("would write {}\n", rule.display())), "{text}");
    assert!(text.contains("  ACTION==\"add\", SUBSYSTEM==\"pci\""), "{text}");
    assert_eq!(world.contents(), before);
}

#[test]
fn json_has_the_plan() {
    let world = World::new();
    let json = world.run(&["bind", CARD, "uio_pci_generic", "--dry-run", "--json"]).json();
    assert_eq!(json["device"], CARD);
    assert_eq!(json["driver"], "uio_pci_generic");
    assert_eq!((&json["dry_run"], &json["changed"]), (&Value::Bool(true), &Value::Bool(true)));
    let what: Vec<&Value> =
        json["steps"].as_array().unwrap().iter().map(|step| &step["what"]).collect();
    assert_eq!(
        what,
        [
            &json!(format!("unbind {CARD} from e1000e")),
            &json!(format!("reserve {CARD} for uio_pci_generic")),
            &json!(format!("bind {CARD} to uio_pci_generic")),
        ]
    );
    assert_eq!(json["steps"][2]["number"], 3);
    let notes = json["notes"].to_string();
    assert!(notes.contains("no INTx line") && notes.contains("masters the bus"), "{notes}");
}

#[test]
fn what_is_bound_already_is_left_alone() {
    let world = World::new();
    world.give(EDU, "vfio-pci");
    let before = world.contents();
    let text = world.run(&["bind", EDU, "vfio-pci"]).stdout();
    assert_eq!(text, format!("{EDU}: nothing to do, it is bound to vfio-pci already\n"));
    let text = world.run(&["unbind", CARD]).stdout();
    assert!(text.contains("nothing to do, it is with the kernel's own driver already"), "{text}");
    let text = world.run(&["unbind", "02:00.0", "--driverless"]).stdout();
    assert!(text.contains("nothing to do, it has no driver already"), "{text}");
    assert_eq!(world.contents(), before);
}

#[test]
fn a_group_with_others_on_kernel_drivers_is_refused_and_they_are_named() {
    let world = World::new();
    let before = world.contents();
    let text = world.run(&["bind", DISK, "vfio-pci"]).refusal(1);
    assert!(text.contains(&format!("{CARD} is bound to e1000e")), "{text}");
    assert!(!text.contains(PORT), "a port is in nobody's way: {text}");
    assert!(text.contains("--group"), "{text}");
    assert_eq!(world.contents(), before);
}

#[test]
fn with_group_all_of_it_are_taken_but_ports() {
    let world = World::new();
    let text = world.run(&["bind", DISK, "vfio-pci", "--group", "--dry-run"]).stdout();
    for bdf in [DISK, CARD] {
        assert!(text.contains(&format!("bind {bdf} to vfio-pci")), "{text}");
    }
    assert!(!text.contains(&format!("unbind {PORT}")), "{text}");
    assert!(text.contains(&format!("there are also {PORT} (pcieport), {CARD} (e1000e)")), "{text}");
    let text = world.run(&["bind", DISK, "uio_pci_generic", "--group"]).refusal(2);
    assert!(text.contains("--group"), "{text}");
}

/// A driver for the hot-plug slots of a bridge is in VFIO's way; the bus behind the bridge needs it not.
#[test]
fn with_group_a_bridge_that_is_in_the_way_loses_its_driver() {
    let world = World::new();
    world.give(PORT, "shpchp");
    let text = world.run(&["bind", DISK, "vfio-pci"]).refusal(1);
    assert!(text.contains(&format!("{PORT} is bound to shpchp")), "{text}");
    let text = world.run(&["bind", DISK, "vfio-pci", "--group", "--dry-run", "--persist"]).stdout();
    assert!(text.starts_with(&format!("1. unbind {PORT} from shpchp: ")), "{text}");
    assert!(!text.contains(&format!("bind {PORT} to vfio-pci")), "{text}");
    assert!(text.contains("no rule keeps the driver from a bridge"), "{text}");
    world.write(&format!("sys/bus/pci/devices/{PORT}/class"), "0x060100\n");
    let text = world.run(&["bind", DISK, "vfio-pci", "--group"]).refusal(1);
    assert!(text.contains(PORT) && text.contains("no device that can be taken"), "{text}");
}

#[test]
fn each_of_a_group_is_checked() {
    let world = World::new();
    world.mount_disk("/data");
    let text = world.run(&["bind", CARD, "vfio-pci", "--group"]).refusal(1);
    assert!(text.starts_with(&format!("cannot bind {DISK}: it is in use")), "{text}");
}

#[test]
fn without_an_iommu_vfio_is_refused_with_the_mend() {
    let world = World::new();
    let text = world.run(&["bind", "02:00.0", "vfio-pci"]).refusal(1);
    assert!(text.contains("no IOMMU group") && text.contains("intel_iommu=on"), "{text}");
    world.run(&["bind", "02:00.0", "uio_pci_generic", "--dry-run"]).stdout();
    world.write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
    world.run(&["bind", "02:00.0", "vfio-pci", "--dry-run"]).stdout();
}

#[test]
fn what_is_in_use_is_refused_with_the_reason_unless_forced() {
    let world = World::new();
    world.mount_disk("/");
    let before = world.contents();
    let text = world.run(&["bind", DISK, "uio_pci_generic"]).refusal(1);
    assert!(text.contains("/dev/nvme0n1 is the root disk (mounted at /)"), "{text}");
    assert!(text.contains("--force"), "{text}");
    let text = world.run(&["unbind", DISK, "--driverless", "--dry-run"]).refusal(1);
    assert!(text.contains("root disk"), "{text}");
    let text = world.run(&["bind", DISK, "uio_pci_generic", "--force", "--dry-run"]).stdout();
    assert!(text.contains("taken all the same: /dev/nvme0n1 is the root disk"), "{text}");
    assert_eq!(world.contents(), before);
}

#[test]
fn what_a_daemon_has_open_is_refused() {
    let world = World::new();
    world.give(EDU, "vfio-pci");
    world.open(77, "uiod", "/dev/vfio/3");
    let text = world.run(&["unbind", EDU]).refusal(1);
    assert!(text.contains("uiod (process 77) has /dev/vfio/3 open"), "{text}");
}

#[test]
fn bridges_are_refused_even_by_force() {
    let world = World::new();
    for args in [["bind", PORT, "vfio-pci", "--force"], ["unbind", PORT, "--driverless", "--force"]]
    {
        let text = world.run(&args).refusal(1);
        assert!(text.contains("it is a bridge"), "{text}");
    }
}

#[test]
fn an_address_that_is_none_or_not_there_is_explained() {
    let world = World::new();
    let text = world.run(&["bind", "00:04.0", "vfio-pci"]).refusal(1);
    assert!(text.starts_with("no PCI function is at 0000:00:04.0: near it there are"), "{text}");
    assert!(text.contains(EDU) && text.contains(PORT), "{text}");
    let text = world.run(&["bind", "03.0", "vfio-pci"]).refusal(1);
    assert!(text.contains("0000:00:03.0"), "{text}");
    let text = world.run(&["bind", EDU]).refusal(2);
    assert!(text.contains("the driver is not named; name vfio-pci"), "{text}");
    for driver in ["", "../x", "a b", "a\"b", "-v", ".."] {
        world.run(&["bind", EDU, "--", driver]).refusal(2);
    }
}

#[test]
fn a_module_that_does_not_exist_leaves_everything_as_it_was() {
    let world = World::new();
    let before = world.contents();
    let text = world.run(&["bind", EDU, "no-such-driver"]).refusal(1);
    assert!(text.starts_with("cannot load the module no-such-driver: "), "{text}");
    assert!(text.contains("nothing was changed"), "{text}");
    assert_eq!(world.contents(), before);
}

/// Here the kernel takes every request and does nothing.
#[test]
fn a_request_that_came_to_nothing_is_noticed_and_taken_back() {
    let world = World::new();
    let text = world.run(&["bind", CARD, "uio_pci_generic"]).refusal(1);
    assert!(text.contains("took the request, but e1000e has it now"), "{text}");
    assert!(text.contains(&format!("rolled back: {CARD} is with e1000e as before")), "{text}");
    let text = world.run(&["bind", EDU, "vfio-pci"]).refusal(1);
    assert!(text.contains("took the request, but no driver has it now"), "{text}");
    assert!(text.contains(&format!("rolled back: {EDU} has no driver, as before")), "{text}");
    let reserved =
        fs::read_to_string(world.path(&format!("sys/bus/pci/devices/{EDU}/driver_override")));
    assert!(reserved.unwrap().starts_with('\n'), "the override is cleared by a line end");
}

#[test]
fn an_unbind_that_hangs_is_given_up_on_time_and_whoever_holds_the_device_is_named() {
    let world = World::new();
    world.give(EDU, "vfio-pci");
    world.open(77, "uiod", "/dev/vfio/3");
    let _stuck = Stuck::make(world.path("sys/bus/pci/drivers/vfio-pci/unbind"));
    let started = Instant::now();
    let text = world.run(&["unbind", EDU, "--force", "--timeout", "1", "--json"]).refusal(1);
    assert!(started.elapsed() < Duration::from_secs(30));
    assert!(text.contains("the kernel has not done it within 1 s"), "{text}");
    assert!(text.contains("uiod (process 77) has /dev/vfio/3 open: end it"), "{text}");
    assert!(text.contains("goes on with it by itself"), "{text}");
}

#[test]
fn a_function_that_somebody_unbinds_already_is_busy() {
    let world = World::new();
    world.give(EDU, "vfio-pci");
    let path = world.path(&format!("sys/bus/pci/devices/{EDU}/driver_override"));
    let _stuck = Stuck::make(path);
    let text = world.run(&["bind", EDU, "uio_pci_generic", "--timeout", "1"]).refusal(1);
    assert!(text.contains("somebody unbinds it already"), "{text}");
    let text = world.status(&[EDU]).stdout();
    assert!(text.contains("unknown: the kernel is busy with the device"), "{text}");
}

#[test]
fn without_the_right_to_write_one_line_says_what_to_do() {
    let world = World::new();
    let path = world.path(&format!("sys/bus/pci/devices/{EDU}/driver_override"));
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
    let before = world.contents();
    let mut command = uioctl(world.args(&["bind", EDU, "vfio-pci"]));
    if nix::unistd::geteuid().is_root() {
        // The directory is ours alone, so that the other user is let in first.
        let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(world.dir.path(), open_to_all).unwrap();
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
    }
    let text = Run::of(&mut command).refusal(1);
    assert!(text.contains("permission denied; run it as root: sudo"), "{text}");
    assert_eq!(world.contents(), before);
}

#[test]
fn a_rule_is_kept_and_forgotten() {
    let world = World::new();
    world.give(EDU, "vfio-pci");
    let rule = world.path(&format!("rules/70-uioctl-{EDU}.rules"));
    let text = world.run(&["bind", EDU, "vfio-pci", "--persist"]).stdout();
    assert!(text.contains(&format!("wrote {}\n  # Written by", rule.display())), "{text}");
    let written = fs::read_to_string(&rule).unwrap();
    assert!(written.contains("ATTR{driver_override}=\"vfio-pci\""), "{written}");
    let text = world.run(&["bind", EDU, "vfio-pci", "--persist"]).stdout();
    assert!(text.contains("is there already"), "{text}");
    let text = world.status(&[EDU]).stdout();
    assert!(text.contains(&format!("to vfio-pci, by {}", rule.display())), "{text}");

    let text = world.run(&["unbind", EDU, "--dry-run"]).stdout();
    assert!(text.contains("at the next boot a rule binds") && text.contains("--forget"), "{text}");
    let text = world.run(&["unbind", EDU, "--dry-run", "--forget"]).stdout();
    assert!(text.contains("would remove") && rule.exists(), "{text}");
    fs::remove_dir_all(world.path(&format!("sys/bus/pci/devices/{EDU}"))).unwrap();
    let text = world.run(&["unbind", EDU, "--forget"]).stdout();
    assert!(text.contains("is not there") && text.contains("removed"), "{text}");
    assert!(!rule.exists());
    world.run(&["unbind", EDU, "--forget"]).refusal(1);
}

#[test]
fn without_udev_a_rule_is_refused_before_anything_is_touched() {
    let world = World::new();
    fs::remove_dir(world.path("rules")).unwrap();
    let before = world.contents();
    let text = world.run(&["bind", EDU, "vfio-pci", "--persist"]).refusal(1);
    assert!(text.contains("cannot write a rule to") && text.contains("udev"), "{text}");
    assert_eq!(world.contents(), before);
}

#[test]
fn the_status_of_a_function_says_who_has_it() {
    let world = World::new();
    world.give(EDU, "vfio-pci");
    world.open(77, "uiod", "/dev/vfio/3");
    fs::create_dir(world.path("run")).unwrap();
    let answer =
        r#"{"pid":77,"devices":[{"name":"pci:0000:00:03.0","driver":"edu","state":"running"}]}"#;
    answering(&world.path("run"), 77, answer);
    let json = world.status(&["00:03.0", "--json"]).json();
    assert_eq!(
        (&json["driver"], &json["driver_override"]),
        (&json!("vfio-pci"), &json!("vfio-pci"))
    );
    assert_eq!((&json["iommu_group"], &json["viable"]), (&json!(3), &json!(true)));
    assert_eq!(json["holders"][0], json!({"pid": 77, "name": "uiod", "node": "/dev/vfio/3"}));
    assert_eq!(json["daemons"][0]["driver"], "edu");

    // The daemon answers once.
    fs::remove_dir_all(world.path("run")).unwrap();
    let text = world.status(&[DISK]).stdout();
    assert!(text.starts_with(&format!("{DISK}, 1b36:0010\n  driver           nvme\n")), "{text}");
    assert!(text.contains("5, not viable"), "{text}");
    assert!(text.contains(&format!("{CARD}, e1000e, in the way of VFIO")), "{text}");
    assert!(text.contains(&format!("{PORT}, pcieport\n")), "{text}");
}

#[test]
fn the_status_has_a_table_of_what_is_bound_for_userspace() {
    let world = World::new();
    world.give(EDU, "vfio-pci");
    world.open(77, "uiod", "/dev/vfio/3");
    fs::create_dir(world.path("run")).unwrap();
    answering(&world.path("run"), 77, r#"{"pid":77}"#);
    let text = world.status(&[]).stdout();
    let last: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(last, [EDU, "1234:11e8", "vfio-pci", "3,", "viable", "uiod", "(77)"]);
    assert!(!text.contains(CARD), "{text}");
}
