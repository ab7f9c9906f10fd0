//! Where things are: the workspace, its target directory, the bench's store, and a directory per run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::failure::{Context, Result};

const RUN_PREFIX: &str = "uiod-bench-";

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or(manifest.clone(), Path::to_path_buf)
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    let Some(dir) = env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) else {
        return root().join("target");
    };
    std::path::absolute(&dir).unwrap_or_else(|_| PathBuf::from(dir))
}

/// What the bench keeps between runs: kernels, modules, archives, console logs.
pub(crate) fn store() -> PathBuf {
    target().join("bench")
}

/// A directory of this run alone, removed on drop.
///
/// It is below the temporary directory because socket paths may not be longer than 107 bytes, and
/// a target directory may be. A run that was killed leaves its directory; the next run sweeps it.
pub(crate) struct RunDir(PathBuf);

impl RunDir {
    pub(crate) fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        sweep_dead_runs();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("{RUN_PREFIX}{}-{number}", process::id()));
        if dir.exists() {
            // Left by a dead process that had our number.
            fs::remove_dir_all(&dir).on("remove", &dir)?;
        }
        fs::create_dir(&dir).on("create", &dir)?;
        Ok(Self(dir))
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // Best effort: a directory that stays is swept by the next run.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sweep_dead_runs() {
    let Ok(entries) = fs::read_dir(env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(run) = name.to_str().and_then(|name| name.strip_prefix(RUN_PREFIX)) else {
            continue;
        };
        let pid = run.split('-').next().unwrap_or_default();
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Makes `path` by `make` at a name of its own and renames it into place: who sees `path`, sees all of it.
pub(crate) fn publish(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).on("create", parent)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = parent.join(format!(".{name}.{}", process::id()));
    remove(&unfinished)?;
    make(&unfinished)?;
    if unfinished.is_dir() && path.exists() {
        remove(path)?;
    }
    match fs::rename(&unfinished, path) {
        // Another process was faster with the same thing.
        Err(_) if path.is_dir() => remove(&unfinished),
        done => done.on("create", path),
    }
}

fn remove(path: &Path) -> Result<()> {
    if path.is_dir() {
        fs::remove_dir_all(path).on("remove", path)
    } else if path.exists() {
        fs::remove_file(path).on("remove", path)
    } else {
        Ok(())
    }
}
