//! Devices of the device tree and `uioctl`: bound without an overlay and given back, listed, and told to be ready or what
//! stands in the way. What the doctor says is done, until nothing does.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use scenarios::doctor::{Asker, follow};
use scenarios::{board, programs, uioctl, wait, world};
use serde_json::{Value, json};

/// The clock, which an overlay makes a UIO device.
const CLOCK: &str = "of:/pl031@9010000";
const CLOCK_NAME: &str = "9010000.pl031";

/// A place for a virtio device with nothing in it: no overlay speaks of it, and no driver wants it.
const PLACE: &str = "of:/virtio_mmio@a000000";
const PLACE_NAME: &str = "a000000.virtio_mmio";

/// The console, a PrimeCell that is one of the kernel's.
const CONSOLE: &str = "of:/pl011@9000000";

const UIO: &str = "uio_pdrv_genirq";

/// One story after the other: the module and its devices are everybody's.
static BOARD: Mutex<()> = Mutex::new(());

/// On drop the clock is a UIO device, and the empty place has no driver.
struct Board(#[expect(dead_code, reason = "held for its drop")] MutexGuard<'static, ()>);

impl Board {
    fn take() -> Self {
        world::require_machine("virt");
        Self(BOARD.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        for args in [["unbind", PLACE], ["bind", CLOCK]] {
            // What failed, the story has said; to fail here would end all stories.
            let _ = Command::new(programs::uioctl()).args(args).output();
        }
    }
}

fn driver(name: &str) -> Option<String> {
    let link = fs::read_link(format!("/sys/bus/platform/devices/{name}/driver")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

fn reserved_for(name: &str) -> String {
    let path = format!("/sys/bus/platform/devices/{name}/driver_override");
    fs::read_to_string(path).expect("an attribute").trim().to_owned()
}

/// The node of the UIO device that the driver made of a device.
fn uio_node(name: &str) -> PathBuf {
    let dir = format!("/sys/bus/platform/devices/{name}/uio");
    let mut names = fs::read_dir(dir).expect("a UIO device").flatten();
    Path::new("/dev").join(names.next().expect("a UIO device").file_name())
}

fn checks(asker: &mut Asker, device: &str) -> Vec<String> {
    follow(asker, device).into_iter().map(|step| step.check).collect()
}

#[test]
fn a_node_is_bound_without_an_overlay_and_given_back() {
    let _board = Board::take();
    assert_eq!(driver(PLACE_NAME), None);
    let said = uioctl::run(&["bind", PLACE]).done();
    assert_eq!(said, format!("{PLACE_NAME} is bound to {UIO} (it had no driver)\n"));
    assert_eq!((driver(PLACE_NAME).as_deref(), &*reserved_for(PLACE_NAME)), (Some(UIO), UIO));
    let node = uio_node(PLACE_NAME);
    wait::until("the node", || node.exists());
    let said = uioctl::run(&["bind", PLACE_NAME]).done();
    assert!(said.contains("nothing to do"), "{said}");
    uioctl::run(&["unbind", PLACE]).done();
    assert_eq!((driver(PLACE_NAME), &*reserved_for(PLACE_NAME)), (None, "(null)"));
    wait::until("the node to go", || !node.exists());
}

#[test]
fn a_driver_that_refuses_leaves_it_where_it_was() {
    let _board = Board::take();
    // Nothing is in the place, so the driver of virtio devices does not want it.
    let said = uioctl::run(&["bind", PLACE, "virtio-mmio"]).refused(&["virtio-mmio refuses it"]);
    assert!(
        said.contains(&format!("rolled back: {PLACE_NAME} has no driver, as before")),
        "{said}"
    );
    uioctl::run(&["bind", PLACE]).done();
    uioctl::run(&["bind", PLACE, "virtio-mmio"])
        .refused(&["virtio-mmio refuses it", &format!("is with {UIO} as before")]);
    assert_eq!((driver(PLACE_NAME).as_deref(), &*reserved_for(PLACE_NAME)), (Some(UIO), UIO));
}

#[test]
fn what_the_kernel_gives_to_uio_by_itself_comes_back_unless_it_is_to_have_no_driver() {
    let _board = Board::take();
    uioctl::run(&["bind", CLOCK]).done();
    uioctl::run(&["unbind", "uio:rtc0", "--driverless"]).done();
    assert_eq!(driver(CLOCK_NAME), None);
    uioctl::run(&["unbind", CLOCK]).done();
    assert_eq!((driver(CLOCK_NAME).as_deref(), &*reserved_for(CLOCK_NAME)), (Some(UIO), "(null)"));
    let said = uioctl::run(&["unbind", CLOCK]).done();
    assert!(said.contains("--driverless leaves it without"), "{said}");
}

#[test]
fn a_primecell_is_refused_and_stays_with_the_kernel() {
    let _board = Board::take();
    let overlay = "compatible = \"arm,pl011\", \"generic-uio\";";
    uioctl::run(&["bind", CONSOLE])
        .refused(&["\"arm,primecell\" puts it on the AMBA bus", overlay]);
    let answer = Asker::root().ask(CONSOLE);
    assert_eq!(answer.faults(), ["bus"], "{answer:?}");
    assert!(answer.finding("bus")["advice"].to_string().contains("generic-uio"), "{answer:?}");
    assert!(Path::new("/sys/bus/amba/drivers/uart-pl011/9000000.pl011").exists());
}

/// The port by which the bench follows this very story is a virtio device.
#[test]
fn a_device_that_others_need_is_not_taken() {
    let _board = Board::take();
    let all = uioctl::run(&["ls", "--json"]).json();
    let is_taken = |one: &&Value| one["driver"] == "virtio-mmio";
    let port = all["platform"].as_array().expect("a list").iter().find(is_taken);
    let node =
        port.expect("the ports of the bench")["of_node"].as_str().expect("a path").to_owned();
    uioctl::run(&["bind", &format!("of:{node}")]).refused(&["it is in use", "--force"]);
    let answer = Asker::root().ask(&format!("of:{node}"));
    assert_eq!(answer.faults(), ["driver"], "{answer:?}");
    let problem = answer.finding("driver")["problem"].to_string();
    assert!(problem.contains("virtio-mmio has it"), "{problem}");
}

#[test]
fn the_list_and_the_status_know_a_device_by_its_node() {
    let _board = Board::take();
    let all = uioctl::run(&["ls", "--json"]).json();
    let find = |kind: &str, name: &str| {
        let list = all[kind].as_array().expect("a list").clone();
        list.into_iter().find(|one| one["name"] == name).expect("the clock")
    };
    let number = board::uio("rtc0").number;
    assert_eq!(find("uio", "rtc0")["of_node"], "/pl031@9010000");
    let clock = find("platform", CLOCK_NAME);
    assert_eq!((&clock["uio"], &clock["ready"]), (&json!(number), &json!("uio")));
    for name in [CLOCK, CLOCK_NAME, "uio:rtc0", "of:arm,pl031"] {
        let status = uioctl::run(&["status", name, "--json"]).json();
        assert_eq!(status["driver"], UIO, "{name}");
        assert_eq!(
            status["regions"],
            json!([{"name": null, "address": 0x901_0000, "size": 0x1000}])
        );
        // The second of the shared lines, triggered by a high level.
        assert_eq!(status["interrupts"][0]["specifier"], json!([0, 2, 4]));
        assert_eq!(status["uio"], json!({"number": number, "name": "rtc0"}));
    }
}

#[test]
fn the_registers_of_a_node_can_be_looked_at() {
    let _board = Board::take();
    // The number that each PrimeCell has at its end.
    let words = uioctl::run(&["peek", CLOCK, "0:0xff0", "--count", "4", "--json"]).json();
    assert_eq!(words["values"], json!([0x0d, 0xf0, 0x05, 0xb1]));
}

#[test]
fn a_node_without_a_driver_is_bound_by_what_the_doctor_says() {
    let _board = Board::take();
    for (device, name) in [(CLOCK, CLOCK_NAME), (PLACE, PLACE_NAME)] {
        uioctl::run(&["unbind", device, "--driverless"]).done();
        let mut root = Asker::root();
        let answer = root.ask(device);
        assert_eq!(answer.faults(), ["driver"], "{answer:?}");
        assert_eq!(checks(&mut root, device), ["driver"]);
        assert_eq!(driver(name).as_deref(), Some(UIO));
    }
}

#[test]
fn a_module_that_is_not_loaded_is_loaded_and_takes_its_nodes() {
    let _board = Board::take();
    // What is reserved for it would come back by itself.
    uioctl::run(&["unbind", PLACE, "--driverless"]).done();
    let mut root = Asker::root();
    assert_eq!(root.run(&format!("rmmod {UIO}")), (0, "\n".to_owned()));
    let answer = root.ask(CLOCK);
    assert_eq!(answer.faults(), [&format!("module-{UIO}"), "driver"], "{answer:?}");
    assert_eq!(checks(&mut root, CLOCK), [format!("module-{UIO}")]);
    assert_eq!(driver(CLOCK_NAME).as_deref(), Some(UIO));
    wait::until("the other block to be back as well", || {
        Path::new("/sys/bus/platform/drivers").join(UIO).join("9030000.pl061").exists()
    });
}

#[test]
fn a_node_that_an_ordinary_user_may_not_open_is_given_to_them() {
    let _board = Board::take();
    uioctl::run(&["bind", PLACE]).done();
    let node = uio_node(PLACE_NAME);
    wait::until("the node", || node.exists());
    let mut nobody = Asker::nobody();
    let answer = nobody.ask(PLACE);
    // To make a node of one's own is another matter, which comes behind.
    assert_eq!(answer.faults().first(), Some(&"node-uio"), "{answer:?}");
    let command = answer.finding("node-uio")["command"].as_str().expect("a command").to_owned();
    assert_eq!(Asker::root().run(&command).0, 0, "{command}");
    let answer = nobody.ask(PLACE);
    assert!(!answer.faults().contains(&"node-uio"), "{answer:?}");
    let (code, _) = nobody.run(&format!("test -r {0} && test -w {0}", node.display()));
    assert_eq!(code, 0, "the user may open it now");
}

/// The overlay that gives the GPIO block to UIO switches the keys off that the kernel had on it.
#[test]
fn what_only_another_tree_mends_is_said() {
    let _board = Board::take();
    let mut root = Asker::root();
    let answer = root.ask("of:/gpio-keys");
    assert!(answer.faults().contains(&"status"), "{answer:?}");
    let advice = answer.finding("status")["advice"].to_string();
    assert!(advice.contains("&{/gpio-keys} { status = "), "{advice}");
    for (wrong, right) in [("of:/pl031@901000", "/pl031@9010000"), ("of:arm,pl03", "arm,pl031")] {
        let answer = root.ask(wrong);
        assert_eq!(answer.faults(), ["node"], "{answer:?}");
        let finding = answer.finding("node");
        assert!(finding["problem"].to_string().contains(right), "{finding}");
        assert!(finding["advice"].to_string().contains("overlay"), "{finding}");
    }
    let answer = root.ask("of:/timer");
    assert_eq!(answer.faults(), ["reg"], "{answer:?}");
    assert_eq!(answer.finding("interrupts")["severity"], "warning");
}
