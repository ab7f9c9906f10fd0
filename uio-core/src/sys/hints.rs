//! What to do when the kernel says no: the mends that the library's errors and `uioctl doctor` have in common.
//!
//! Each function turns what is known about a refusal into the text for [`Error::with_hint`]: an imperative without
//! a full stop, with a command where one mends it. They read nothing and decide nothing; who calls them knows which
//! refusal it was. Those that also say why return a [`Refusal`], which has the better cause.
//!
//! | the kernel says | on | call |
//! | --- | --- | --- |
//! | `EACCES`, `EPERM` | opening `/dev/vfio/N`, `/dev/vfio/vfio`, `/dev/uioN` | [`node_denied`] |
//! | `ENOENT`, `ENODEV` | opening `/dev/vfio/vfio` | [`no_vfio`] |
//! | no `iommu_group` link | a PCI function | [`no_iommu`] |
//! | `ENOENT`, `ENODEV` | opening `/dev/vfio/N`, `VFIO_GROUP_GET_DEVICE_FD` | [`not_bound`] |
//! | `EBUSY` | opening `/dev/vfio/N` | [`group_busy`] |
//! | `VFIO_GROUP_FLAGS_VIABLE` clear; `EPERM`, `EBUSY`, `EINVAL` | `VFIO_GROUP_SET_CONTAINER` | [`not_viable`] |
//! | `EPERM` | `VFIO_SET_IOMMU` | [`no_interrupt_remapping`] |
//! | `ENOMEM` | `VFIO_IOMMU_MAP_DMA` | [`memlock`] |
//! | nothing: it has no such driver | a node with `"arm,primecell"` | [`primecell`] |
//!
//! The neighbours: `sysfs/` finds out who else is in a group ([`Sysfs::group_members`](super::sysfs::Sysfs::group_members)).

use std::fmt::Display;
use std::path::Path;

use super::sysfs::{GroupMember, PRIMECELL};
use crate::error::Error;

/// Why the kernel refused, where it is known better than the errno has it, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For [`Error::with_cause`].
    pub cause: String,
    /// For [`Error::with_hint`].
    pub hint: String,
}

impl Refusal {
    /// The error with this cause and this hint.
    #[must_use]
    pub fn explain(self, error: Error) -> Error {
        error.with_cause(self.cause).with_hint(self.hint)
    }
}

/// The user may not open `node`.
pub fn node_denied(node: &Path) -> String {
    let node = node.display();
    format!(
        "run as root, or give your group the node by a udev rule (for now, as root: chgrp GROUP {node} && chmod 660 {node})"
    )
}

/// `/dev/vfio/vfio` is not there, or nothing is behind it.
pub fn no_vfio() -> String {
    "load the module: modprobe vfio-pci".to_owned()
}

/// The function `bdf` is in no IOMMU group.
pub fn no_iommu(bdf: impl Display) -> Refusal {
    Refusal {
        cause: "it is in no IOMMU group: the IOMMU is off, or there is none".to_owned(),
        hint: format!(
            "switch VT-d or AMD-Vi on in the firmware and boot with intel_iommu=on; \
             `uioctl doctor {bdf}` says which of the two it is"
        ),
    }
}

/// The function `bdf` is not bound to `vfio-pci`, so that its group has no node or does not know the device.
pub fn not_bound(bdf: impl Display) -> String {
    format!("bind it: uioctl bind {bdf} vfio-pci")
}

/// Somebody else has the group open; only one process can.
pub fn group_busy(node: &Path) -> Refusal {
    let node = node.display();
    Refusal {
        cause: "another process has it open".to_owned(),
        hint: format!("see who, as root: fuser -v {node}"),
    }
}

/// The group of `bdf` is not viable: `members` are all the functions in it, those that are in nobody's way as well.
pub fn not_viable(bdf: impl Display, members: &[GroupMember]) -> Refusal {
    let blocking = members.iter().filter(|member| member.blocks_vfio());
    let named: Vec<String> = blocking
        .filter_map(|member| {
            Some(format!("{} is bound to {}", member.bdf, member.driver.as_deref()?))
        })
        .collect();
    let cause = match &named[..] {
        [] => "its IOMMU group is not viable: a kernel driver or another process owns the DMA of a device in it"
            .to_owned(),
        named => format!("its IOMMU group is not viable: {}", named.join(", ")),
    };
    Refusal { cause, hint: format!("take the whole group: uioctl bind {bdf} vfio-pci --group") }
}

