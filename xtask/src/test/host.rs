//! The stages that need no virtual machine.

use std::env;

use super::Stages;
use super::guests::test_program;
use crate::bench;
use crate::failure::{Result, failed};
use crate::paths;
use crate::process::{capture, cargo, command, show};

/// Packages with loom models: library tests with `loom` in their path, compiled with `--cfg loom`.
const LOOM_PACKAGES: [&str; 1] = ["uio-core"];

/// What the bench runs is looked at, too.
const LINTS: [&str; 9] = [
    "clippy",
    "--workspace",
    "--all-targets",
    "--features",
    "scenarios/bench,scenarios/board",
    "--quiet",
    "--",
    "-D",
    "warnings",
];

pub(super) fn run_all(stages: &mut Stages) {
    stages.run("format", || run_cargo(&["fmt", "--all", "--check"]));
    stages.run("lints", || run_cargo(&LINTS));
    stages.run("workspace tests", || {
        run_cargo(&["test", "--workspace", "--quiet", "--no-fail-fast"])
    });
    stages.run("code of register accesses, optimised", register_code);
    stages.run("benchmarks, one short round", || bench::smoke(&[]));
    stages.run("documentation", document);
    for package in LOOM_PACKAGES {
        stages.run(&format!("loom models of {package}"), || loom(package));
    }
}

/// The test that reads its own instructions, optimised as a release is: the accesses are in its own code, since
/// they are always inlined, so that nothing else has to be built again.
fn register_code() -> Result<()> {
    let mut build = cargo();
    build.args(["rustc", "--profile", "test", "-p", "uio-core", "--test", "register_code"]);
    build.args(["--quiet", "--message-format=json-render-diagnostics"]);
    build.args(["--", "-C", "opt-level=3", "-C", "debug-assertions=off"]);
    let messages = capture(&mut build)?;
    let program = messages.lines().find_map(test_program);
    let program = program.ok_or_else(|| failed("cargo built no test program"))?;
    show(command(program).arg("--quiet").env("UIOD_REGISTER_CODE_OPTIMISED", "1"))
}

fn document() -> Result<()> {
    let mut doc = cargo();
    doc.env("RUSTDOCFLAGS", "-D warnings");
    show(doc.args(["doc", "--workspace", "--no-deps", "--quiet"]))
}

fn run_cargo(args: &[&str]) -> Result<()> {
    show(cargo().args(args))
}

/// In a target directory of its own: the flag would otherwise have everything built again, there and back.
fn loom(package: &str) -> Result<()> {
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let mut test = cargo();
    test.env("RUSTFLAGS", format!("{flags} --cfg loom"));
    test.env("CARGO_TARGET_DIR", paths::target().join("loom"));
    show(test.args(["test", "--quiet", "--release", "-p", package, "--lib", "loom"]))
}
