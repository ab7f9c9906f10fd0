//! What to say when mapping fails: the limit, by how much it falls short, and how to raise it.
//!
//! The kernel answers with an errno; the figures are found here, when it has failed. A backend may return the bare
//! errno: the domain, which knows the totals, puts the text to it ([`map_failed`]).

use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use nix::errno::Errno;

use super::{Iova, Mask, Usage};
use crate::error::Error;
use crate::sys::hints;
use crate::sys::memlock::Memlock;
use crate::sys::pages::HUGE_PAGE;

/// Where the kernel counts huge pages of 2 MiB.
const HUGE_PAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";
/// Where the kernel says how many mappings a container may have.
const ENTRY_LIMIT: &str = "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit";

/// A size, for people: `8 MiB`, `12 KiB`, `100 bytes`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let unit = units.iter().find(|(shift, _)| self.0 != 0 && self.0.is_multiple_of(1 << shift));
        match unit {
            Some((shift, name)) => write!(f, "{} {name}", self.0 >> shift),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// A mapping that the kernel was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    /// The domain's name: the device.
    pub(crate) domain: &'a str,
    /// Where.
    pub(crate) iova: Iova,
    /// How many bytes.
    pub(crate) len: u64,
    /// What the domain has mapped already.
    pub(crate) usage: Usage,
}

impl Attempt<'_> {
    fn error(&self, errno: Errno) -> Error {
        let (len, domain) = (Bytes(self.len), self.domain);
        Error::new(errno, "cannot map", format!("{len} of DMA memory for {domain}"))
    }
}

/// Why the kernel refused a mapping with `errno`.
pub(crate) fn map_failed(errno: Errno, attempt: &Attempt<'_>) -> Error {
    match errno {
        Errno::ENOMEM => memlock(attempt, Memlock::now()),
        Errno::ENOSPC => entries(attempt, number(Path::new(ENTRY_LIMIT))),
        Errno::EEXIST => overlap(attempt),
        other => attempt.error(other),
    }
}

/// `ENOMEM`: the limit on pinned memory, if it is that.
fn memlock(attempt: &Attempt<'_>, memlock: Memlock) -> Error {
    let error = attempt.error(Errno::ENOMEM);
    let (Memlock { limit: Some(limit), locked, .. }, short) =
        (memlock, memlock.short_by(attempt.len))
    else {
        return error.with_cause("the kernel has no memory to pin or to keep its tables in");
    };
    if short == 0 {
        return error.with_cause("the kernel has no memory to pin or to keep its tables in");
    }
    let (all, own) = (Bytes(locked), Bytes(attempt.usage.bytes));
    error
        .with_cause(format!(
            "{} may be pinned (RLIMIT_MEMLOCK), {all} are already, {own} of them by this device: {} too few",
            Bytes(limit),
            Bytes(short),
        ))
        .with_hint(hints::memlock(attempt.len, locked, limit).hint)
}

/// `ENOSPC`: the limit on the number of mappings.
fn entries(attempt: &Attempt<'_>, limit: Option<u64>) -> Error {
    let limit = limit
        .map_or("as many mappings as".to_owned(), |limit| format!("the {limit} mappings that"));
    attempt
        .error(Errno::ENOSPC)
        .with_cause(format!(
            "{limit} one container may have (dma_entry_limit) are used, {} of them by this device",
            attempt.usage.mappings,
        ))
        .with_hint(format!(
            "use fewer and larger buffers, or write a larger number to {ENTRY_LIMIT} before the device is opened"
        ))
}

/// `EEXIST`: somebody else is there.
fn overlap(attempt: &Attempt<'_>) -> Error {
    let last = attempt.iova.0 + (attempt.len - 1);
    attempt
        .error(Errno::EEXIST)
        .with_cause(format!(
            "something between {} and {last:#x} is mapped already, and not by this device's domain",
            attempt.iova,
        ))
        .with_hint(
            "one container has one domain: open the device once, and map by its domain alone",
        )
}

/// Why huge pages could not be had.
pub(crate) fn no_huge_pages(errno: Errno, len: usize) -> Error {
    huge_pages_in(Path::new(HUGE_PAGES), errno, len)
}

fn huge_pages_in(dir: &Path, errno: Errno, len: usize) -> Error {
    // CAST: a usize has at most 64 bits on Linux.
    let error =
        Error::new(errno, "cannot allocate", format!("{} in huge pages", Bytes(len as u64)));
    let count = |name: &str| number(&dir.join(name));
    let (Some(all), Some(free)) = (count("nr_hugepages"), count("free_hugepages")) else {
        return error
            .with_cause("this kernel has no huge pages of 2 MiB")
            .with_hint("use normal pages");
    };
    let free = free.saturating_sub(count("resv_hugepages").unwrap_or(0));
    // CAST: as above.
    let needed = len.max(1).div_ceil(HUGE_PAGE) as u64;
    let missing = needed.saturating_sub(free);
    let error = error.with_cause(format!(
        "it takes {needed} of 2 MiB, and {free} of {all} are free: {missing} too few"
    ));
    let more = all.saturating_add(missing.max(1));
    error.with_hint(format!(
        "run `echo {more} > {}` as root, early, while memory is not in pieces; or use normal pages",
        dir.join("nr_hugepages").display(),
    ))
}

