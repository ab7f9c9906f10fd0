//! `cargo xtask test`: every test, in stages.
//!
//! The host part ([`host`]) needs no virtual machine: format, lints, the workspace's tests, the loom models. The
//! bench part looks at the device-tree overlays ([`overlays`]), builds the test programs of the scenario packages once for
//! each architecture and runs each of them on the machine that its name asks for ([`plan`]), on each of its kernels
//! ([`guests`]). A stage that fails does not keep the others from running.

mod guests;
mod host;
mod overlays;
mod plan;

use std::time::Instant;

use crate::arch::Arch;
use crate::failure::{FAILED, Result};
use crate::process::print;
use crate::programs;
use crate::setup::{self, Scope};

pub(crate) fn main(args: &[String]) -> Result<u8> {
    let boards = args == ["--boards"];
    let scope = if boards { Scope::Bench } else { Scope::parse("test", args)? };
    setup::ensure(scope)?;
    let mut stages = Stages::default();
    if !boards {
        host::run_all(&mut stages);
    }
    if scope == Scope::Bench {
        stages.run("device-tree overlays", overlays::check);
        let archs = if boards { &[Arch::Arm64][..] } else { &[Arch::Amd64, Arch::Arm64] };
        archs.iter().for_each(|arch| bench(*arch, &mut stages));
    }
    Ok(stages.summary())
}

/// The machines of an architecture.
fn bench(arch: Arch, stages: &mut Stages) {
    let mut programs = None;
    stages.run(&format!("build the bench for {}", arch.name()), || {
        programs = Some((programs::build(arch)?, guests::build(arch)?));
        Ok(())
    });
    let Some((binaries, tests)) = programs else {
        return;
    };
    for (machine, programs) in &tests.of_machines {
        for kernel in machine.kernels {
            let name = format!("kernel {}, machine {}", kernel.name, machine.name);
            stages.run(&name, || guests::run(*kernel, *machine, &binaries, programs));
        }
    }
}

/// What ran so far, and how it went.
#[derive(Default)]
pub(crate) struct Stages(Vec<Stage>);

struct Stage {
    name: String,
    passed: bool,
    seconds: f64,
}

impl Stages {
    pub(crate) fn run(&mut self, name: &str, stage: impl FnOnce() -> Result<()>) {
        print(&format!("\ntest: {name}\n"));
        let start = Instant::now();
        let result = stage();
        if let Err(failure) = &result {
            print(&format!("test: {name}: {failure}\n"));
        }
        let seconds = start.elapsed().as_secs_f64();
        self.0.push(Stage { name: name.to_owned(), passed: result.is_ok(), seconds });
    }

    /// Prints a line per stage and the count; returns the exit status.
    fn summary(&self) -> u8 {
        let mut text = String::from("\n");
        for Stage { name, passed, seconds } in &self.0 {
            let verdict = if *passed { "passed" } else { "FAILED" };
            text += &format!("{verdict}  {seconds:7.1} s  {name}\n");
        }
        let passed = self.0.iter().filter(|stage| stage.passed).count();
        let failed = self.0.len() - passed;
        print(&format!("{text}{passed} passed, {failed} failed\n"));
        if failed == 0 { 0 } else { FAILED }
    }
}