/// `vfio_iommu_type1` refuses a group whose devices could forge each other's interrupts.
pub fn no_interrupt_remapping() -> Refusal {
    Refusal {
        cause: "the IOMMU does not remap interrupts, so that a device could forge those of others".to_owned(),
        hint: "switch interrupt remapping (x2APIC, VT-d) on in the firmware and leave nointremap off the kernel line; \
               or accept the risk, as root: echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
            .to_owned(),
    }
}

/// Mapping `wanted` more bytes for DMA would exceed `RLIMIT_MEMLOCK`.
///
/// `limit` is the soft limit in bytes, `locked` what the process has locked and mapped already (`VmLck` and `VmPin`
/// of `/proc/self/status`), in bytes as well.
pub fn memlock(wanted: u64, locked: u64, limit: u64) -> Refusal {
    let missing = wanted.saturating_add(locked).saturating_sub(limit);
    let needed = wanted.saturating_add(locked).div_ceil(1024);
    Refusal {
        cause: format!(
            "{wanted} bytes more than the {locked} that are locked are {missing} over the limit of {limit} (RLIMIT_MEMLOCK)"
        ),
        hint: format!(
            "raise it to {needed} KiB at least: ulimit -l {needed}, a line `USER - memlock {needed}` in \
             /etc/security/limits.d, or LimitMEMLOCK= in the systemd unit; or give the process CAP_IPC_LOCK"
        ),
    }
}

/// The node is that of a PrimeCell: the kernel puts it on the AMBA bus, and UIO has no driver there.
pub fn primecell(node: &str, compatible: &[String]) -> Refusal {
    Refusal {
        cause: format!(
            "\"{PRIMECELL}\" puts it on the AMBA bus, where no driver is that gives it to userspace"
        ),
        hint: uio_overlay(node, compatible),
    }
}

/// The overlay that makes a UIO device of a node, whatever else the node is.
pub fn uio_overlay(node: &str, compatible: &[String]) -> String {
    let own = compatible.iter().filter(|own| !["generic-uio", PRIMECELL].contains(&own.as_str()));
    let words: Vec<String> = own.map(|own| format!("\"{own}\", ")).collect();
    format!(
        "boot with an overlay that says &{{{node}}} {{ compatible = {}\"generic-uio\"; }};, and load uio_pdrv_genirq with \
         of_id=generic-uio",
        words.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn an_overlay_keeps_what_the_block_is_and_drops_the_bus() {
        let compatible = ["arm,pl031", "arm,primecell"].map(str::to_owned);
        let refusal = primecell("/pl031@9010000", &compatible);
        assert!(
            refusal.cause.contains("\"arm,primecell\" puts it on the AMBA bus"),
            "{}",
            refusal.cause
        );
        let overlay = "&{/pl031@9010000} { compatible = \"arm,pl031\", \"generic-uio\"; };";
        assert!(refusal.hint.contains(overlay), "{}", refusal.hint);
        assert!(!refusal.hint.contains("primecell"), "{}", refusal.hint);
    }

    fn member(bdf: &str, driver: Option<&str>) -> GroupMember {
        GroupMember { bdf: bdf.to_owned(), driver: driver.map(str::to_owned) }
    }

    #[test]
    fn a_group_that_is_not_viable_names_those_in_the_way_alone() {
        let members = [
            member("0000:03:00.0", Some("vfio-pci")),
            member("0000:03:00.1", Some("snd_hda_intel")),
            member("0000:03:00.2", None),
            member("0000:00:1c.0", Some("pcieport")),
        ];
        let error = Error::new(Errno::EPERM, "cannot use", "pci:0000:03:00.0");
        let text = not_viable("0000:03:00.0", &members).explain(error).to_string();
        assert_eq!(
            text,
            "cannot use pci:0000:03:00.0: its IOMMU group is not viable: 0000:03:00.1 is bound to snd_hda_intel; \
             take the whole group: uioctl bind 0000:03:00.0 vfio-pci --group"
        );
    }

    #[test]
    fn a_group_with_nobody_to_blame_still_says_what_it_is() {
        let cause = not_viable("0000:03:00.0", &[]).cause;
        assert!(cause.contains("not viable") && cause.contains("another process"), "{cause}");
    }

    #[test]
    fn a_memlock_failure_says_by_how_much_it_falls_short() {
        let refusal = memlock(1 << 20, 4096, 65536);
        assert!(refusal.cause.contains("987136 over the limit of 65536"), "{}", refusal.cause);
        assert!(refusal.hint.contains("ulimit -l 1028,"), "{}", refusal.hint);
        assert_eq!(memlock(u64::MAX, 1, 0).cause.matches("over the limit").count(), 1);
    }
}
