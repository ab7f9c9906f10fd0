use super::*;

static MARKS: [u8; 3] = [0; 3];

fn mark(index: usize) -> NonNull<u8> {
    NonNull::from(&MARKS[index])
}

#[test]
fn an_address_is_found_from_the_start_of_its_range_to_its_last_byte() {
    let table = Table::<u8, 2>::new();
    assert_eq!(table.insert(0x1000, 0x2000, mark(0)), Some(0));
    assert_eq!(table.insert(0x2000, 0x2001, mark(1)), Some(1));
    let first = Hit { start: 0x1000, end: 0x2000, mark: mark(0) };
    assert_eq!([0xFFF, 0x2001, 0, usize::MAX].map(|address| table.find(address)), [None; 4]);
    assert_eq!([0x1000, 0x1FFF].map(|address| table.find(address)), [Some(first); 2]);
    assert_eq!(table.find(0x2000), Some(Hit { start: 0x2000, end: 0x2001, mark: mark(1) }));
}

#[test]
fn a_slot_that_was_emptied_holds_nothing_and_is_filled_again() {
    let table = Table::<u8, 2>::new();
    assert_eq!([0, 1].map(|n| table.insert(0x1000 + n, 0x1001 + n, mark(n))), [Some(0), Some(1)]);
    assert_eq!(table.insert(0x5000, 0x6000, mark(2)), None, "full");
    table.remove(0);
    assert_eq!(table.find(0x1000), None);
    assert_eq!(table.insert(0x5000, 0x6000, mark(2)), Some(0));
    assert_eq!(table.find(0x5FFF).map(|hit| hit.mark), Some(mark(2)));
    assert_eq!(table.find(0x1001).map(|hit| hit.mark), Some(mark(1)));
}

#[test]
fn a_slot_that_a_writer_is_at_work_on_is_nobodys() {
    let table = Table::<u8, 1>::new();
    table.insert(0x1000, 0x2000, mark(0));
    table.slots[0].sequence.fetch_add(1, Ordering::Relaxed);
    assert_eq!(table.find(0x1000), None);
    table.slots[0].sequence.fetch_add(1, Ordering::Relaxed);
    assert!(table.find(0x1000).is_some());
}
