//! Bad input that needs the bench: `/dev/cuse` and `/dev/uioN` that cannot be opened, devices of other drivers.

use std::fs;
use std::path::Path;

use scenarios::daemon::{Daemon, Home, Launch};
use scenarios::module::Module;
use scenarios::{client, wait, world};

const FAILED: i32 = 1;

/// A device without an interrupt line: the host bridge of the machine.
const BRIDGE: (&str, &str) = ("0000:00:00.0", "8086 29c0");

#[test]
fn a_uio_node_that_may_not_be_opened() {
    let module = Module::of_the_bench();
    let node = module.uio_node().unwrap();
    let launch = Launch::with(&["run", &world::device(), "--node-kind", "fuse"]);
    let refusal = launch.home(&Home::of_nobody()).refused_and_left_nothing();
    refusal.assert(FAILED, &[node.to_str().unwrap(), "permission denied", ";"]);
}

/// A file of /dev that is away for a while.
struct Away(&'static str);

impl Away {
    fn take(path: &'static str) -> Self {
        fs::rename(path, format!("{path}.away")).unwrap();
        Self(path)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        let _ = fs::rename(format!("{}.away", self.0), self.0);
    }
}

#[test]
fn without_cuse_a_cuse_node_is_refused_and_auto_takes_fuse() {
    world::require_bench();
    let _away = Away::take("/dev/cuse");
    let launch = Launch::with(&["run", "sim:uio_dummy", "--node-kind", "cuse"]);
    let refusal = launch.refused_and_left_nothing();
    refusal.assert(FAILED, &["cannot open /dev/cuse: ", "modprobe cuse"]);

    let daemon = Launch::with(&["run", "sim:uio_dummy"]).start();
    let log = daemon.log();
    assert!(log.contains("FUSE, because: ") && log.contains("/dev/cuse"), "{log}");
    let text = client::shell(daemon.node(), r#"echo Hello > "$NODE"; head -n 1 "$NODE""#).text();
    assert_eq!(text, "Hello\n");
}

#[test]
fn with_cuse_auto_takes_cuse() {
    world::require_bench();
    let daemon = Launch::with(&["run", "sim:uio_dummy"]).start();
    assert_eq!(daemon.node(), Path::new("/dev/uio_dummy0"));
    assert_eq!(daemon.status().text("/devices/0/nodes/0/kind"), "cuse");
    assert!(!daemon.log().contains("because"), "{}", daemon.log());
    let text = client::shell(daemon.node(), r#"test -c "$NODE" && echo yes"#).text();
    assert_eq!(text, "yes\n");
}

#[test]
fn a_cuse_name_that_another_daemon_has() {
    world::require_bench();
    let first = Launch::with(&["run", "sim:uio_dummy", "--node-kind", "cuse"]).start();
    let second = Launch::with(&["run", "sim:uio_dummy", "--node-kind", "cuse"]);
    let refusal = second.refused();
    refusal.assert(FAILED, &["uio_dummy0", "choose another name"]);
    let text = client::shell(first.node(), r#"echo mine > "$NODE"; head -n 1 "$NODE""#).text();
    assert_eq!(text, "mine\n");
}

#[test]
fn a_cuse_name_that_is_somebody_elses_device() {
    world::require_bench();
    for name in ["null", "uio0"] {
        let args = ["run", "sim:uio_dummy", "--node-kind", "cuse", "--node", name];
        Launch::with(&args).refused_and_left_nothing().assert(FAILED, &[name]);
    }
    assert!(fs::read("/dev/null").unwrap().is_empty());
}

#[test]
fn a_device_that_is_in_another_hand_by_another_driver() {
    world::require_bench();
    let (address, id) = BRIDGE;
    let driver = Path::new("/sys/bus/pci/drivers/uio_pci_generic");
    fs::write(driver.join("new_id"), id).unwrap();
    let uio = Path::new("/sys/bus/pci/devices").join(address).join("uio");
    let name = wait::until_some("its UIO device", || {
        let entry = fs::read_dir(&uio).ok()?.flatten().next()?;
        Some(entry.file_name().to_string_lossy().into_owned())
    });
    wait::until("its node", || Path::new("/dev").join(&name).exists());

    let device = format!("uio:{name}");
    let refusal = Launch::with(&["run", &device, "--node-kind", "fuse"]);
    let words = [name.as_str(), "no driver knows", "--driver"];
    refusal.refused_and_left_nothing().assert(FAILED, &words);
    // Told to all the same, the driver finds that the device has not what it needs.
    let args = ["run", &device, "--driver", "uio-dummy", "--node-kind", "fuse"];
    let refusal = Launch::with(&args).refused_and_left_nothing();
    refusal.assert(FAILED, &[name.as_str(), "no such region"]);

    fs::write(driver.join("unbind"), address).unwrap();
    fs::write(driver.join("remove_id"), id).unwrap();
    drop(Daemon::start());
}
