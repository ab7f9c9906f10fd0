//! `uioctl bind` and `unbind` on the kernel's own drivers, VFIO and `uio_pci_generic`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use scenarios::pci::{self, Function};
use scenarios::{uioctl, wait};

const NO_OVERRIDE: &str = "(null)";

fn bind(function: Function, driver: &str, more: &[&str]) -> uioctl::Ran {
    let address = function.to_string();
    uioctl::run(&[&["bind", &address, driver][..], more].concat())
}

fn unbind(function: Function, more: &[&str]) -> uioctl::Ran {
    let address = function.to_string();
    uioctl::run(&[&["unbind", &address][..], more].concat())
}

#[track_caller]
fn assert_state(function: Function, driver: Option<&str>, reserved: &str) {
    assert_eq!(function.driver().as_deref(), driver, "{function}");
    assert_eq!(function.attribute("driver_override"), reserved, "{function}");
}

/// Runs a program of the guest.
#[track_caller]
fn guest(program: &str, args: &[&str]) {
    let done = Command::new(program).args(args).output().expect("it is there");
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A module that is loaded for a story, with what was done by it taken back before.
struct Module {
    name: &'static str,
    before: Vec<(&'static str, Vec<&'static str>)>,
}

impl Module {
    fn load(name: &'static str) -> Self {
        guest("modprobe", &[name]);
        Self { name, before: Vec::new() }
    }

    /// Runs this when the story is over, however it ends.
    fn finally(&mut self, program: &'static str, args: &[&'static str]) {
        self.before.push((program, args.to_vec()));
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        for (program, args) in self.before.iter().rev() {
            let _ = Command::new(program).args(args).output();
        }
        guest("modprobe", &["-r", self.name]);
    }
}

#[test]
fn a_function_without_a_driver_goes_to_vfio_and_back() {
    let edu = pci::edu(0);
    let said = bind(edu, "vfio-pci", &[]).done();
    assert_eq!(said, format!("{edu} is bound to vfio-pci (it had no driver)\n"));
    assert_state(edu, Some("vfio-pci"), "vfio-pci");
    let group = edu.group().expect("a group");
    wait::until("the group's node", || Path::new("/dev/vfio").join(&group).exists());
    let said = bind(edu, "vfio-pci", &[]).done();
    assert!(said.contains("nothing to do, it is bound to vfio-pci already"), "{said}");

    let json = uioctl::run(&["status", &edu.to_string(), "--json"]).json();
    assert_eq!((&json["driver"], &json["viable"]), (&"vfio-pci".into(), &true.into()));
    let said = unbind(edu, &[]).done();
    assert!(said.contains("has no driver: the kernel has none that takes it"), "{said}");
    assert_state(edu, None, NO_OVERRIDE);
}

#[test]
fn a_function_goes_from_vfio_to_uio_pci_generic() {
    let edu = pci::edu(0);
    bind(edu, "vfio-pci", &[]).done();
    let said = bind(edu, "uio_pci_generic", &[]).done();
    assert!(said.contains("is bound to uio_pci_generic (it was with vfio-pci)"), "{said}");
    assert!(said.contains("note: uio_pci_generic puts no IOMMU between"), "{said}");
    assert!(!said.contains("no INTx line"), "edu has one: {said}");
    wait::until("its node", || edu.dir().join("uio").exists());
    unbind(edu, &["--driverless"]).done();
    assert_state(edu, None, NO_OVERRIDE);
}

#[test]
fn a_driver_of_the_kernel_gets_its_function_back() {
    let port = pci::serial(1);
    bind(port, "vfio-pci", &[]).done();
    assert_state(port, Some("vfio-pci"), "vfio-pci");
    let said = unbind(port, &[]).done();
    assert_eq!(said, format!("{port} is bound to serial (it was with vfio-pci)\n"));
    assert_state(port, Some("serial"), NO_OVERRIDE);

    bind(port, "uio_pci_generic", &[]).done();
    bind(port, "serial", &[]).done();
    assert_state(port, Some("serial"), "serial");
    unbind(port, &[]).done();
    assert_state(port, Some("serial"), NO_OVERRIDE);
    let said = unbind(port, &[]).done();
    assert!(said.contains("nothing to do"), "{said}");
    assert!(pci::tty(1).exists());
}

#[test]
fn a_dry_run_changes_nothing() {
    let port = pci::serial(0);
    let said = bind(port, "vfio-pci", &["--dry-run"]).done();
    let starts: Vec<_> = said.lines().filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(
        starts[..4].iter().map(|(start, _)| *start).collect::<Vec<_>>(),
        [
            &*format!("1. unbind {port} from serial"),
            &*format!("2. reserve {port} for vfio-pci"),
            &*format!("3. bind {port} to vfio-pci"),
            "dry run",
        ]
    );
    assert_state(port, Some("serial"), NO_OVERRIDE);
}

