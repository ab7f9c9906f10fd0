//! Where the stories run. The same programs run on this machine and in the guests of the bench.
//!
//! | variable | bench | here |
//! | --- | --- | --- |
//! | `UIOD_TEST_DEVICE` | `uio:uio_dummy` | `sim:uio_dummy` |
//! | `UIOD_TEST_NODE_KIND` | `cuse`, and for some `fuse` | `fuse` |
//! | `UIOD_TEST_MACHINE` | the machine's name | |
//! | `UIOD`, `UIOCTL` | the programs | built from this tree |

use std::env;

use nix::unistd::geteuid;

/// How a node is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A character device, `/dev/NAME`.
    Cuse,
    /// A file in the node directory.
    Fuse,
}

impl Kind {
    /// As `--node-kind` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuse => "cuse",
            Self::Fuse => "fuse",
        }
    }
}

/// Whether this is a guest of the bench.
pub fn is_bench() -> bool {
    env::var_os("UIOD_TEST_BENCH").is_some()
}

/// Fails a story of the bench that is run elsewhere.
///
/// # Panics
///
/// Outside of the bench.
pub fn require_bench() {
    assert!(is_bench(), "this story needs the bench: run `cargo xtask test`");
}

/// Fails a story that is run on another machine of the bench than its own, or elsewhere.
///
/// # Panics
///
/// On another machine.
pub fn require_machine(name: &str) {
    let here = env::var("UIOD_TEST_MACHINE").unwrap_or_default();
    assert_eq!(here, name, "this story needs a machine of the bench: run `cargo xtask test`");
}

/// The device that the stories run on.
pub fn device() -> String {
    env::var("UIOD_TEST_DEVICE").unwrap_or_else(|_| "sim:uio_dummy".to_owned())
}

/// The kind of node that the stories use.
///
/// # Panics
///
/// If the environment names none.
pub fn node_kind() -> Kind {
    match env::var("UIOD_TEST_NODE_KIND").as_deref() {
        Ok("cuse") => Kind::Cuse,
        Ok("fuse") => Kind::Fuse,
        Ok(other) => panic!("UIOD_TEST_NODE_KIND is {other}, not cuse or fuse"),
        Err(_) if is_bench() => Kind::Cuse,
        Err(_) => Kind::Fuse,
    }
}

/// Whether we may become another user.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// The ordinary user of the stories: number of the user and of the group.
pub const NOBODY: (u32, u32) = (65534, 65534);
