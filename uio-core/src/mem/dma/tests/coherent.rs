//! Rules of coherent memory: filled alone, then shared, then read and written piece by piece.

use std::sync::atomic::{AtomicBool, Ordering};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::*;
use crate::dma_read;
use crate::dma_write;
use crate::io::AccessError;

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Inner {
    low: u16,
    high: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Descriptor {
    address: u64,
    inner: Inner,
    flags: u8,
    rest: [u8; 3],
}

const FIRST: Descriptor =
    Descriptor { address: 1, inner: Inner { low: 2, high: 3 }, flags: 4, rest: [5, 6, 7] };

#[test]
fn a_box_is_filled_as_any_value_and_the_device_sees_it_when_shared() {
    let (domain, fake) = domain();
    let mut ring = CoherentBox::<[Descriptor]>::zeroed_slice(&domain, 300).unwrap();
    assert!(ring.iter().all(|it| it.as_bytes().iter().all(|byte| *byte == 0)));
    for (index, it) in ring.iter_mut().enumerate() {
        *it = Descriptor { address: index as u64, ..FIRST };
    }
    ring[7].inner.high = 99;
    let ring = ring.into_coherent();
    let mut seen = [0; 16];
    fake.read(ring.iova_at(7), &mut seen).unwrap();
    let inner = Inner { low: 2, high: 99 };
    assert_eq!(Descriptor::read_from_bytes(&seen), Ok(Descriptor { address: 7, inner, ..FIRST }));
    assert_eq!((ring.len(), ring.size(), ring.is_empty()), (300, 4800, false));
}

#[test]
fn a_model_is_kept_out_of_what_is_not_shared_yet() {
    let (domain, fake) = domain();
    let mut table = CoherentBox::<Descriptor>::zeroed(&domain).unwrap();
    *table = FIRST;
    let mut seen = [0; 8];
    fake.read(table.iova(), &mut seen).unwrap();
    fake.write(table.iova(), &[9; 8]).unwrap();
    assert_eq!((seen, *table), ([u8::MAX; 8], FIRST));
    assert_eq!(fake.pages().upgrade().unwrap().refused(), 2);
    let table = table.into_coherent();
    fake.write(table.iova(), &[9; 8]).unwrap();
    assert_eq!(table.read().address, 0x0909_0909_0909_0909);
}

#[test]
fn each_side_sees_what_the_other_writes() {
    let (domain, fake) = domain();
    let shared = Coherent::<Descriptor>::zeroed(&domain).unwrap();
    shared.write(FIRST);
    let mut seen = [0; 16];
    fake.read(shared.iova(), &mut seen).unwrap();
    assert_eq!(Descriptor::read_from_bytes(&seen), Ok(FIRST));
    fake.write(Iova(shared.iova().0 + 12), &[8]).unwrap();
    assert_eq!(shared.read(), Descriptor { flags: 8, ..FIRST });
}

#[test]
fn a_field_is_read_and_written_and_its_neighbours_are_not() {
    let (domain, _) = domain();
    let one = Coherent::<Descriptor>::zeroed(&domain).unwrap();
    one.write(FIRST);
    assert_eq!(dma_read!(one, .address), 1);
    assert_eq!(dma_read!(one, .inner.high), 3);
    assert_eq!(dma_read!(one, .rest), [5, 6, 7]);
    dma_write!(one, .inner.low, 77);
    assert_eq!(one.read(), Descriptor { inner: Inner { low: 77, high: 3 }, ..FIRST });

    let ring = Coherent::<[Descriptor]>::zeroed_slice(&domain, 4).unwrap();
    (0..4).for_each(|index| ring.write_at(index, FIRST));
    dma_write!(ring, [2].flags, 0xFF);
    assert_eq!(dma_read!(ring, [2].flags), 0xFF);
    assert_eq!(ring.read_at(2), Descriptor { flags: 0xFF, ..FIRST });
    assert_eq!([0, 1, 3].map(|index| ring.read_at(index)), [FIRST; 3]);
}

#[test]
fn an_index_from_the_device_is_checked() {
    let (domain, _) = domain();
    let ring = Coherent::<[u32]>::zeroed_slice(&domain, 4).unwrap();
    let outside = AccessError::OutOfBounds { offset: 16, width: 4, size: 16 };
    assert_eq!(ring.try_read_at(4), Err(outside));
    assert_eq!(ring.try_write_at(4, 1), Err(outside));
    assert!(ring.try_read_at(usize::MAX).is_err());
    assert_eq!(ring.try_write_at(3, 5), Ok(()));
    assert_eq!(ring.try_read_at(3), Ok(5));
}

#[test]
#[should_panic(expected = "driver bug: element 4 of 4")]
fn an_index_of_the_drivers_own_is_a_driver_bug() {
    let (domain, _) = domain();
    Coherent::<[u32]>::zeroed_slice(&domain, 4).unwrap().read_at(4);
}

#[test]
#[should_panic(expected = "driver bug: that is no field")]
fn what_is_no_field_is_a_driver_bug() {
    let (domain, _) = domain();
    Coherent::<u32>::zeroed(&domain).unwrap().read_field(|_| &7_u32);
}

#[test]
fn bytes_are_copied_in_and_out_within_bounds() {
    let (domain, _) = domain();
    let words = Coherent::<[u32]>::zeroed_slice(&domain, 3).unwrap();
    words.write_bytes(3, b"hello").unwrap();
    let mut back = [0; 5];
    words.read_bytes(3, &mut back).unwrap();
    assert_eq!(&back, b"hello");
    assert!(words.write_bytes(10, b"abc").is_err() && words.read_bytes(13, &mut []).is_err());
    assert!(words.write_bytes(usize::MAX, b"a").is_err());
    let one = Coherent::<u32>::zeroed(&domain).unwrap();
    one.write_bytes(2, &[0xAA, 0xBB]).unwrap();
    assert_eq!(one.read().to_ne_bytes(), [0, 0, 0xAA, 0xBB]);
    assert!(one.read_bytes(0, &mut [0; 5]).is_err(), "the page is larger, the word is not");
}

#[test]
fn a_word_is_never_seen_half_written() {
    let (domain, fake) = domain();
    let word = Coherent::<u64>::zeroed(&domain).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fake.write(word.iova(), &[0xFF; 8]).unwrap();
                fake.write(word.iova(), &[0; 8]).unwrap();
            }
        });
        let seen: Vec<u64> = (0..20_000).map(|_| word.read()).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(seen.iter().all(|word| [0, u64::MAX].contains(word)));
    });
}

#[test]
fn what_has_no_elements_or_too_many_is_an_error() {
    let (domain, _) = domain();
    assert_eq!(Coherent::<[u64]>::zeroed_slice(&domain, 0).unwrap_err().errno(), Errno::EINVAL);
    for count in [usize::MAX, usize::MAX / 8] {
        let error = Coherent::<[u64]>::zeroed_slice(&domain, count).unwrap_err();
        assert_eq!(error.errno(), Errno::ENOMEM, "{error}");
    }
}

#[test]
fn huge_pages_that_are_missing_are_an_error_with_its_mend_and_no_signal() {
    let (domain, _) = domain();
    let error = CoherentBox::<[u64]>::huge_slice(&domain, 1 << 42).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("nr_hugepages") || text.contains("no huge pages"), "{text}");
    assert_eq!(domain.usage(), Usage::default());
}
