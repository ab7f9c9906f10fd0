//! The allocator, held against a model that tries every place, and its rules one by one.

use proptest::prelude::*;

use super::*;

const PAGE: u64 = 4096;
const GIB: u64 = 1 << 30;
/// The window in which x86 makes interrupts of writes.
const MSI: RangeInclusive<u64> = 0xFEE0_0000..=0xFEEF_FFFF;

/// What an Intel IOMMU of 39 bits gives.
fn intel() -> Vec<RangeInclusive<u64>> {
    vec![0..=MSI.start() - 1, MSI.end() + 1..=(1 << 39) - 1]
}

fn allocator(ranges: &[RangeInclusive<u64>], bits: u32) -> Allocator {
    Allocator::new(ranges, Mask::bits(bits), PAGE)
}

fn drain(allocator: &mut Allocator, len: u64) -> Vec<Iova> {
    std::iter::from_fn(|| allocator.alloc(len, PAGE)).collect()
}

#[test]
fn addresses_come_from_the_top_and_below_4_gib_first() {
    let mut allocator = allocator(&intel(), 64);
    let first = allocator.alloc(PAGE, PAGE).unwrap();
    assert_eq!(first, Iova(4 * GIB - 2 * PAGE), "the highest, but for the guard");
    assert_eq!(allocator.alloc(PAGE, PAGE), Some(Iova(first.0 - 2 * PAGE)));
    let large = allocator.alloc(4 * GIB, PAGE).unwrap();
    assert!(large.0 > 4 * GIB, "what does not fit below goes above: {large}");
}

#[test]
fn iova_0_is_never_given_out() {
    let mut allocator = allocator(&[0..=8 * PAGE - 1], 64);
    let given = drain(&mut allocator, PAGE);
    assert_eq!(given, [Iova(6 * PAGE), Iova(4 * PAGE), Iova(2 * PAGE)]);
    assert_eq!(drain(&mut Allocator::new(&[0..=2 * PAGE - 1], Mask::bits(64), PAGE), PAGE), []);
}

#[test]
fn the_window_of_interrupts_is_not_given_out_nor_what_touches_it() {
    let mut allocator =
        allocator(&[0xFED0_0000..=MSI.start() - 1, MSI.end() + 1..=0xFEFF_FFFF], 32);
    let given = drain(&mut allocator, PAGE);
    assert!(given.len() > 200);
    for iova in given {
        assert!(iova.0 + PAGE < *MSI.start() || iova.0 > MSI.end() + 1, "{iova}");
    }
}

#[test]
fn the_mask_of_the_device_is_kept() {
    let mut allocator = allocator(&intel(), 28);
    let given = drain(&mut allocator, 1 << 20);
    assert!(given.len() > 200, "{} of 256 MiB", given.len());
    assert!(given.iter().all(|iova| iova.0 + (1 << 20) <= 1 << 28));
}

#[test]
fn no_range_below_the_mask_leaves_no_window() {
    let mut allocator = allocator(&[1 << 32..=1 << 40], 28);
    assert_eq!(allocator.windows().count(), 0);
    assert_eq!(allocator.alloc(PAGE, PAGE), None);
    assert_eq!(allocator.largest(), 0);
}

#[test]
fn nothing_wraps_at_the_top() {
    let top = u64::MAX - 8 * PAGE + 1;
    let mut allocator = allocator(&[top..=u64::MAX], 64);
    assert_eq!(allocator.windows().next(), Some(top..=u64::MAX));
    assert_eq!(allocator.largest(), 6 * PAGE);
    assert_eq!(allocator.alloc(u64::MAX, PAGE), None);
    assert_eq!(allocator.alloc(7 * PAGE, PAGE), None);
    assert_eq!(allocator.alloc(6 * PAGE, PAGE), Some(Iova(top + PAGE)));
    let mut all = Allocator::new(&[0..=u64::MAX], Mask::bits(64), PAGE);
    assert_eq!(all.alloc(u64::MAX - 3 * PAGE, PAGE), None);
    assert!(all.alloc(1 << 63, PAGE).is_some());
}

#[test]
fn a_huge_page_is_at_a_multiple_of_its_size() {
    let huge = 2 << 20;
    let mut allocator = allocator(&intel(), 32);
    for _ in 0..10 {
        assert_eq!(allocator.alloc(huge, huge).unwrap().0 % huge, 0);
        allocator.alloc(PAGE, PAGE).unwrap();
    }
}

#[test]
fn small_mappings_fill_small_gaps_and_leave_the_large_ones_whole() {
    let mut allocator = allocator(&[0..=64 * PAGE - 1, 1 << 20..=(1 << 20) + 1024 * PAGE - 1], 32);
    let largest = allocator.largest();
    for _ in 0..31 {
        assert!(allocator.alloc(PAGE, PAGE).unwrap().0 < 64 * PAGE);
    }
    assert_eq!(allocator.largest(), largest);
}

