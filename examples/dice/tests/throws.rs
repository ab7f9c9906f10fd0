//! The program as a user meets it: started, its node read, ended.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running daemon, killed on drop.
struct Daemon(Child, PathBuf);

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        // Asked to end, so that its mount goes too.
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.0.wait();
        let _ = fs::remove_dir_all(&self.1);
    }
}

fn start() -> (Daemon, PathBuf) {
    let dir = std::env::temp_dir().join(format!("dice-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a directory");
    let child = Command::new(env!("CARGO_BIN_EXE_dice"))
        .args(["run", "sim:dice", "--node-kind", "fuse", "--run-dir"])
        .arg(&dir)
        .arg("--node-dir")
        .arg(&dir)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let node = dir.join("dice0");
    (Daemon(child, dir), node)
}

fn wait_for(node: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !node.exists() {
        assert!(Instant::now() < deadline, "no node at {}", node.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_read_is_a_throw() {
    let (_daemon, node) = start();
    wait_for(&node);
    let throws = BufReader::new(fs::File::open(&node).expect("the node opens"));
    let eyes: Vec<u32> =
        throws.lines().take(6).map(|line| line.expect("a line").parse().expect("eyes")).collect();
    assert_eq!(eyes, [6, 5, 4, 3, 2, 1]);
}
