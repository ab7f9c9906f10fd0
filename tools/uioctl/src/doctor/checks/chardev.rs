//! The way to a node for clients: CUSE, or FUSE where that is not to be had. One of the two is enough.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::modules;
use crate::doctor::finding::{Finding, Severity};
use crate::doctor::machine::{Access, Machine};

/// What mounts for an ordinary user; it belongs to root and has the set-user-ID bit.
const HELPER: &str = "fusermount3";

/// Where it may be.
const PLACES: [&str; 3] = ["usr/bin", "bin", "usr/local/bin"];

/// Both ways. If one is open, what keeps the other shut is a note.
pub(super) fn ways(machine: &Machine) -> Vec<Finding> {
    let mut both = vec![cuse(machine), fuse(machine)];
    if both.iter().any(|way| !way.is_fault()) {
        for way in both.iter_mut().filter(|way| way.is_fault()) {
            way.severity = Severity::Note;
        }
    }
    both
}

fn cuse(machine: &Machine) -> Finding {
    const CHECK: &str = "cuse";
    node(machine, CHECK, "dev/cuse", modules::CUSE)
}

fn fuse(machine: &Machine) -> Finding {
    const CHECK: &str = "fuse";
    let found = node(machine, CHECK, "dev/fuse", modules::FUSE);
    if found.is_fault() || machine.user.is_root() || has_helper(machine) {
        return found;
    }
    Finding::ok(
        CHECK,
        machine.at_root(PLACES[0]).join(HELPER).display(),
        "not there, or not set-user-ID",
    )
    .fault(format_args!("an ordinary user mounts by {HELPER} alone"))
    .root_command("apt-get install fuse3")
    .advice("elsewhere than on Debian: the package with fusermount3 of libfuse 3")
}

fn node(machine: &Machine, check: &'static str, node: &str, module: modules::Wanted) -> Finding {
    let path = machine.at_root(node);
    match machine.access(&path) {
        Access::Yes => Finding::ok(check, path.display(), "may be opened"),
        Access::Denied => Finding::ok(check, path.display(), "permission denied")
            .fault(format_args!("user {} may not open it", machine.user.uid))
            .root_command(match check {
                // It makes device nodes of any name: for those who are trusted with that.
                "cuse" => format!("chown {} {}", machine.user.uid, path.display()),
                _ => format!("chmod 666 {}", path.display()),
            }),
        Access::Missing => {
            let loaded = modules::needed(machine, module);
            match loaded.is_fault() {
                true => Finding { check, looked_at: path.display().to_string(), ..loaded },
                false => Finding::ok(check, path.display(), "not there")
                    .fault("the kernel has it, but this /dev has not")
                    .advice("run outside of the container, or hand the node in"),
            }
        }
    }
}

fn has_helper(machine: &Machine) -> bool {
    PLACES.iter().any(|place| {
        let path = machine.at_root(place).join(HELPER);
        fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o4000 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;

    fn severities(fake: &Fake) -> Vec<Severity> {
        ways(&fake.machine()).iter().map(|way| way.severity).collect()
    }

    #[test]
    fn one_way_to_a_node_is_enough() {
        let fake = Fake::ready();
        assert_eq!(severities(&fake), [Severity::Ok, Severity::Ok]);
        fake.without("dev/cuse");
        assert_eq!(severities(&fake), [Severity::Note, Severity::Ok]);
        fake.deny("dev/fuse");
        assert_eq!(severities(&fake), [Severity::Fault, Severity::Fault]);
        fake.write("dev/cuse", "");
        assert_eq!(severities(&fake), [Severity::Ok, Severity::Note]);
    }

    #[test]
    fn a_missing_node_is_a_missing_module_first() {
        let fake = Fake::ready();
        fake.without("dev/cuse");
        assert_eq!(ways(&fake.machine())[0].command, None);
        fake.without("sys/module/cuse");
        fake.write("lib/modules/6.1.0/modules.dep", "kernel/cuse.ko:\n");
        assert_eq!(ways(&fake.machine())[0].command.as_deref(), Some("modprobe cuse"));
    }

    #[test]
    fn an_ordinary_user_needs_the_helper() {
        let fake = Fake::ready();
        fake.deny("dev/cuse");
        fake.as_user();
        assert_eq!(severities(&fake), [Severity::Fault, Severity::Fault]);
        fake.write("usr/bin/fusermount3", "");
        assert_eq!(severities(&fake), [Severity::Fault, Severity::Fault]);
        let mode = fs::Permissions::from_mode(0o4755);
        fs::set_permissions(fake.path("usr/bin/fusermount3"), mode).unwrap();
        assert_eq!(severities(&fake), [Severity::Note, Severity::Ok]);
    }

    #[test]
    fn rights_to_fuse_are_for_all_and_those_to_cuse_for_one() {
        let fake = Fake::ready();
        fake.deny("dev/cuse");
        fake.deny("dev/fuse");
        let commands: Vec<_> =
            ways(&fake.machine()).into_iter().filter_map(|way| way.command).collect();
        assert!(commands[0].starts_with("chown 0 ") && commands[1].starts_with("chmod 666 "));
    }
}
