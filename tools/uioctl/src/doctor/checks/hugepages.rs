//! Huge pages: a note, for drivers that map much memory for DMA.

use std::fs;

use crate::doctor::finding::Finding;
use crate::doctor::machine::{Machine, text};

const CHECK: &str = "hugepages";

/// How many of the size are reserved that a mapping gets which names none: 2 MiB on most machines, whatever smaller ones
/// there are.
const OF_DEFAULT_SIZE: &str = "/proc/sys/vm/nr_hugepages";

pub(super) fn hugepages(machine: &Machine) -> Option<Finding> {
    let dir = machine.sys("kernel/mm/hugepages");
    let sizes: Vec<String> = fs::read_dir(&dir)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("hugepages-"))
        .collect();
    let reserved: u64 = sizes
        .iter()
        .filter_map(|size| text(&dir.join(size).join("nr_hugepages"))?.trim().parse::<u64>().ok())
        .sum();
    let found = Finding::ok(CHECK, dir.display(), format_args!("{reserved} reserved"));
    Some(match reserved {
        0 => found
            .note("none are reserved: a driver that asks for DMA memory in huge pages gets none")
            .root_command(format_args!("echo 16 > {OF_DEFAULT_SIZE}")),
        _ => found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;
    use crate::doctor::finding::Severity;

    #[test]
    fn huge_pages_are_a_note() {
        let fake = Fake::ready();
        assert_eq!(hugepages(&fake.machine()).unwrap().severity, Severity::Ok);
        fake.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n");
        fake.write("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0\n");
        let found = hugepages(&fake.machine()).unwrap();
        assert_eq!(found.severity, Severity::Note);
        assert_eq!(found.command.as_deref(), Some("echo 16 > /proc/sys/vm/nr_hugepages"));
        fake.without("sys/kernel/mm");
        assert_eq!(hugepages(&fake.machine()), None);
    }
}
