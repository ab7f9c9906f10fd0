//! The handler's look-up beside a writer, in every interleaving.

use loom::sync::Arc;

use super::*;

static OWN: u8 = 1;
static OTHER: u8 = 2;
static NEW: u8 = 3;

/// One thread has faulted in a mapping that it holds, at 0x10, and another one meanwhile replaces a mapping at
/// 0x20 by one at 0x40, in the same slot.
#[test]
fn loom_a_fault_finds_its_own_slot_and_never_half_of_another() {
    loom::model(|| {
        let table = Arc::new(Table::<u8, 2>::new());
        assert_eq!(table.insert(0x10, 0x20, NonNull::from(&OWN)), Some(0));
        assert_eq!(table.insert(0x20, 0x30, NonNull::from(&OTHER)), Some(1));
        let writer = {
            let table = Arc::clone(&table);
            loom::thread::spawn(move || {
                table.remove(1);
                assert_eq!(table.insert(0x40, 0x50, NonNull::from(&NEW)), Some(1));
            })
        };
        let own = Hit { start: 0x10, end: 0x20, mark: NonNull::from(&OWN) };
        assert_eq!(table.find(0x1F), Some(own));
        assert_eq!(table.find(0x35), None, "from the start of one to the end of the other");
        if let Some(hit) = table.find(0x40) {
            assert_eq!(hit, Hit { start: 0x40, end: 0x50, mark: NonNull::from(&NEW) });
        }
        writer.join().unwrap();
    });
}

/// The mark that a handler gets belongs to the range, whenever it looks.
#[test]
fn loom_a_slot_is_found_with_its_own_mark() {
    loom::model(|| {
        let table = Arc::new(Table::<u8, 1>::new());
        assert_eq!(table.insert(0x10, 0x20, NonNull::from(&OTHER)), Some(0));
        let writer = {
            let table = Arc::clone(&table);
            loom::thread::spawn(move || {
                table.remove(0);
                assert_eq!(table.insert(0x10, 0x30, NonNull::from(&NEW)), Some(0));
            })
        };
        if let Some(hit) = table.find(0x10) {
            let (mark, end) = (hit.mark, hit.end);
            let old = mark == NonNull::from(&OTHER) && end == 0x20;
            let new = mark == NonNull::from(&NEW) && end == 0x30;
            assert!(old || new, "{hit:?}");
        }
        writer.join().unwrap();
    });
}