/// The allocator has no place.
pub(crate) fn no_place(domain: &str, len: u64, align: u64, mask: Mask, largest: u64) -> Error {
    Error::new(Errno::ENOSPC, "cannot map", format!("{} of DMA memory for {domain}", Bytes(len)))
        .with_cause(format!(
            "no free addresses up to {:#x}: the largest free piece has {}, and {} are needed at a multiple of {}",
            mask.max().0,
            Bytes(largest),
            Bytes(len),
            Bytes(align),
        ))
        .with_hint("unmap something, use smaller buffers, or set a wider mask if the device has more address bits")
}

/// No range of the kernel's lies below the mask.
pub(crate) fn no_window(domain: &str, mask: Mask, ranges: &[RangeInclusive<u64>]) -> Error {
    let ranges: Vec<String> =
        ranges.iter().map(|range| format!("{:#x}-{:#x}", range.start(), range.end())).collect();
    let allowed = if ranges.is_empty() { "none".to_owned() } else { ranges.join(", ") };
    Error::new(Errno::EIO, "cannot do DMA with", domain)
        .with_cause(format!(
            "the device reaches addresses up to {:#x}, and the IOMMU allows {allowed}",
            mask.max().0,
        ))
        .with_hint(
            "give the mask that the device has; if it is that, this machine cannot run the device",
        )
}

/// The mask is set too late.
pub(crate) fn mask_busy(domain: &str, mask: Mask, mappings: usize) -> Error {
    Error::new(Errno::EBUSY, "cannot set a DMA mask for", domain)
        .with_cause(format!(
            "{mappings} mappings were made before, and might not be below {:#x}",
            mask.max().0,
        ))
        .with_hint("set the mask in probe, before the first buffer")
}

/// The domain was shut down.
pub(crate) fn shut_down(domain: &str) -> Error {
    Error::new(Errno::ENODEV, "cannot map DMA memory for", domain)
        .with_cause("its DMA was switched off, since the device is being released")
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn attempt() -> Attempt<'static> {
        Attempt {
            domain: "0000:00:03.0",
            iova: Iova(0x1000),
            len: 4 * MIB,
            usage: Usage { mappings: 3, bytes: 2 * MIB, ..Usage::default() },
        }
    }

    #[test]
    fn a_memlock_failure_names_the_limit_and_by_how_much_it_falls_short() {
        let limited = Memlock { limit: Some(8 * MIB), locked: 6 * MIB, exempt: false };
        let text = memlock(&attempt(), limited).to_string();
        assert!(
            text.starts_with(
                "cannot map 4 MiB of DMA memory for 0000:00:03.0: 8 MiB may be pinned (RLIMIT_MEMLOCK), 6 MiB are \
                 already, 2 MiB of them by this device: 2 MiB too few; "
            ),
            "{text}"
        );
        for mend in ["ulimit -l 10240", "LimitMEMLOCK=", "CAP_IPC_LOCK"] {
            assert!(text.contains(mend), "{text}");
        }
    }

    #[test]
    fn a_limit_that_does_not_count_is_not_blamed() {
        let innocent = [
            Memlock { limit: Some(8 * MIB), locked: 6 * MIB, exempt: true },
            Memlock { limit: Some(64 * MIB), locked: 6 * MIB, exempt: false },
            Memlock { limit: None, locked: 6 * MIB, exempt: false },
        ];
        for memlock in innocent.map(|figures| memlock(&attempt(), figures)) {
            assert!(!memlock.to_string().contains("MEMLOCK"), "{memlock}");
        }
    }

    #[test]
    fn the_entry_limit_is_named_with_its_parameter() {
        let text = entries(&attempt(), Some(65535)).to_string();
        assert!(text.contains("the 65535 mappings that one container may have"), "{text}");
        assert!(text.contains("3 of them by this device") && text.contains(ENTRY_LIMIT), "{text}");
        assert!(entries(&attempt(), None).to_string().contains("dma_entry_limit"));
    }

    #[test]
    fn an_overlap_names_the_addresses() {
        let error = map_failed(Errno::EEXIST, &attempt());
        assert_eq!(error.errno(), Errno::EEXIST);
        assert!(error.to_string().contains("between 0x1000 and 0x400fff"), "{error}");
    }

    #[test]
    fn missing_huge_pages_are_counted_with_the_command_that_adds_them() {
        let dir = tempfile::tempdir().unwrap();
        let error = huge_pages_in(dir.path(), Errno::ENOMEM, HUGE_PAGE);
        assert!(error.to_string().contains("no huge pages of 2 MiB"), "{error}");
        for (name, value) in
            [("nr_hugepages", "4\n"), ("free_hugepages", "3\n"), ("resv_hugepages", "2\n")]
        {
            fs::write(dir.path().join(name), value).unwrap();
        }
        let text = huge_pages_in(dir.path(), Errno::ENOMEM, 2 * HUGE_PAGE + 1).to_string();
        assert!(text.contains("takes 3 of 2 MiB, and 1 of 4 are free: 2 too few"), "{text}");
        assert!(text.contains("echo 6 > ") && text.contains("nr_hugepages"), "{text}");
    }

    #[test]
    fn sizes_are_for_people() {
        let sizes = [0, 100, 4096, 12 << 10, 3 << 20, 5 << 30].map(|size| Bytes(size).to_string());
        assert_eq!(sizes, ["0 bytes", "100 bytes", "4 KiB", "12 KiB", "3 MiB", "5 GiB"]);
    }
}
