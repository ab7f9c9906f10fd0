//! The binding of a device of the device tree: its bus, its driver, and the module that gives it to userspace.

use std::fs;
use std::path::PathBuf;

use uio_core::sys::hints;
use uio_core::sys::sysfs::Bus;
use uio_core::sys::sysfs::bind::parse_override;

use super::modules;
use crate::cmd::bind::platform::UIO_PDRV_GENIRQ;
use crate::doctor::finding::Finding;
use crate::doctor::kernel::Module;
use crate::doctor::machine::{Machine, text};
use crate::doctor::target::Block;

/// What overlays of the kernel's documentation, and ours, call a device for userspace.
const GENERIC_UIO: &str = "generic-uio";

/// Where `modprobe` finds options, the first wins (`modprobe.d(5)`).
const OPTIONS: [&str; 4] =
    ["etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"];

/// The device that the kernel made of the node.
pub(super) fn device(machine: &Machine, block: &Block) -> Option<Finding> {
    const CHECK: &str = "device";
    if let Some(info) = &block.info {
        return Some(Finding::ok(CHECK, info.path.display(), &info.name));
    }
    // Why there is none of a node that is switched off, its status says.
    let node = block.node.as_ref().filter(|node| node.is_available())?;
    let why = machine.sysfs().find_platform(node.path()).err()?;
    let places = machine.sys("bus/platform/devices");
    Some(Finding::ok(CHECK, places.display(), "none of this node").fault(why))
}

/// UIO is on the platform bus alone.
pub(super) fn bus(block: &Block) -> Option<Finding> {
    const CHECK: &str = "bus";
    let info = block.info.as_ref()?;
    let found = Finding::ok(CHECK, info.path.display(), info.bus.name());
    if info.bus != Bus::Amba {
        return Some(found);
    }
    let node = info.node.as_deref().unwrap_or("/...");
    let refusal = hints::primecell(node, &info.compatible);
    Some(found.fault(refusal.cause).advice(refusal.hint))
}

/// The module, which binds the node when it is loaded, if it is told to.
pub(super) fn module(machine: &Machine, block: &Block) -> Finding {
    let found = modules::needed(machine, modules::UIO_PDRV_GENIRQ);
    let is_generic = block.node.as_ref().is_some_and(|node| node.is_compatible(GENERIC_UIO));
    match is_generic && found.command.is_some() {
        true => found.root_command(format_args!("modprobe {UIO_PDRV_GENIRQ} of_id={GENERIC_UIO}")),
        false => found,
    }
}

/// Who drives it.
pub(super) fn driver(block: &Block) -> Finding {
    const CHECK: &str = "driver";
    let dir = block.info.as_ref().map(|info| info.path.join("driver")).unwrap_or_default();
    let found = Finding::ok(CHECK, dir.display(), block.driver().unwrap_or("none"));
    if block.uio().is_some() {
        return found;
    }
    let found = match block.driver() {
        Some(UIO_PDRV_GENIRQ) => {
            return found
                .fault("it is bound, and has no UIO device: the kernel could not make one")
                .root_command("dmesg | grep uio");
        }
        Some(name) => found.fault(format_args!("the kernel's driver {name} has it")),
        None => found.fault("no driver gives it to userspace"),
    };
    let bind = format!("uioctl bind {}", block.title);
    found.root_command(&bind).advice(format_args!("to keep it at every boot: {bind} --persist"))
}

/// Which nodes the module takes by itself. The kernel does not show the parameter, so that it is looked for where it is
/// given.
pub(super) fn of_id(machine: &Machine, block: &Block) -> Option<Finding> {
    const CHECK: &str = "of_id";
    let node = block.node.as_ref()?;
    let module = machine.kernel.module(&machine.sys(""), UIO_PDRV_GENIRQ);
    let other = block.uio().is_some() && block.driver() != Some(UIO_PDRV_GENIRQ);
    if other || module == Module::Absent {
        return None;
    }
    let Some((path, id)) = given_id(machine) else {
        if let Some(found) = chosen(block) {
            return Some(found);
        }
        let found =
            Finding::ok(CHECK, machine.proc("cmdline").display(), "not given, nor in modprobe.d");
        let word = if node.is_compatible(GENERIC_UIO) { GENERIC_UIO } else { "COMPATIBLE" };
        return Some(found.note(format_args!(
            "{UIO_PDRV_GENIRQ} takes no node by itself, unless it was loaded with of_id by hand; to have it do so, in \
             /etc/modprobe.d/uio.conf: options {UIO_PDRV_GENIRQ} of_id={word}"
        )));
    };
    let found = Finding::ok(CHECK, path.display(), &id);
    Some(match (node.is_compatible(&id), block.uio()) {
        (true, Some(_)) => found,
        (true, None) => found
            .warning(format_args!(
                "it names this node, and {UIO_PDRV_GENIRQ} has it not: another driver was first, it was loaded without, \
                 or it failed, which dmesg says"
            ))
            .root_command(format_args!("modprobe -r {UIO_PDRV_GENIRQ} && modprobe {UIO_PDRV_GENIRQ}")),
        (false, Some(_)) => found.note("the node is not compatible with it: it is bound until the next boot, or by a rule"),
        (false, None) => found.note(format_args!(
            "the node is not compatible with it, so that the kernel does not bind it by itself: the overlay that adds \
             \"{id}\" was not applied, or is not meant to be"
        )),
    })
}

