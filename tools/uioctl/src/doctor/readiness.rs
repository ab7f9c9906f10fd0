//! What a device is ready for, in a word, or what is missing, in two or three: the short form of the doctor.

use uio_core::sys::sysfs::{Bus, PlatformInfo};

use super::machine::Machine;
use super::target::Function;

/// By which way a driver can have the device now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It is bound to a driver of VFIO, and its group can go to userspace.
    Vfio,
    /// It is bound to a UIO driver.
    Uio,
    /// It is not, for want of this.
    Missing(&'static str),
}

/// What the function is ready for. Rights and limits of a user are the doctor's.
pub(crate) fn of(machine: &Machine, function: &Function) -> Readiness {
    let shares = || function.siblings(machine).iter().any(|sibling| sibling.blocks_vfio());
    match function {
        function if function.is_bridge() => Readiness::Missing("a bridge"),
        function if function.uio.is_some() => Readiness::Uio,
        function if function.info.iommu_group.is_none() => Readiness::Missing("no IOMMU"),
        _ if shares() => Readiness::Missing("shares its group"),
        function if function.is_on_vfio() => Readiness::Vfio,
        function if function.info.driver.is_some() => Readiness::Missing("the kernel has it"),
        _ => Readiness::Missing("not bound"),
    }
}

/// What a device of the platform bus is ready for.
pub(crate) fn of_platform(info: &PlatformInfo) -> Readiness {
    match info {
        info if info.uio.is_some() => Readiness::Uio,
        info if info.bus == Bus::Amba => Readiness::Missing("on the AMBA bus"),
        info if info.driver.is_some() => Readiness::Missing("the kernel has it"),
        _ => Readiness::Missing("not bound"),
    }
}

impl Readiness {
    /// What is missing, if it is not ready.
    pub(crate) fn missing(self) -> Option<&'static str> {
        match self {
            Self::Missing(what) => Some(what),
            Self::Vfio | Self::Uio => None,
        }
    }

    /// `vfio` or `uio`, if it is ready.
    pub(crate) fn way(self) -> Option<&'static str> {
        match self {
            Self::Vfio => Some("vfio"),
            Self::Uio => Some("uio"),
            Self::Missing(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fake::{BDF, Fake};

    fn readiness(fake: &Fake) -> Readiness {
        of(&fake.machine(), &fake.function())
    }

    #[test]
    fn a_function_is_ready_by_one_of_two_ways() {
        assert_eq!(readiness(&Fake::ready()), Readiness::Vfio);
        assert_eq!(readiness(&Fake::generic()), Readiness::Uio);
    }

    #[test]
    fn what_is_missing_is_said_in_a_few_words() {
        let fake = Fake::ready();
        fake.add("0000:00:03.1", Some("e1000e"));
        assert_eq!(readiness(&fake).missing(), Some("shares its group"));
        fake.bind("0000:00:03.1", None);
        fake.bind(BDF, Some("e1000e"));
        assert_eq!(readiness(&fake).missing(), Some("the kernel has it"));
        fake.bind(BDF, None);
        assert_eq!(readiness(&fake).missing(), Some("not bound"));
        fake.without(&format!("sys/bus/pci/devices/{BDF}/iommu_group"));
        assert_eq!(readiness(&fake).missing(), Some("no IOMMU"));
        fake.attribute("class", "0x060400\n");
        assert_eq!(readiness(&fake).missing(), Some("a bridge"));
    }
}