#[test]
fn ranges_that_touch_are_one() {
    let allocator = allocator(&[8 * PAGE..=16 * PAGE - 1, 0..=8 * PAGE - 1], 64);
    assert_eq!(allocator.windows().collect::<Vec<_>>(), [0..=16 * PAGE - 1]);
}

#[test]
fn what_is_not_taken_cannot_be_freed() {
    let mut allocator = allocator(&intel(), 32);
    let iova = allocator.alloc(2 * PAGE, PAGE).unwrap();
    assert_eq!(allocator.free(Iova(iova.0 + PAGE)), None);
    assert_eq!(allocator.free(iova), Some(2 * PAGE));
    assert_eq!(allocator.free(iova), None);
}

/// Tries every place, and keeps what is taken in a list.
struct Model {
    windows: Vec<(u64, u64)>,
    taken: Vec<(u64, u64)>,
}

impl Model {
    /// First granule and end of a place, with its guards, is free and in one window.
    fn fits(&self, start: u64, len: u64) -> bool {
        let (from, to) = (start - 1, start + len + 1);
        let inside = self.windows.iter().any(|&(first, end)| first <= from && to <= end);
        inside && self.taken.iter().all(|&(first, end)| end < start || start + len < first)
    }

    fn has_place(&self, len: u64, align: u64) -> bool {
        let end = self.windows.iter().map(|window| window.1).max().unwrap_or(0);
        (1..end).any(|start| start % align == 0 && self.fits(start, len))
    }
}

#[derive(Debug, Clone)]
enum Step {
    Alloc { len: u64, align: u64 },
    Free { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_u64..12, 0_u32..4).prop_map(|(len, order)| Step::Alloc { len, align: 1 << order }),
        2 => any::<usize>().prop_map(|which| Step::Free { which }),
    ]
}

/// Up to four ranges of granules, in order, with holes between, that begin at a multiple of 8 granules.
fn ranges() -> impl Strategy<Value = (u64, Vec<(u64, u64)>)> {
    let around_4_gib = FOUR_GIB / PAGE - 32;
    let base = prop_oneof![Just(0), Just(1 << 30), Just(around_4_gib), Just((1_u64 << 52) - 400)];
    let windows = prop::collection::vec((1_u64..20, 1_u64..80), 1..4).prop_map(|parts| {
        let mut at = 0;
        let mut windows = Vec::new();
        for (hole, len) in parts {
            windows.push((at, at + len));
            at += len + hole;
        }
        windows
    });
    (base, windows)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No overlap, guards kept, inside ranges and mask; a place is found if, and only if, there is one; what is
    /// freed is used again, and all of it when all is freed.
    #[test]
    fn it_gives_what_the_model_allows_and_all_of_that(
        (base, windows) in ranges(),
        steps in prop::collection::vec(step(), 1..60),
        cut_by_mask in any::<bool>(),
    ) {
        let ranges: Vec<_> =
            windows.iter().map(|(first, end)| (base + first) * PAGE..=((base + (end - 1)) * PAGE) | 0xFFF).collect();
        let bits = if cut_by_mask { 32 } else { 64 };
        let mut allocator = allocator(&ranges, bits);
        let limit = FOUR_GIB / PAGE - base.min(FOUR_GIB / PAGE);
        let mut model = Model { windows: Vec::new(), taken: Vec::new() };
        for (first, end) in windows {
            for (first, end) in [(first, end.min(limit)), (first.max(limit), end)] {
                if first < end && !(cut_by_mask && first >= limit) {
                    model.windows.push((first, end));
                }
            }
        }
        let whole = allocator.clone();
        for step in steps {
            match step {
                Step::Alloc { len, align } => match allocator.alloc(len * PAGE, align * PAGE) {
                    Some(iova) => {
                        let start = iova.0 / PAGE - base;
                        prop_assert_eq!(iova.0 % (align * PAGE), 0);
                        prop_assert!(model.fits(start, len), "{} at {}: {:?}", len, start, model.taken);
                        model.taken.push((start, start + len));
                    }
                    None => prop_assert!(!model.has_place(len, align), "{}: {:?}", len, model.taken),
                },
                Step::Free { which } if !model.taken.is_empty() => {
                    let (start, end) = model.taken.swap_remove(which % model.taken.len());
                    let len = allocator.free(Iova((base + start) * PAGE));
                    prop_assert_eq!(len, Some((end - start) * PAGE));
                }
                Step::Free { .. } => {}
            }
        }
        for (start, _) in model.taken {
            allocator.free(Iova((base + start) * PAGE));
        }
        prop_assert_eq!(allocator.gaps, whole.gaps);
        prop_assert_eq!(allocator.ranks, whole.ranks);
    }
}