/// A device that is with the module without having been reserved for it: the module was told to take it.
fn chosen(block: &Block) -> Option<Finding> {
    let info = block.info.as_ref().filter(|info| info.uio.is_some())?;
    let reserved = info.path.join("driver_override");
    let is_free = parse_override(&text(&reserved)?).is_none();
    is_free.then(|| {
        Finding::ok("of_id", reserved.display(), "not set, and the module took the node by itself")
    })
}

/// The value of `of_id`, and where it was found.
fn given_id(machine: &Machine) -> Option<(PathBuf, String)> {
    let parameter = machine.sys("module/uio_pdrv_genirq/parameters/of_id");
    if let Some(id) = text(&parameter).filter(|id| !id.is_empty()) {
        return Some((parameter, id));
    }
    let cmdline = machine.proc("cmdline");
    let line = text(&cmdline).unwrap_or_default().replace("uio-pdrv-genirq", UIO_PDRV_GENIRQ);
    let given =
        line.split_whitespace().find_map(|word| word.strip_prefix("uio_pdrv_genirq.of_id="));
    if let Some(id) = given {
        return Some((cmdline, id.to_owned()));
    }
    OPTIONS.iter().find_map(|dir| id_in(machine.at_root(dir)))
}

/// In the files of a directory of `modprobe`.
fn id_in(dir: PathBuf) -> Option<(PathBuf, String)> {
    let entries = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "conf")).collect();
    files.sort();
    files.into_iter().find_map(|path| {
        let id = text(&path)?.lines().find_map(option_id)?;
        Some((path, id))
    })
}

/// Of `options uio_pdrv_genirq of_id=generic-uio`.
fn option_id(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let is_ours = words.next() == Some("options")
        && words.next().is_some_and(|module| module.replace('-', "_") == UIO_PDRV_GENIRQ);
    let id = words.find_map(|word| word.strip_prefix("of_id="))?;
    is_ours.then(|| id.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;
    use crate::doctor::finding::Severity;

    #[test]
    fn a_primecell_needs_an_overlay() {
        let fake = Fake::board();
        assert!(!bus(&fake.block()).unwrap().is_fault());
        fake.on_amba();
        let found = bus(&fake.block()).unwrap();
        assert!(found.is_fault() && found.found == "amba");
        let overlay = "compatible = \"arm,pl031\", \"generic-uio\";";
        assert!(found.advice.unwrap().contains(overlay));
    }

    #[test]
    fn a_node_of_which_the_kernel_made_no_device_says_why() {
        let fake = Fake::board();
        assert!(!device(&fake.machine(), &fake.block()).unwrap().is_fault());
        fake.without_device();
        let found = device(&fake.machine(), &fake.block()).unwrap();
        assert!(found.problem.unwrap().contains("not on a bus of such devices"));
        fake.property("status", b"disabled\0");
        assert_eq!(device(&fake.machine(), &fake.block()), None, "its status says it");
    }

    #[test]
    fn a_module_that_the_kernel_has_not_is_built_from_its_source() {
        let fake = Fake::board();
        fake.unbound();
        assert!(!module(&fake.machine(), &fake.block()).is_fault());
        fake.without("sys/module/uio_pdrv_genirq");
        let found = module(&fake.machine(), &fake.block());
        assert!(found.is_fault() && found.command.is_none());
        assert!(found.advice.unwrap().contains("M=$PWD obj-m=uio_pdrv_genirq.o modules"));
        fake.write("lib/modules/6.1.0/modules.dep", "updates/uio_pdrv_genirq.ko:\n");
        let found = module(&fake.machine(), &fake.block());
        assert_eq!(found.command.unwrap(), "modprobe uio_pdrv_genirq of_id=generic-uio");
    }

    #[test]
    fn a_node_that_a_driver_of_the_kernel_has_is_bound_away_from_it() {
        let fake = Fake::board();
        assert!(!driver(&fake.block()).is_fault());
        for name in [Some("rtc-pl031"), None] {
            fake.unbound();
            fake.bind_block(name);
            let found = driver(&fake.block());
            assert!(found.is_fault() && found.as_root);
            assert!(name.is_none_or(|name| found.problem.unwrap().contains(name)));
            assert_eq!(found.command.unwrap(), "uioctl bind of:/pl031@9010000");
        }
        fake.bind_block(Some("uio_pdrv_genirq"));
        assert!(driver(&fake.block()).command.unwrap().starts_with("dmesg"));
    }

    #[test]
    fn the_parameter_of_the_module_is_found_where_it_is_given() {
        let fake = Fake::board();
        let found = || of_id(&fake.machine(), &fake.block()).unwrap();
        assert_eq!((found().severity, &*found().found), (Severity::Ok, "generic-uio"));
        fake.write("proc/cmdline", "quiet");
        assert_eq!(found().severity, Severity::Note);
        fake.reserve("(null)\n");
        assert_eq!(found().severity, Severity::Ok, "nobody else can have bound it");
        fake.reserve("uio_pdrv_genirq\n");
        assert_eq!(found().severity, Severity::Note);
        fake.write("etc/modprobe.d/a.conf", "# options\noptions other of_id=x\n");
        fake.write("etc/modprobe.d/b.conf", "options uio-pdrv-genirq of_id=generic-uio\n");
        assert!(found().looked_at.ends_with("b.conf") && found().severity == Severity::Ok);
        fake.property("compatible", b"arm,pl031\0");
        assert_eq!(found().severity, Severity::Note);
        fake.unbound();
        assert!(
            found()
                .problem
                .unwrap()
                .contains("the overlay that adds \"generic-uio\" was not applied")
        );
        fake.property("compatible", b"arm,pl031\0generic-uio\0");
        assert_eq!(found().severity, Severity::Warning);
    }
}
