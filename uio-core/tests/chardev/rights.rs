//! Owner, mode and ordinary users.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::io::open;
use super::server::{Setup, is_cuse};

const NOBODY: u32 = 65534;

/// Whether a user who is not root may write to the node.
fn nobody_may_write(path: &Path) -> bool {
    let mut child = Command::new("sh")
        .args(["-c", "exec 1<>\"$0\" && echo x >&1"])
        .arg(path)
        .uid(NOBODY)
        .gid(NOBODY)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.wait().unwrap().success()
}

#[test]
fn the_mode_decides_who_may_open() {
    let server = Setup::new().start();
    assert_eq!(fs::metadata(&server.path).unwrap().mode() & 0o7777, 0o600);
    assert!(!nobody_may_write(&server.path));
    let open_to_all = Setup { mode: 0o666, ..Setup::new() }.start();
    assert!(nobody_may_write(&open_to_all.path));
}

#[test]
fn chmod_and_chown_hold() {
    let server = Setup::new().start();
    fs::set_permissions(&server.path, Permissions::from_mode(0o644)).unwrap();
    chown(&server.path, Some(NOBODY), Some(NOBODY)).unwrap();
    let metadata = fs::metadata(&server.path).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o644, NOBODY, NOBODY));
    assert!(nobody_may_write(&server.path));
}

#[test]
fn a_mode_with_more_than_permissions_is_refused() {
    let error = Setup { mode: 0o4600, ..Setup::new() }.try_start().map(|_| ()).unwrap_err();
    assert!(error.contains("4600"), "{error}");
}

/// A directory that belongs to an ordinary user, and a server that runs as that user.
fn users_setup(name: &str) -> Option<Setup> {
    let helper = Path::new("/usr/bin/fusermount3");
    if is_cuse() || !helper.exists() {
        println!("not tested: needs FUSE nodes and fusermount3");
        return None;
    }
    let dir = PathBuf::from(format!("/tmp/uiod-test-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
    Some(Setup { dir, user: Some(NOBODY), ..Setup::new() })
}

#[test]
fn an_ordinary_user_can_have_a_node() {
    let Some(setup) = users_setup("user") else { return };
    let mut server = setup.start();
    // Root is not let in, and needs not be: the node is its user's alone.
    assert!(nobody_may_write(&server.path));
    server.ask("drop");
    assert!(!server.path.exists());
    let mut again = setup.start();
    again.kill();
    // The stale mount of an ordinary user is cleared away by that user.
    drop(setup.start());
    fs::remove_dir(&setup.dir).unwrap();
}

#[test]
fn an_ordinary_user_who_may_not_let_others_in_is_told_why() {
    let Some(setup) = users_setup("others") else { return };
    let allowed = fs::read_to_string("/etc/fuse.conf")
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "user_allow_other"));
    let setup = Setup { mode: 0o666, ..setup };
    match setup.try_start() {
        Ok(server) => {
            assert!(allowed);
            open(&server.path).write_all(b"x").unwrap();
        }
        Err(error) => {
            assert!(!allowed && error.contains("/etc/fuse.conf"), "{error}");
        }
    }
    fs::remove_dir(&setup.dir).unwrap();
}
