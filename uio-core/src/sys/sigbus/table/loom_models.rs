//! The handler's look-up beside a writer, in every interleaving.

use loom::sync::Arc;

use super::*;

static OWN: u8 = 1;
static OTHER: u8 = 2;
static NEW: u8 = 3;

fn mark(byte: &'static u8) -> NonNull<u8> {
    NonNull::from(byte)
}

/// Replaces the mapping in slot 0, at 0x20, by one at 0x40.
fn replace<const N: usize>(table: &Arc<Table<u8, N>>) -> loom::thread::JoinHandle<()> {
    let table = Arc::clone(table);
    loom::thread::spawn(move || {
        table.remove(0);
        assert_eq!(table.insert(0x40, 0x50, mark(&NEW)), Some(0));
    })
}

/// A thread has faulted in a mapping that it holds, and another one meanwhile replaces a mapping in a slot before.
#[test]
fn loom_a_fault_finds_its_own_slot_whatever_becomes_of_the_others() {
    loom::model(|| {
        let table = Arc::new(Table::<u8, 2>::new());
        assert_eq!(table.insert(0x20, 0x30, mark(&OTHER)), Some(0));
        assert_eq!(table.insert(0x10, 0x20, mark(&OWN)), Some(1));
        let writer = replace(&table);
        assert_eq!(table.find(0x1F), Some(Hit { start: 0x10, end: 0x20, mark: mark(&OWN) }));
        writer.join().unwrap();
    });
}

/// An address between the start of the mapping that goes and the end of the one that comes, in the same slot.
#[test]
fn loom_half_a_slot_is_found_by_nobody() {
    loom::model(|| {
        let table = Arc::new(Table::<u8, 1>::new());
        assert_eq!(table.insert(0x20, 0x30, mark(&OTHER)), Some(0));
        let writer = replace(&table);
        assert_eq!(table.find(0x35), None);
        writer.join().unwrap();
    });
}

/// The mark that a handler gets belongs to the range, whenever it looks.
#[test]
fn loom_a_slot_is_found_with_its_own_mark() {
    loom::model(|| {
        let table = Arc::new(Table::<u8, 1>::new());
        assert_eq!(table.insert(0x10, 0x20, mark(&OTHER)), Some(0));
        let writer = {
            let table = Arc::clone(&table);
            loom::thread::spawn(move || {
                table.remove(0);
                assert_eq!(table.insert(0x10, 0x30, mark(&NEW)), Some(0));
            })
        };
        if let Some(hit) = table.find(0x10) {
            let old = hit.mark == mark(&OTHER) && hit.end == 0x20;
            let new = hit.mark == mark(&NEW) && hit.end == 0x30;
            assert!(old || new, "{hit:?}");
        }
        writer.join().unwrap();
    });
}
