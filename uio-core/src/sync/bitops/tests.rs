//! A test per rule of `Documentation/atomic_bitops.txt` and `include/linux/find.h`.

use std::thread;

use proptest::prelude::*;

use super::*;

#[test]
fn bits_are_set_cleared_turned_and_tested() {
    let map = Bitmap::new(130);
    map.set(0);
    map.set(129);
    map.change(64);
    map.change(0);
    assert_eq!(map.iter().collect::<Vec<_>>(), [64, 129]);
    map.clear(64);
    assert!(!map.test(64) && map.test(129));
    assert_eq!((map.weight(), map.size()), (1, 130));
    assert_eq!(format!("{map:?}"), "{129}");
}

#[test]
fn test_and_modify_says_what_the_bit_was() {
    let map = Bitmap::new(1);
    assert!(!map.test_and_set(0) && map.test_and_set(0));
    assert!(map.test_and_clear(0) && !map.test_and_clear(0));
    assert!(!map.test_and_change(0) && map.test_and_change(0));
}

#[test]
fn a_bit_is_taken_as_a_lock_by_one() {
    let words = [AtomicU64::new(0)];
    assert!(!test_and_set_bit_lock(&words, 63));
    assert!(test_and_set_bit_lock(&words, 63) && test_bit_acquire(&words, 63));
    clear_bit_unlock(&words, 63);
    assert!(!test_bit(&words, 63));
}

#[test]
fn an_operation_changes_no_other_bit_of_its_word() {
    let map = Bitmap::new(64);
    thread::scope(|scope| {
        for n in 0..4 {
            let map = &map;
            scope.spawn(move || (0..10_001).for_each(|_| map.change(n)));
        }
    });
    assert_eq!(map.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn test_and_set_is_won_by_one() {
    let map = Bitmap::new(500);
    let won = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while map.take_first_zero().is_some() {
                    won.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!((won.into_inner(), map.weight()), (500, 500));
}

#[test]
#[should_panic(expected = "bit 130 of a bitmap of 130")]
fn a_bit_beyond_the_map_is_a_bug() {
    Bitmap::new(130).set(130);
}

proptest! {
    #[test]
    fn searches_find_what_a_plain_search_finds(
        set in prop::collection::vec(any::<bool>(), 0..200),
        start in 0_usize..220,
    ) {
        let map = Bitmap::new(set.len());
        (0..set.len()).filter(|bit| set[*bit]).for_each(|bit| map.set(bit));
        let words = map.words();
        let plain = |wanted: bool, start: usize| (start..set.len()).find(|bit| set[*bit] == wanted);
        prop_assert_eq!(find_first_bit(words, set.len()), plain(true, 0));
        prop_assert_eq!(find_first_zero_bit(words, set.len()), plain(false, 0));
        prop_assert_eq!(find_next_bit(words, set.len(), start), plain(true, start));
        prop_assert_eq!(find_next_zero_bit(words, set.len(), start), plain(false, start));
        prop_assert_eq!(find_last_bit(words, set.len()), set.iter().rposition(|bit| *bit));
    }
}
