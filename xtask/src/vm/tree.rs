//! A guest's device tree: the board's own with overlays applied, as a boot loader would do it.
//!
//! `dtc` compiles an overlay and `fdtoverlay` applies it, one at a time, so that what is wrong has a name. The board's
//! tree has no labels (`__symbols__`), hence an overlay names its targets by their paths: `&{/pl031@9010000}`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Result, failed};
use crate::paths::RunDir;
use crate::process::{command, output};

use super::board::Board;

/// Writes the board's tree with the overlays applied into the directory, and returns its path.
pub(crate) fn build(board: Board, overlays: &[PathBuf], dir: &RunDir) -> Result<PathBuf> {
    let mut tree = dir.join("tree-0.dtb");
    board.dump_tree(&tree)?;
    for (index, overlay) in overlays.iter().enumerate() {
        let compiled = dir.join("overlay.dtbo");
        compile(overlay, &compiled)?;
        let next = dir.join(&format!("tree-{}.dtb", index + 1));
        apply(board, overlay, &compiled, &tree, &next)?;
        fs::remove_file(&tree).on("remove", &tree)?;
        tree = next;
    }
    Ok(tree)
}

fn compile(overlay: &Path, to: &Path) -> Result<()> {
    let mut dtc = command("dtc");
    dtc.args(["-@", "-q", "-I", "dts", "-O", "dtb", "-o"]).arg(to).arg(overlay);
    let result = output(&mut dtc)?;
    if result.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&result.stderr);
    Err(failed(format!(
        "cannot compile the overlay {}: dtc says \"{}\"; mend the source at that place",
        overlay.display(),
        first_line(&said)
    )))
}

/// The line and columns of an error are in dtc's first line, after the file's name.
fn first_line(said: &str) -> &str {
    said.lines().next().unwrap_or("nothing").trim_start_matches("Error: ")
}

fn apply(board: Board, overlay: &Path, compiled: &Path, tree: &Path, to: &Path) -> Result<()> {
    let mut program = command("fdtoverlay");
    program.arg("-i").arg(tree).arg("-o").arg(to).arg(compiled);
    let result = output(&mut program)?;
    if result.status.success() && to.exists() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&result.stderr).trim().replace('\n', "; ");
    Err(failed(format!(
        "cannot apply the overlay {} to the tree of machine {}: {}",
        overlay.display(),
        board.name,
        cause(compiled, tree).unwrap_or(format!("fdtoverlay says \"{said}\""))
    )))
}

/// Why an overlay does not fit, with the mend, if it is one of the two usual reasons.
fn cause(compiled: &Path, tree: &Path) -> Option<String> {
    if let Some(label) = words(compiled, &["-p"], &["/__fixups__"]).first() {
        return Some(format!(
            "it refers to the label '{label}', and QEMU's tree has no labels; write the node's path, \
             as in &{{/pl031@9010000}}"
        ));
    }
    let missing = targets(compiled).into_iter().find(|path| !has_node(tree, path))?;
    Some(format!("it has no node {missing}; {}", mend(tree, &missing)))
}

/// The nodes that an overlay is for, where it names them by path.
fn targets(compiled: &Path) -> Vec<String> {
    let fragments = words(compiled, &["-l"], &["/"]);
    let of = |fragment: &String| words(compiled, &[], &[&format!("/{fragment}"), "target-path"]);
    fragments.iter().flat_map(of).collect()
}

fn has_node(tree: &Path, path: &str) -> bool {
    let listed = output(command("fdtget").arg("-p").arg(tree).arg(path));
    listed.is_ok_and(|listed| listed.status.success())
}

/// What to do about a target that is not there.
fn mend(tree: &Path, path: &str) -> String {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let kind = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let siblings = words(tree, &["-l"], &[if parent.is_empty() { "/" } else { parent }]);
    match siblings.iter().find(|sibling| kind(sibling) == kind(name)) {
        Some(near) => format!("did you mean {parent}/{near}?"),
        None => {
            "name one that it has: in a guest, 'find /proc/device-tree -type d' lists them".into()
        }
    }
}

/// The lines that `fdtget` prints, none if it finds nothing.
fn words(tree: &Path, options: &[&str], what: &[&str]) -> Vec<String> {
    let printed = output(command("fdtget").args(options).arg(tree).args(what));
    let printed = printed.ok().filter(|printed| printed.status.success());
    let printed = printed.map(|printed| printed.stdout).unwrap_or_default();
    String::from_utf8_lossy(&printed).lines().map(str::to_owned).collect()
}
