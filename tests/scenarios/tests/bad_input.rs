//! Bad input: one line that names the thing, the cause and the mend, exit code 1 or 2, and nothing left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use scenarios::client;
use scenarios::daemon::{Daemon, Home, Launch};
use scenarios::world::{self, Kind};

const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// A daemon on a simulated device with a FUSE node, and these arguments besides.
fn simulated(args: &[&str]) -> Launch {
    let all = [&["run", "sim:uio_dummy", "--node-kind", "fuse"], args].concat();
    Launch::with(&all)
}

fn refused(args: &[&str], code: i32, words: &[&str]) {
    Launch::with(args).refused_and_left_nothing().assert(code, words);
}

#[test]
fn a_device_that_is_none() {
    refused(&["run", "usb:1"], USAGE, &["usb:1", "no such kind", "sim:uio_dummy"]);
    refused(&["run", "uio0"], USAGE, &["uio0", "what kind", "uio:uio0"]);
    refused(&["run", "uio:"], USAGE, &["uio:", "which device"]);
    refused(&["run", "pci:0000:00:03"], USAGE, &["0000:00:03", "0000:00:03.0"]);
    refused(&["run", "pci:fffe:ff:1f.7"], FAILED, &["fffe:ff:1f.7", "uioctl ls"]);
    refused(&["run", "of:"], USAGE, &["of:", "which device", "of:/pl031@9010000"]);
    refused(&["run", "of:/soc/../uart"], USAGE, &["of:/soc/../uart", "no path"]);
    refused(&["run", "of:/soc/uart"], FAILED, &["of:/soc/uart", "device tree", "uio:NAME"]);
    refused(&["run", "sim:nothing"], FAILED, &["sim:nothing", "no such model", "uio_dummy"]);
    refused(&["run", "uio:nothing"], FAILED, &["no UIO device is called nothing", "; "]);
    refused(&["run", "uio:uio99"], FAILED, &["uio99", "; "]);
}

#[test]
fn a_command_line_that_makes_no_sense() {
    for (args, word) in [
        (&["run"][..], "DEVICE"),
        (&["fly"], "fly"),
        (&["run", "sim:uio_dummy", "--colour", "red"], "--colour"),
        (&["run", "sim:uio_dummy", "--mode", "600", "--mode", "640"], "--mode"),
    ] {
        // The form of these is that of every program with such a command line.
        let refusal = Launch::with(args).refused_and_left_nothing();
        assert_eq!(refusal.code, Some(USAGE), "{}", refusal.said);
        assert!(refusal.said.starts_with("error: "), "{}", refusal.said);
        assert!(refusal.said.contains(word) && refusal.said.contains("--help"), "{}", refusal.said);
    }
}

#[test]
fn a_value_that_makes_no_sense() {
    refused(&["run", "sim:uio_dummy", "--node-kind", "pipe"], USAGE, &["pipe", "cuse", "fuse"]);
    refused(&["run", "sim:uio_dummy", "--irq", "nmi"], USAGE, &["nmi", "intx", "msix"]);
    refused(&["run", "sim:uio_dummy", "--mode", "9"], USAGE, &["mode 9", "octal"]);
    refused(&["run", "sim:uio_dummy", "--mode", "1777"], USAGE, &["1777", "octal"]);
    refused(&["run", "sim:uio_dummy", "--owner", "no one"], USAGE, &["no one", "no such user"]);
    refused(&["run", "sim:uio_dummy", "--group", "no one"], USAGE, &["no one", "no such group"]);
    refused(&["run", "sim:uio_dummy", "--log", "a=b=c"], USAGE, &["a=b=c"]);
    refused(&["run", "sim:uio_dummy", "uio:x", "--node", "one"], USAGE, &["--node", "one"]);
}

#[test]
fn a_driver_that_is_none_or_the_wrong_one() {
    let words = ["nonsense", "no such driver", "uio-dummy"];
    simulated(&["--driver", "nonsense"]).refused_and_left_nothing().assert(FAILED, &words);
}

#[test]
fn a_node_name_that_cannot_be() {
    let long = "n".repeat(300);
    for (name, words) in [
        ("a/b", &["a/b", "/"][..]),
        ("..", &["..", "name"]),
        (".", &["name"]),
        ("/", &["/", "name"]),
        ("", &["name", "empty"]),
        ("a\nb", &["name"]),
        (&long, &["nnn", "300 bytes"]),
    ] {
        let refusal = simulated(&["--node", name]).refused_and_left_nothing();
        // Whatever is wrong with the name: it is shown on the one line.
        refusal.assert(refusal.code.unwrap_or(0).clamp(FAILED, USAGE), words);
    }
}