#[test]
fn a_driver_that_refuses_leaves_everything_as_it_was() {
    let edu = pci::edu(1);
    // The driver of serial ports finds that this is none.
    let said = bind(edu, "serial", &[]).refused(&[
        &format!("cannot bind {edu} to serial: serial refuses it"),
        &format!("rolled back: {edu} has no driver, as before"),
    ]);
    assert!(said.contains("dmesg"), "{said}");
    assert_state(edu, None, NO_OVERRIDE);
    bind(edu, "vfio-pci", &[]).done();
    bind(edu, "serial", &[]).refused(&[&format!("rolled back: {edu} is with vfio-pci as before")]);
    assert_state(edu, Some("vfio-pci"), "vfio-pci");
    unbind(edu, &[]).done();
}

#[test]
fn a_driver_that_does_not_exist_is_refused_before_anything_is_touched() {
    let port = pci::serial(0);
    bind(port, "made-up", &[]).refused(&["cannot load the module made-up", "nothing was changed"]);
    assert_state(port, Some("serial"), NO_OVERRIDE);
}

#[test]
fn bridges_and_addresses_without_a_function_are_refused() {
    pci::edu(0);
    uioctl::run(&["bind", "00:08.0", "vfio-pci"]).refused(&["0000:00:08.0: it is a bridge"]);
    let said = uioctl::run(&["bind", "00:07.0", "vfio-pci"]).refused(&["no PCI function is at"]);
    assert!(said.contains("0000:00:06.0") && said.contains("0000:00:08.0"), "{said}");
}

#[test]
fn a_disk_that_is_mounted_or_swapped_to_is_refused() {
    let disk = pci::nvme();
    let mut module = Module::load("nvme");
    module.finally("uioctl", &["unbind", "01:00.0", "--driverless"]);
    let node = Path::new("/dev/nvme0n1");
    wait::until("the disk", || node.exists());
    guest("mkswap", &["/dev/nvme0n1"]);
    guest("swapon", &["/dev/nvme0n1"]);
    module.finally("swapoff", &["/dev/nvme0n1"]);
    bind(disk, "vfio-pci", &[])
        .refused(&["it is in use: /dev/nvme0n1 is swap space in use", "--force"]);
    guest("swapoff", &["/dev/nvme0n1"]);

    guest("mkdosfs", &["/dev/nvme0n1"]);
    guest("modprobe", &["vfat"]);
    guest("mount", &["-t", "vfat", "/dev/nvme0n1", "/mnt"]);
    module.finally("umount", &["/mnt"]);
    bind(disk, "vfio-pci", &[]).refused(&["/dev/nvme0n1 is mounted at /mnt", "--force"]);
    bind(disk, "vfio-pci", &["--dry-run"]).refused(&["/dev/nvme0n1 is mounted at /mnt"]);
    unbind(disk, &["--driverless"]).refused(&["/dev/nvme0n1 is mounted at /mnt"]);
    assert_state(disk, Some("nvme"), NO_OVERRIDE);
    fs::write("/mnt/alive", "yes").expect("the disk is there");
    guest("umount", &["/mnt"]);

    bind(disk, "vfio-pci", &[]).done();
    assert_state(disk, Some("vfio-pci"), "vfio-pci");
    unbind(disk, &[]).done();
    assert_state(disk, Some("nvme"), NO_OVERRIDE);
}

#[test]
fn an_interface_in_use_is_refused() {
    let card = pci::e1000e();
    let mut module = Module::load("e1000e");
    let interface = wait::until_some("the interface", || {
        let entry = fs::read_dir(card.dir().join("net")).ok()?.flatten().next()?;
        Some(entry.file_name().to_string_lossy().into_owned())
    });
    module.finally("uioctl", &["unbind", "02:00.0", "--driverless", "--force"]);
    bind(card, "vfio-pci", &["--dry-run"]).done();
    guest("ip", &["addr", "add", "10.0.2.15/24", "dev", &interface]);
    let named = format!("the network interface {interface}");
    bind(card, "vfio-pci", &[]).refused(&[&named, "has the address 10.0.2.15", "--force"]);
    guest("ip", &["link", "set", &interface, "up"]);
    guest("ip", &["route", "add", "default", "via", "10.0.2.2"]);
    bind(card, "vfio-pci", &[]).refused(&[&named, "is up", "carries the default route"]);
    assert_state(card, Some("e1000e"), NO_OVERRIDE);
    let said = bind(card, "vfio-pci", &["--force"]).done();
    assert!(said.contains("is in use, and is taken all the same"), "{said}");
    assert_state(card, Some("vfio-pci"), "vfio-pci");
}

