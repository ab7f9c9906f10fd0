//! Where `uiod` and `uioctl` are: what the environment says, else built from this tree, once a process.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The daemon.
pub fn uiod() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("uiod", "UIOD"))
}

/// The tool.
pub fn uioctl() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("uioctl", "UIOCTL"))
}

fn find(name: &str, variable: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        return PathBuf::from(path);
    }
    let place = Place::of_this_program();
    place.build();
    place.dir.join(name)
}

/// Where cargo put this test program, and so where it puts the others.
struct Place {
    /// `target/PROFILE`.
    dir: PathBuf,
    profile: String,
}

impl Place {
    fn of_this_program() -> Self {
        // target/PROFILE/deps/NAME-HASH
        let program = env::current_exe().expect("we are a program");
        let dir = program.parent().and_then(Path::parent);
        let dir = dir.expect("cargo puts test programs into target/PROFILE/deps").to_owned();
        let profile = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let profile = if profile == "debug" { "dev".to_owned() } else { profile };
        Self { dir, profile }
    }

    /// Cargo builds the programs of a package for that package's own integration tests only.
    fn build(&self) {
        static BUILT: OnceLock<()> = OnceLock::new();
        BUILT.get_or_init(|| {
            let mut cargo = self.cargo();
            let done = cargo.output().unwrap_or_else(|error| {
                panic!("cannot run {cargo:?}: {error}; set UIOD and UIOCTL to the built programs")
            });
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{cargo:?} failed:\n{said}");
        });
    }

    fn cargo(&self) -> Command {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
        let mut command = Command::new(cargo);
        command.current_dir(workspace);
        command.args(["build", "--quiet", "--bin", "uiod", "--bin", "uioctl"]);
        command.args(["--profile", &self.profile]);
        command.arg("--target-dir").arg(self.dir.parent().unwrap_or(&self.dir));
        // What cargo tells a test about its package is none of another package's business.
        for (key, _) in env::vars_os() {
            let name = key.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&key);
            }
        }
        command
    }
}