#[test]
fn a_node_name_that_another_daemon_has() {
    let first = simulated(&["--node", "taken"]).start();
    let second = simulated(&["--node", "taken"]).home(first.home());
    let refusal = second.refused();
    refusal.assert(FAILED, &["taken", "choose another name"]);
    let text = client::shell(first.node(), r#"echo mine > "$NODE"; head -n 1 "$NODE""#).text();
    assert_eq!(text, "mine\n", "the first one has not noticed");
}

#[test]
fn a_file_that_is_not_ours_is_not_overwritten() {
    let home = Home::new();
    let file = home.nodes().join("precious");
    fs::write(&file, "precious").unwrap();
    simulated(&["--node", "precious"]).home(&home).refused().assert(FAILED, &["precious"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    fs::remove_file(&file).unwrap();

    let dir = home.nodes().join("folder");
    fs::create_dir(&dir).unwrap();
    simulated(&["--node", "folder"]).home(&home).refused().assert(FAILED, &["folder"]);
    assert!(dir.is_dir());
    fs::remove_dir(&dir).unwrap();

    let link = home.nodes().join("link");
    std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
    simulated(&["--node", "link"]).home(&home).refused().assert(FAILED, &["link"]);
    assert!(link.is_symlink());
    fs::remove_file(&link).unwrap();
    assert_eq!(home.leftovers(), Vec::<String>::new());
}

#[test]
fn a_node_directory_that_cannot_be_used() {
    let home = Home::new();
    let file = home.file("file", "");
    let below = file.join("below");
    // The last one counts.
    let launch = Launch::with(&["run", "sim:uio_dummy", "--node-kind", "fuse"]).home(&home);
    let refusal = launch.node_dir(&below).refused();
    refusal.assert(FAILED, &[below.to_str().unwrap()]);
    assert_eq!(home.leftovers(), Vec::<String>::new());
}

#[test]
fn a_run_directory_that_is_somebody_elses() {
    let home = Home::new();
    let file = home.file("file", "");
    let launch = Launch::with(&["run", "sim:uio_dummy", "--node-kind", "fuse"]).home(&home);
    launch.run_dir(&file).refused().assert(FAILED, &[file.to_str().unwrap()]);
    if world::is_root() {
        let home = Home::of_nobody();
        let own = home.path().join("own");
        fs::create_dir(&own).unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
        let launch = Launch::with(&["run", "sim:uio_dummy"]).home(&home);
        launch.run_dir(&own).refused().assert(FAILED, &[own.to_str().unwrap()]);
        assert_eq!(home.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn a_cuse_that_cannot_be_had() {
    // Nobody lets an ordinary user at /dev/cuse, if it is there at all.
    let launch = Launch::with(&["run", "sim:uio_dummy", "--node-kind", Kind::Cuse.name()]);
    let refusal = launch.home(&Home::of_nobody()).refused_and_left_nothing();
    refusal.assert(FAILED, &["cannot open /dev/cuse: ", "; "]);
}

#[test]
fn a_config_that_is_wrong() {
    for (text, code, words) in [
        (
            "[[device]]\ndevice = 'sim:uio_dummy'\nnoode = 'x'\n",
            USAGE,
            &["uiod.toml:3", "noode"][..],
        ),
        ("loog = 'info'\n", USAGE, &["uiod.toml:1", "loog", "run-dir"]),
        ("log = 3\n", USAGE, &["uiod.toml:1", "string"]),
        ("[[device]\n", USAGE, &["uiod.toml:1"]),
        ("[[device]]\nnode = 'x'\n", USAGE, &["uiod.toml:1", "device"]),
        ("log = 'info'\n", USAGE, &["no device", "[[device]]"]),
        ("[[device]]\ndevice = 'usb:1'\n", USAGE, &["usb:1"]),
        ("mode = '9'\n[[device]]\ndevice = 'sim:uio_dummy'\n", USAGE, &["mode = \"9\"", "octal"]),
        ("node-kind = 'x'\n[[device]]\ndevice = 'sim:uio_dummy'\n", USAGE, &["node-kind = \"x\""]),
        ("[[device]]\ndevice = 'sim:nothing'\n", FAILED, &["sim:nothing", "no such model"]),
    ] {
        let launch = Launch::with(&["run"]);
        let config = launch.home_ref().file("uiod.toml", text);
        launch.flag("--config", config).refused_and_left_nothing().assert(code, words);
    }
}

#[test]
fn a_config_that_cannot_be_read() {
    refused(&["run", "--config", "/does/not/exist.toml"], USAGE, &["/does/not/exist.toml"]);
    refused(&["run", "--config", "/"], USAGE, &["cannot read config /"]);
    let launch = Launch::with(&["run"]);
    let config = launch.home_ref().path().join("uiod.toml");
    fs::write(&config, [0xFF, 0xFE]).unwrap();
    launch.flag("--config", &config).refused_and_left_nothing().assert(USAGE, &["uiod.toml"]);
}

#[test]
fn what_had_been_started_before_the_bad_device_is_taken_back() {
    let words = ["sim:nothing", "no such model"];
    let args = ["run", "sim:uio_dummy", "sim:nothing", "--node-kind", "fuse"];
    refused(&args, FAILED, &words);
}

#[test]
fn two_devices_cannot_have_the_same_node() {
    let launch = Launch::with(&["run", "--node-kind", "fuse"]);
    let device = "[[device]]\ndevice = 'sim:uio_dummy'\nnode = 'same'\n";
    let config = launch.home_ref().file("uiod.toml", &format!("{device}{device}"));
    launch.flag("--config", config).refused_and_left_nothing().assert(FAILED, &["same"]);
}

#[test]
fn after_all_that_a_daemon_starts() {
    drop(Daemon::start());
}
