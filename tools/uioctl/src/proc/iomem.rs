//! `/proc/iomem` and `/proc/ioports`: who owns which addresses.
//!
//! [`ResourceTree`] keeps the rows in their order, each with its depth and its parent. The format is that of
//! `r_show` in `kernel/resource.c`: `start-end : name` in hexadecimal, end inclusive, two blanks of indent
//! for each level. A reader without `CAP_SYS_ADMIN` gets zeros in place of all addresses.

/// The kernel prints five levels at most; text from elsewhere is folded here.
const MAX_DEPTH: usize = 32;

/// One row: a range of addresses and its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) start: u64,
    /// Inclusive.
    pub(crate) end: u64,
    pub(crate) name: String,
    pub(crate) depth: usize,
    /// Index of the resource that this one is a part of.
    pub(crate) parent: Option<usize>,
}

impl Resource {
    /// In bytes or ports; none where the range makes no sense.
    pub(crate) fn size(&self) -> Option<u128> {
        let span = self.end.checked_sub(self.start)?;
        Some(u128::from(span) + 1)
    }

    pub(crate) fn contains(&self, address: u64) -> bool {
        (self.start..=self.end).contains(&address)
    }
}

/// All rows, parents before their children.
#[derive(Debug, Default)]
pub(crate) struct ResourceTree {
    pub(crate) resources: Vec<Resource>,
    /// Lines that are no rows.
    pub(crate) skipped: usize,
}

impl ResourceTree {
    pub(crate) fn parse(text: &str) -> Self {
        let mut tree = Self::default();
        let mut path: Vec<usize> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let Some((indent, start, end, name)) = parse_row(line) else {
                tree.skipped += 1;
                continue;
            };
            let depth = (indent / 2).min(path.len()).min(MAX_DEPTH);
            path.truncate(depth);
            let parent = path.last().copied();
            path.push(tree.resources.len());
            tree.resources.push(Resource { start, end, name: name.to_owned(), depth, parent });
        }
        tree
    }

    /// Whether the kernel kept the addresses from the reader.
    pub(crate) fn is_hidden(&self) -> bool {
        !self.resources.is_empty()
            && self.resources.iter().all(|row| row.start == 0 && row.end == 0)
    }

    /// The innermost resource with `address` in it: the deepest, and the smallest of these.
    pub(crate) fn innermost(&self, address: u64) -> Option<usize> {
        let holders = self.resources.iter().enumerate().filter(|(_, row)| row.contains(address));
        let (index, _) =
            holders.max_by_key(|(_, row)| (row.depth, std::cmp::Reverse(row.end - row.start)))?;
        Some(index)
    }

    /// The neighbours of an address that nobody owns: the last resource below it and the first above.
    pub(crate) fn around(&self, address: u64) -> (Option<&Resource>, Option<&Resource>) {
        let tops = || self.resources.iter().filter(|row| row.depth == 0);
        let below = tops().filter(|row| row.end < address).max_by_key(|row| row.end);
        let above = tops().filter(|row| row.start > address).min_by_key(|row| row.start);
        (below, above)
    }
}

/// Indent, start, end and name of `  fec00000-fec003ff : IOAPIC 0`.
fn parse_row(line: &str) -> Option<(usize, u64, u64, &str)> {
    let row = line.trim_start_matches(' ');
    let indent = line.len() - row.len();
    let (range, name) = row.split_once(" : ").or_else(|| Some((row.strip_suffix(" :")?, "")))?;
    let (start, end) = range.split_once('-')?;
    Some((indent, parse_hex(start)?, parse_hex(end)?, name.trim_end()))
}

