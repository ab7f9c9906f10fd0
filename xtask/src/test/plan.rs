//! Which test programs run in the bench on which machine, and how often.
//!
//! A program named `machine_NAME_*` runs on that machine ([`vm::MACHINES`]) and on no other; all others run on the
//! first machine of the architecture that they are built for, and some of them on both kinds of node.

use std::fs;
use std::path::PathBuf;

use crate::arch::Arch;
use crate::failure::{Context, Result, failed};
use crate::paths;
use crate::vm::{self, Machine};

/// Programs that run a second time, with FUSE nodes in the place of CUSE ones.
const ON_FUSE_TOO: [&str; 15] = [
    "bench_unbind",
    "blocking",
    "bulk",
    "control",
    "crowd",
    "daemon_life",
    "echo_cat",
    "large",
    "many",
    "nonblocking",
    "one_descriptor",
    "readiness",
    "rights",
    "serial",
    "signals",
];

/// What the names of programs for one machine start with. In the machine's name, `_` stands for `-`.
const FOR_MACHINE: &str = "machine_";

/// The machine that a program for the architecture runs on, if there is one of that name.
fn machine_of(arch: Arch, program: &str) -> Option<Machine> {
    let mut machines = vm::MACHINES.into_iter();
    let Some(rest) = program.strip_prefix(FOR_MACHINE) else {
        return machines.find(|machine| machine.arch() == arch);
    };
    let is_for = |machine: &Machine| {
        let name = machine.name.replace('-', "_");
        rest.strip_prefix(&name).is_some_and(|rest| rest.starts_with(['_', '-']))
    };
    machines.find(is_for)
}

/// The machines of the architecture that have programs, each with its programs. A program for no machine is an error.
pub(super) fn by_machine(arch: Arch, paths: &[PathBuf]) -> Result<Vec<(Machine, Vec<PathBuf>)>> {
    let mut machines = vm::MACHINES.map(|machine| (machine, Vec::new())).to_vec();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let wanted = machine_of(arch, &name)
            .ok_or_else(|| failed(format!("test program {name} is for a machine that is none")))?;
        for (machine, programs) in &mut machines {
            if *machine == wanted {
                programs.push(path.clone());
            }
        }
    }
    machines.retain(|(machine, programs)| machine.arch() == arch && !programs.is_empty());
    Ok(machines)
}

/// The names of the test programs that are for a board.
pub(super) fn for_boards() -> Result<Vec<String>> {
    let dir = paths::root().join("tests/scenarios/tests");
    let entries = fs::read_dir(&dir).on("read", &dir)?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let names = names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned));
    let is_for_board = |name: &String| {
        let machine = name.starts_with(FOR_MACHINE).then(|| machine_of(Arch::Arm64, name));
        machine.flatten().is_some_and(|machine| machine.board().is_some())
    };
    let mut names: Vec<String> = names.filter(is_for_board).collect();
    names.sort();
    Ok(names)
}

/// A test program on a kind of node.
pub(super) struct Run<'a> {
    pub(super) program: &'a str,
    pub(super) kind: &'static str,
}

/// What runs in a guest, in this order.
pub(super) fn runs(programs: &[PathBuf]) -> Vec<Run<'_>> {
    let names = programs.iter().filter_map(|path| path.file_name()?.to_str());
    let cuse = names.clone().map(|program| Run { program, kind: "cuse" });
    let fuse = names.filter(|name| ON_FUSE_TOO.contains(&without_hash(name)));
    cuse.chain(fuse.map(|program| Run { program, kind: "fuse" })).collect()
}

/// Cargo adds a hash to the name of a test program.
pub(super) fn without_hash(program: &str) -> &str {
    program.rsplit_once('-').map_or(program, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::{by_machine, for_boards, runs};
    use crate::arch::Arch;
    use std::path::PathBuf;

    #[test]
    fn some_programs_run_a_second_time_on_fuse() {
        let programs = ["/t/conformance-1", "/t/many-2"].map(PathBuf::from);
        let runs = runs(&programs);
        let words: Vec<_> = runs.iter().map(|run| (run.kind, run.program)).collect();
        assert_eq!(words, [("cuse", "conformance-1"), ("cuse", "many-2"), ("fuse", "many-2")]);
    }

    #[test]
    fn a_program_for_a_machine_runs_there_alone() {
        let names = ["bulk-1", "machine_no_iommu_doctor-2", "machine_group-3", "machine_group_x-4"];
        assert_eq!(counts(Arch::Amd64, &names), [("default", 1), ("no-iommu", 1), ("group", 2)]);
        let none = by_machine(Arch::Amd64, &["machine_of_anticythera-5"].map(PathBuf::from));
        assert!(none.is_err());
    }

    #[test]
    fn a_board_runs_what_is_built_for_its_architecture() {
        let names = ["echo_cat-1", "machine_virt_facts-2", "machine_versal_dma-3"];
        assert_eq!(counts(Arch::Arm64, &names), [("virt", 2), ("versal", 1)]);
        // Built for this machine, they have nowhere to run.
        assert_eq!(counts(Arch::Amd64, &names), [("default", 1)]);
        assert!(for_boards().unwrap().contains(&"machine_virt_facts".to_owned()));
    }

    /// How many programs each machine has.
    fn counts(arch: Arch, names: &[&str]) -> Vec<(&'static str, usize)> {
        let paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let plan = by_machine(arch, &paths).unwrap();
        plan.iter().map(|(machine, paths)| (machine.name, paths.len())).collect()
    }
}
