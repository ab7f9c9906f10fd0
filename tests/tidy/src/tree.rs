//! The files of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

/// Directories that hold nothing of ours.
const NOT_OURS: [&str; 1] = ["target"];

/// A text file of the workspace.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path from the workspace's root, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// The workspace's root.
///
/// # Panics
///
/// If this crate is not where it belongs.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("this crate is two levels below the root")
}

/// All files whose name ends with one of `endings`, sorted by path.
///
/// # Panics
///
/// If the tree cannot be read.
pub fn sources(endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let root = root();
    walk(&root, &mut |path| {
        if !endings.iter().any(|end| path.to_string_lossy().ends_with(end)) {
            return;
        }
        let text = fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        // PANIC: `walk` stays below the root.
        let path = path.strip_prefix(&root).expect("below the root").to_string_lossy();
        found.push(Source { path: path.into_owned(), text });
    });
    found.sort_by(|one, two| one.path.cmp(&two.path));
    assert!(!found.is_empty(), "no file ends with {endings:?}: this is not the workspace");
    found
}

fn walk(dir: &Path, visit: &mut impl FnMut(&Path)) {
    let entries =
        fs::read_dir(dir).unwrap_or_else(|error| panic!("cannot read {}: {error}", dir.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|error| panic!("cannot read {}: {error}", dir.display()));
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let kind = entry.file_type().expect("the kind of an entry is known");
        if kind.is_file() {
            visit(&path);
        } else if kind.is_dir() && !name.starts_with('.') && !NOT_OURS.contains(&name.as_ref()) {
            walk(&path, visit);
        }
    }
}

/// Fails with every complaint, one a line, if there is any.
///
/// # Panics
///
/// If there is a complaint: this is how a rule fails.
pub fn settle(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}\n  {}", complaints.join("\n  "));
}
