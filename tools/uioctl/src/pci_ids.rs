//! Names of PCI vendors and devices, from the list that distributions install (<https://pci-ids.ucw.cz>).
//!
//! [`PciIds`] reads the list when it is asked for names, and keeps those alone: it has 40,000 lines, of which a machine
//! needs a few. A machine without the list has numbers and no names.
//!
//! Lines: `8086  Intel Corporation` is a vendor, `\t10d3  82574L ...` a device of the vendor above, `\t\t...` a
//! subsystem; the classes behind them start with `C `.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Where distributions have it.
const PLACES: [&str; 2] = ["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"];

/// The list has 1.5 MB; what is longer is something else.
const MOST_BYTES: u64 = 16 << 20;

/// The names of some vendors and devices.
#[derive(Debug, Default)]
pub(crate) struct PciIds {
    vendors: HashMap<u16, String>,
    devices: HashMap<(u16, u16), String>,
}

impl PciIds {
    /// The names of these, from the first list below `root`.
    pub(crate) fn find(root: &Path, wanted: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let wanted: HashSet<(u16, u16)> = wanted.into_iter().collect();
        if wanted.is_empty() {
            return Self::default();
        }
        let lists = PLACES.iter().filter_map(|place| read(&root.join(place)));
        lists.into_iter().next().map_or_else(Self::default, |list| Self::parse(&list, &wanted))
    }

    fn parse(list: &[u8], wanted: &HashSet<(u16, u16)>) -> Self {
        let vendors: HashSet<u16> = wanted.iter().map(|&(vendor, _)| vendor).collect();
        let mut names = Self::default();
        let mut vendor = None;
        for line in list.split(|&byte| byte == b'\n') {
            match line {
                [b'#' | b'\t', b'\t' | b'#', ..] | [b'#', ..] | [] => {}
                // The classes: no vendors any more.
                [b'C', b' ', ..] => break,
                // Most lines are devices of vendors that nobody asked for.
                [b'\t', device @ ..] => {
                    let Some(vendor) = vendor else { continue };
                    let entry = entry(device).filter(|(id, _)| wanted.contains(&(vendor, *id)));
                    names.devices.extend(entry.map(|(id, name)| ((vendor, id), name)));
                }
                line => {
                    let entry = entry(line).filter(|(id, _)| vendors.contains(id));
                    vendor = entry.as_ref().map(|(id, _)| *id);
                    names.vendors.extend(entry);
                }
            }
        }
        names
    }

    pub(crate) fn vendor(&self, vendor: u16) -> Option<&str> {
        self.vendors.get(&vendor).map(String::as_str)
    }

    pub(crate) fn device(&self, vendor: u16, device: u16) -> Option<&str> {
        self.devices.get(&(vendor, device)).map(String::as_str)
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut list = Vec::new();
    File::open(path).ok()?.take(MOST_BYTES).read_to_end(&mut list).ok()?;
    Some(list)
}

/// The number and the name of `8086  Intel Corporation`.
fn entry(line: &[u8]) -> Option<(u16, String)> {
    let (digits, name) = line.split_at_checked(4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = u16::from_str_radix(digits, 16).ok().filter(|_| is_plain)?;
    Some((id, String::from_utf8_lossy(name).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const LIST: &str = "\
# A comment
1234  Technical Corp.
\t1111  QEMU Virtual Video Controller
\t\t1af4 1100  of QEMU
\t11e8  QEMU educational device
8086  Intel Corporation
\t10d3  82574L Gigabit Network Connection
C 12  Processing accelerators
\t00  no device
";

    impl PciIds {
        fn name(&self, vendor: u16, device: u16) -> Option<String> {
            let known = [self.vendor(vendor), self.device(vendor, device)];
            let known: Vec<&str> = known.into_iter().flatten().collect();
            (!known.is_empty()).then(|| known.join(" "))
        }
    }

    fn ids(list: &str, wanted: &[(u16, u16)]) -> PciIds {
        PciIds::parse(list.as_bytes(), &wanted.iter().copied().collect())
    }

    #[test]
    fn the_names_that_are_asked_for_are_found_and_no_others_kept() {
        let ids = ids(LIST, &[(0x1234, 0x11E8), (0x8086, 0xFFFF), (0x1AF4, 0x1100), (0x12, 0)]);
        assert_eq!(
            ids.name(0x1234, 0x11E8).as_deref(),
            Some("Technical Corp. QEMU educational device")
        );
        assert_eq!(ids.name(0x8086, 0xFFFF).as_deref(), Some("Intel Corporation"));
        assert_eq!((ids.name(0x1AF4, 0x1100), ids.name(0x12, 0)), (None, None));
        assert_eq!((ids.vendors.len(), ids.devices.len()), (2, 1));
    }

    #[test]
    fn the_first_list_is_read_and_a_machine_without_one_has_numbers() {
        let root = tempfile::tempdir().unwrap();
        let name = || PciIds::find(root.path(), [(0x8086, 0x10D3)]).name(0x8086, 0x10D3);
        assert_eq!(name(), None);
        for (place, list) in [(PLACES[1], "8086  of hwdata\n"), (PLACES[0], LIST)] {
            fs::create_dir_all(root.path().join(place).parent().unwrap()).unwrap();
            fs::write(root.path().join(place), list).unwrap();
            assert!(name().is_some());
        }
        assert_eq!(name().as_deref(), Some("Intel Corporation 82574L Gigabit Network Connection"));
    }

    /// Processor time: what else the machine does is not the parser's fault.
    fn thread_cpu_time() -> Duration {
        let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
        nix::time::clock_gettime(clock).unwrap().into()
    }

    #[test]
    fn a_list_that_is_longer_than_the_real_one_is_read_in_a_blink() {
        let vendor =
            |id: u16| format!("{id:04x}  Vendor\n\t0001  one\n\t0002  two\n\t\t0000 0000  three\n");
        let list: String = (0..20_000).map(vendor).collect();
        let started = thread_cpu_time();
        let ids = ids(&list, &[(19_999, 2)]);
        let took = thread_cpu_time() - started;
        assert_eq!(ids.name(19_999, 2).as_deref(), Some("Vendor two"));
        // A hundred times what it takes, and a hundredth of what a quadratic parser would.
        assert!(took < Duration::from_secs(1), "{took:?}");
    }

    #[test]
    fn a_vendor_in_disorder_does_not_get_the_devices_of_the_one_before() {
        let ids = ids("8086  Intel\nnonsense\n\t10d3  lost\n", &[(0x8086, 0x10D3)]);
        assert_eq!(ids.device(0x8086, 0x10D3), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(
            list in "([0-9a-f]{0,5}|[\t\n C#]|\\PC){0,60}",
            wanted: Vec<(u16, u16)>,
        ) {
            let wanted: HashSet<_> = wanted.into_iter().collect();
            PciIds::parse(list.as_bytes(), &wanted);
        }
    }
}