/// A process that has a device of VFIO open, and pays no heed to requests to let it go.
struct Holder(Child);

/// Opens the group, the container and the device, says so, and waits.
const HOLDER: &str = r#"
import fcntl, os, struct, sys, time
group = os.open("/dev/vfio/" + sys.argv[1], os.O_RDWR)
container = os.open("/dev/vfio/vfio", os.O_RDWR)
fcntl.ioctl(group, 0x3b68, struct.pack("i", container))
fcntl.ioctl(container, 0x3b66, 3)
device = fcntl.ioctl(group, 0x3b6a, sys.argv[2].encode() + b"\0")
print("open", flush=True)
time.sleep(100000)
"#;

impl Holder {
    fn of(function: Function) -> Self {
        let group = function.group().expect("a group");
        wait::until("the group's node", || Path::new("/dev/vfio").join(&group).exists());
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", HOLDER, &group, &function.to_string()]).stdout(Stdio::piped());
        let mut child = python.spawn().expect("python runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("it says so");
        assert_eq!(line, "open\n");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_device_that_a_process_has_open_is_refused_and_by_force_the_wait_has_an_end() {
    let edu = pci::edu(0);
    bind(edu, "vfio-pci", &[]).done();
    let holder = Holder::of(edu);
    let group = edu.group().expect("a group");
    let open = format!("python3 (process {}) has /dev/vfio/{group} open", holder.0.id());
    unbind(edu, &[]).refused(&["it is in use", &open, "--force"]);
    assert_state(edu, Some("vfio-pci"), "vfio-pci");

    unbind(edu, &["--force", "--timeout", "2"]).refused(&[
        "the kernel has not done it within 2 s",
        &open,
        "end it, and try again",
        "goes on with it by itself",
    ]);
    // The kernel waits with the device locked. We do not.
    let status = uioctl::run(&["status", &edu.to_string()]).done();
    assert!(status.contains(&open.replace(" open", "")), "{status}");
    let again = bind(edu, "uio_pci_generic", &["--force", "--timeout", "2"]);
    assert_eq!(again.code, Some(1), "{again:?}");

    drop(holder);
    wait::until("the kernel to take the device back", || edu.driver().is_none());
    unbind(edu, &[]).done();
    assert_state(edu, None, NO_OVERRIDE);
}

#[test]
fn what_the_rule_runs_at_boot_binds_the_function() {
    let port = pci::serial(1);
    let dir = tempfile::tempdir().expect("a directory");
    let rules = dir.path().to_str().expect("text");
    let said = bind(port, "vfio-pci", &["--persist", "--rules-dir", rules]).done();
    let path = dir.path().join(format!("70-uioctl-{port}.rules"));
    assert!(said.contains(&format!("wrote {}\n", path.display())), "{said}");
    let rule = fs::read_to_string(&path).expect("the rule");
    for part in [
        &format!("KERNEL==\"{port}\", ATTR{{vendor}}==\"0x1b36\", ATTR{{device}}==\"0x0002\""),
        "ATTR{driver_override}=\"vfio-pci\"",
        "RUN{builtin}+=\"kmod load vfio-pci\"",
    ] {
        assert!(rule.contains(part), "{part}: {rule}");
    }
    let said = bind(port, "vfio-pci", &["--persist", "--rules-dir", rules]).done();
    assert!(said.contains("is there already"), "{said}");
    unbind(port, &[]).done();
    assert_state(port, Some("serial"), NO_OVERRIDE);

    // As udev does it after a boot at which the kernel's own driver was faster.
    boot(port, &rule);
    assert_eq!(port.driver().as_deref(), Some("vfio-pci"));
    boot(port, &rule);
    assert_eq!(port.driver().as_deref(), Some("vfio-pci"));
    let said = unbind(port, &["--forget", "--rules-dir", rules]).done();
    assert!(said.contains(&format!("removed {}\n", path.display())), "{said}");
    assert!(!path.exists());
    assert_state(port, Some("serial"), NO_OVERRIDE);
}

/// Sets the override and runs the program of the rule, with `$kernel` and `$$` replaced as udev does.
fn boot(function: Function, rule: &str) {
    fs::write(function.dir().join("driver_override"), "vfio-pci").expect("the override is set");
    let (_, program) = rule.split_once("RUN+=\"/bin/sh -c '").expect("it runs a program");
    let (program, _) = program.split_once('\'').expect("which has an end");
    let program = program.replace("$kernel", &function.to_string()).replace("$$", "$");
    guest("/bin/sh", &["-c", &program]);
}
