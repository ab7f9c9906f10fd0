//! Modules of the kernel: loaded or built in, in a file that only needs loading, or not there at all.

use crate::doctor::finding::Finding;
use crate::doctor::kernel::Module;
use crate::doctor::machine::Machine;

/// A module, and the option that makes the kernel's build have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// As the check is called.
    check: &'static str,
    /// As `modprobe` takes it.
    module: &'static str,
    option: &'static str,
    /// What to do where the kernel has none.
    absent: &'static str,
}

const NOT_FOR_CLOUDS: &str = "distributions leave it out of kernels for the cloud, and some have it in a package of \
                              extra modules";

/// Debian's kernels are without it, and so are those of most.
const OUT_OF_TREE: &str = "most distributions leave it out; it builds from its one source file: put the kernel's \
                           drivers/uio/uio_pdrv_genirq.c into an empty directory, then make -C \
                           /lib/modules/$(uname -r)/build M=$PWD obj-m=uio_pdrv_genirq.o modules, and insmod \
                           uio_pdrv_genirq.ko of_id=generic-uio";

const fn wanted(check: &'static str, module: &'static str, option: &'static str) -> Wanted {
    Wanted { check, module, option, absent: NOT_FOR_CLOUDS }
}

pub(super) const VFIO_PCI: Wanted = wanted("module-vfio-pci", "vfio-pci", "VFIO_PCI");
pub(super) const TYPE1: Wanted =
    wanted("module-vfio_iommu_type1", "vfio_iommu_type1", "VFIO_IOMMU_TYPE1");
pub(super) const UIO_PCI_GENERIC: Wanted =
    wanted("module-uio_pci_generic", "uio_pci_generic", "UIO_PCI_GENERIC");
pub(super) const UIO_PDRV_GENIRQ: Wanted = Wanted {
    absent: OUT_OF_TREE,
    ..wanted("module-uio_pdrv_genirq", "uio_pdrv_genirq", "UIO_PDRV_GENIRQ")
};
pub(super) const CUSE: Wanted = wanted("module-cuse", "cuse", "CUSE");
pub(super) const FUSE: Wanted = wanted("module-fuse", "fuse", "FUSE_FS");

/// The module is needed.
pub(super) fn needed(machine: &Machine, wanted: Wanted) -> Finding {
    let Wanted { check, module, option, .. } = wanted;
    let index = machine.kernel.modules.join("modules.dep");
    let load = format!("modprobe {module}");
    let last =
        format!("to load it at each start: echo {module} > /etc/modules-load.d/{module}.conf");
    match machine.kernel.module(&machine.sys(""), module) {
        Module::Present => {
            let path = machine.sys("module").join(module.replace('-', "_"));
            Finding::ok(check, path.display(), "loaded or built in")
        }
        Module::Available => Finding::ok(check, index.display(), "not loaded, but installed")
            .fault(format_args!("the module {module} is not loaded"))
            .root_command(load)
            .advice(last),
        Module::Unknown => Finding::ok(check, index.display(), "cannot be read")
            .fault(format_args!("the module {module} is not loaded"))
            .root_command(load)
            .advice(format_args!(
                "if there is no such module, run a kernel with CONFIG_{option}=m"
            )),
        Module::Absent => {
            absent(machine, wanted, Finding::ok(check, index.display(), "no such module"))
        }
    }
}

/// The module would be another way, which is worth a note.
pub(super) fn useful(machine: &Machine, wanted: Wanted) -> Finding {
    let mut found = needed(machine, wanted);
    if let Some(problem) = found.problem.take() {
        found = found.note(problem);
    }
    found
}

fn absent(machine: &Machine, wanted: Wanted, found: Finding) -> Finding {
    let Wanted { module, option, absent, .. } = wanted;
    let built = machine.kernel.option(option);
    let mend = match &built {
        Some((_, value)) if *value == "m" => {
            format!("install all modules of this kernel, and have them found: depmod -a; {absent}")
        }
        _ => format!("run a kernel with CONFIG_{option}=m; {absent}"),
    };
    let built = built.map_or_else(String::new, |(path, value)| {
        format!(": CONFIG_{option} is {value} in {}", path.display())
    });
    found
        .fault(format_args!("the kernel {} has no module {module}{built}", machine.kernel.release))
        .advice(mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::Fake;
    use crate::doctor::finding::Severity;

    #[test]
    fn a_module_that_is_not_loaded_is_loaded() {
        let fake = Fake::ready();
        assert_eq!(needed(&fake.machine(), VFIO_PCI).severity, Severity::Ok);
        fake.without("sys/module/vfio_pci");
        let found = needed(&fake.machine(), VFIO_PCI);
        assert!(found.is_fault() && found.as_root);
        assert_eq!(found.command.as_deref(), Some("modprobe vfio-pci"));
    }

    #[test]
    fn a_module_that_is_nowhere_is_an_option_of_the_kernel() {
        let fake = Fake::ready();
        fake.without("sys/module/cuse");
        fake.write("boot/config-6.1.0", "# CONFIG_CUSE is not set");
        let found = needed(&fake.machine(), CUSE);
        assert!(found.problem.unwrap().contains("CONFIG_CUSE is n in"));
        assert_eq!(found.command, None);
    }

    #[test]
    fn a_module_that_was_built_and_is_not_installed_is_installed() {
        let fake = Fake::ready();
        fake.without("sys/module/cuse");
        fake.write("boot/config-6.1.0", "CONFIG_CUSE=m\n");
        let found = needed(&fake.machine(), CUSE);
        assert!(found.problem.unwrap().contains("CONFIG_CUSE is m in"));
        assert!(found.advice.unwrap().contains("depmod -a"));
    }

    #[test]
    fn a_module_that_is_built_in_is_there() {
        assert_eq!(needed(&Fake::ready().machine(), FUSE).severity, Severity::Ok);
    }

    #[test]
    fn without_an_index_loading_is_worth_a_try() {
        let fake = Fake::ready();
        fake.without("lib");
        fake.without("sys/module/vfio_iommu_type1");
        let found = needed(&fake.machine(), TYPE1);
        assert_eq!(found.command.as_deref(), Some("modprobe vfio_iommu_type1"));
        assert!(found.advice.unwrap().contains("CONFIG_VFIO_IOMMU_TYPE1"));
    }

    #[test]
    fn another_way_is_no_fault() {
        let fake = Fake::ready();
        fake.without("sys/module/uio_pci_generic");
        let found = useful(&fake.machine(), UIO_PCI_GENERIC);
        assert_eq!(found.severity, Severity::Note);
        assert_eq!(found.command.as_deref(), Some("modprobe uio_pci_generic"));
    }
}
