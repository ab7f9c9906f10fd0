//! The stage that looks at the device-tree overlays: each one compiles and fits the tree of its board, by itself and with
//! all the others, the example of `dts/README.md` too, and one that does not is refused with words that help.

use std::fs;
use std::path::PathBuf;
use std::slice;

use crate::failure::{Context, Result, failed};
use crate::paths::{self, RunDir};
use crate::vm::{self, Board, tree};

/// Overlays that are refused, and what the words must say.
const REFUSED: [(&str, &str, &[&str]); 3] = [
    (
        "wrong-path.dtso",
        "&{/pl031@9010001} { status = \"disabled\"; };",
        &[
            "cannot apply the overlay",
            "wrong-path.dtso",
            "machine virt",
            "no node /pl031@9010001",
            "/pl031@9010000?",
        ],
    ),
    (
        "label.dtso",
        "&uart0 { status = \"disabled\"; };",
        &["cannot apply the overlay", "label.dtso", "'uart0'", "write the node's path"],
    ),
    (
        "syntax.dtso",
        "&{/pl031@9010000} { status = disabled };",
        &["cannot compile the overlay", "syntax.dtso", "syntax error", "mend"],
    ),
];

/// Checks them all.
pub(super) fn check() -> Result<()> {
    for board in vm::MACHINES.iter().filter_map(vm::Machine::board) {
        let overlays = board.overlays()?;
        if overlays.is_empty() {
            return Err(failed(format!("no overlay in {}", board.overlays_dir().display())));
        }
        for overlay in &overlays {
            fits(board, slice::from_ref(overlay))?;
        }
        fits(board, &overlays)?;
    }
    // Overlays of examples are by themselves: their blocks are those of others.
    fits(Board::VIRT, &[paths::root().join("examples/ticker/ticker.dtso")])?;
    example_fits()?;
    REFUSED.iter().try_for_each(|(name, text, words)| is_refused(name, text, words))
}

fn fits(board: Board, overlays: &[PathBuf]) -> Result<()> {
    let dir = RunDir::new()?;
    tree::build(board, overlays, &dir).map(drop)
}

/// The example of `dts/README.md` is for any board, and fits this one.
fn example_fits() -> Result<()> {
    let readme = paths::root().join("dts/README.md");
    let text = fs::read_to_string(&readme).on("read", &readme)?;
    let example = text.split_once("```dts\n").and_then(|(_, rest)| rest.split_once("```"));
    let (example, _) = example.ok_or_else(|| failed("no example in dts/README.md"))?;
    let dir = RunDir::new()?;
    let overlay = dir.join("example.dtso");
    fs::write(&overlay, example).on("write", &overlay)?;
    fits(Board::VIRT, &[overlay])
}

fn is_refused(name: &str, text: &str, words: &[&str]) -> Result<()> {
    let dir = RunDir::new()?;
    let overlay = dir.join(name);
    fs::write(&overlay, format!("/dts-v1/;\n/plugin/;\n{text}\n")).on("write", &overlay)?;
    let said = match tree::build(Board::VIRT, &[overlay], &dir) {
        Ok(_) => return Err(failed(format!("{name} was not refused"))),
        Err(failure) => failure.to_string(),
    };
    match words.iter().find(|words| !said.contains(**words)) {
        Some(missing) => {
            Err(failed(format!("{name} was refused, but not with '{missing}': {said}")))
        }
        None => Ok(()),
    }
}
