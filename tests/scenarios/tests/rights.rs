//! Who may use a node: its mode, owner and group are as asked.

use std::fs;
use std::os::unix::fs::MetadataExt;

use scenarios::client::{Client, script_as_nobody};
use scenarios::daemon::{Daemon, Launch};
use scenarios::world;

const SCRIPT: &str = r#"echo Hello > "$NODE" && head -n 1 "$NODE""#;

#[test]
fn a_node_is_its_owners_alone_unless_told_otherwise() {
    let daemon = Daemon::start();
    let meta = fs::metadata(daemon.node()).unwrap();
    let own = nix::unistd::geteuid().as_raw();
    assert_eq!((meta.mode() & 0o777, meta.uid()), (0o600, own));
    if world::is_root() {
        let ended = Client::start(script_as_nobody(daemon.node(), SCRIPT)).finish("a stranger");
        assert!(!ended.status.success() && ended.out.is_empty(), "{ended:?}");
    }
}

#[test]
fn mode_owner_and_group_are_as_asked() {
    if !world::is_root() {
        // Others may use the node of an ordinary user only where /etc/fuse.conf says so.
        let daemon = Launch::new().flag("--mode", "400").start();
        assert_eq!(fs::metadata(daemon.node()).unwrap().mode() & 0o777, 0o400);
        return;
    }
    let daemon = Launch::new()
        .flag("--mode", "460")
        .flag("--owner", "nobody")
        .flag("--group", "65534")
        .start();
    let meta = fs::metadata(daemon.node()).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.uid(), meta.gid()), (0o460, 65534, 65534));
}

#[test]
fn a_node_for_everybody_serves_everybody() {
    if !world::is_root() {
        let refusal = Launch::new().flag("--mode", "666").refused_and_left_nothing();
        return refusal.assert(1, &["user_allow_other", "/etc/fuse.conf"]);
    }
    let daemon = Launch::new().flag("--mode", "666").start();
    let ended = Client::start(script_as_nobody(daemon.node(), SCRIPT)).finish("a stranger");
    assert_eq!(ended.text(), "Hello\n");
}