fn parse_hex(digits: &str) -> Option<u64> {
    // `from_str_radix` would take a sign.
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| u64::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DESKTOP: &str = include_str!("../../tests/fixtures/iomem-x86-desktop.txt");
    const BOARD: &str = include_str!("../../tests/fixtures/iomem-arm64-board.txt");
    const HIDDEN: &str = include_str!("../../tests/fixtures/iomem-hidden.txt");

    fn path(tree: &ResourceTree, address: u64) -> Vec<&str> {
        let mut names = Vec::new();
        let mut at = tree.innermost(address);
        while let Some(index) = at {
            names.insert(0, &*tree.resources[index].name);
            at = tree.resources[index].parent;
        }
        names
    }

    #[test]
    fn every_row_of_real_machines_is_understood() {
        for text in [DESKTOP, BOARD, HIDDEN, include_str!("../../tests/fixtures/ioports-vm.txt")] {
            let tree = ResourceTree::parse(text);
            assert_eq!((tree.skipped, tree.resources.len()), (0, text.lines().count()));
        }
    }

    #[test]
    fn an_address_belongs_to_the_innermost_owner() {
        let tree = ResourceTree::parse(DESKTOP);
        assert_eq!(path(&tree, 0xfee0_0000), ["Reserved", "Local APIC"]);
        assert_eq!(
            path(&tree, 0xa100_0040),
            ["PCI Bus 0000:00", "PCI Bus 0000:03", "0000:03:00.0", "nvme"]
        );
        assert_eq!(tree.innermost(0xffff_0000_0000), None);
    }

    #[test]
    fn a_board_is_a_tree_too() {
        let tree = ResourceTree::parse(BOARD);
        assert_eq!(path(&tree, 0xfe20_1004), ["fe201000.serial serial@7e201000"]);
    }

    #[test]
    fn zeros_everywhere_are_hidden_addresses() {
        assert!(ResourceTree::parse(HIDDEN).is_hidden());
        assert!(!ResourceTree::parse(DESKTOP).is_hidden());
        assert!(!ResourceTree::parse("").is_hidden());
    }

    #[test]
    fn odd_rows_are_rows_and_others_are_counted() {
        let text = "0-ffffffffffffffff : all : of it\n9-3 : backwards\n5-5 :\nnonsense\n+1-+2 : signed\n\
                    1-10000000000000000 : too large\n      7-7 : deep at once";
        let tree = ResourceTree::parse(text);
        let names: Vec<_> =
            tree.resources.iter().map(|row| (&*row.name, row.depth, row.size())).collect();
        assert_eq!(
            names,
            [
                ("all : of it", 0, Some(1 << 64)),
                ("backwards", 0, None),
                ("", 0, Some(1)),
                ("deep at once", 1, Some(1)),
            ]
        );
        assert_eq!(tree.skipped, 3);
    }

    #[test]
    fn a_staircase_of_ten_thousand_steps_is_folded() {
        let text: String =
            (0..10_000).map(|step| format!("{:1$}0-1 : x\n", "", step * 2)).collect();
        let tree = ResourceTree::parse(&text);
        assert_eq!(tree.resources.len(), 10_000);
        assert!(tree.resources.iter().all(|row| row.depth <= MAX_DEPTH));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_and_any_address_asked(
            text in "(\\PC|[ \n\0:-]|[0-9a-f]{1,20}-[0-9a-f]{1,20} : ){0,200}",
            address: u64,
        ) {
            let tree = ResourceTree::parse(&text);
            if let Some(index) = tree.innermost(address) {
                prop_assert!(tree.resources[index].contains(address));
            }
            tree.around(address);
            for (index, row) in tree.resources.iter().enumerate() {
                prop_assert!(row.parent.is_none_or(|parent| parent < index));
                row.size();
            }
            prop_assert!(tree.resources.len() + tree.skipped <= text.lines().count());
        }

        #[test]
        fn what_the_kernel_prints_is_read_back(rows in prop::collection::vec((any::<u64>(), any::<u64>(), 0..5usize), 1..50)) {
            let text: String = rows
                .iter()
                .map(|(start, end, depth)| format!("{:1$}{start:08x}-{end:08x} : name {depth}\n", "", depth * 2))
                .collect();
            let tree = ResourceTree::parse(&text);
            prop_assert_eq!(tree.skipped, 0);
            let read: Vec<_> = tree.resources.iter().map(|row| (row.start, row.end)).collect();
            let written: Vec<_> = rows.iter().map(|&(start, end, _)| (start, end)).collect();
            prop_assert_eq!(read, written);
        }
    }
}
