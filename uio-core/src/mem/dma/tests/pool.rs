//! Rules of pools: slots that do not touch, in few mappings, given back and used again.

use std::collections::BTreeSet;

use super::*;

#[test]
fn slots_share_a_mapping_and_never_a_byte() {
    let (domain, fake) = domain();
    let pool = Pool::<[u8; 48]>::new(&domain, 64).unwrap();
    assert_eq!((pool.chunks(), fake.mapped()), (0, 0), "nothing is mapped before it is asked for");
    let held: Vec<_> = (0..130).map(|_| pool.alloc().unwrap()).collect();
    assert_eq!((pool.chunks(), fake.mapped()), (3, 3), "64 in a page");
    let addresses: BTreeSet<u64> = held.iter().map(|it| it.iova().0).collect();
    assert!(addresses.iter().all(|iova| iova % 64 == 0));
    assert_eq!(addresses.len(), 130);
    for (index, it) in held.iter().enumerate() {
        it.write([index as u8; 48]);
    }
    for (index, it) in held.iter().enumerate() {
        let mut seen = [0; 48];
        fake.read(it.iova(), &mut seen).unwrap();
        assert_eq!((it.read(), seen), ([index as u8; 48], [index as u8; 48]));
    }
}

#[test]
fn a_slot_that_comes_back_is_zeroed_for_the_next() {
    let (domain, fake) = domain();
    let pool = Pool::<u64>::new(&domain, 8).unwrap();
    let first = pool.alloc().unwrap();
    let (iova, second) = (first.iova(), pool.alloc().unwrap());
    first.write(u64::MAX);
    drop(first);
    let again = pool.alloc().unwrap();
    assert_eq!((again.iova(), again.read(), fake.mapped()), (iova, 0, 1));
    assert!(again.read_bytes(0, &mut [0; 9]).is_err(), "the next slot is not its");
    drop(second);
}

#[test]
fn a_chunk_is_unmapped_with_the_last_that_came_from_the_pool() {
    let (domain, fake) = domain();
    let pool = Pool::<u32>::new(&domain, 4).unwrap();
    let held = pool.alloc().unwrap();
    drop(pool);
    held.write(5);
    assert_eq!((held.read(), fake.mapped()), (5, 1));
    drop(held);
    assert_eq!((fake.mapped(), domain.usage()), (0, Usage::default()));
}

#[test]
fn what_is_larger_than_a_page_has_a_chunk_each() {
    let (domain, fake) = domain();
    let pool = Pool::<[u64; 600]>::new(&domain, 4096).unwrap();
    let held = [pool.alloc().unwrap(), pool.alloc().unwrap()];
    assert_eq!((pool.chunks(), fake.mapped()), (2, 2));
    drop(held);
    let _again = pool.alloc().unwrap();
    assert_eq!(pool.chunks(), 2);
}

#[test]
fn an_alignment_that_is_none_is_refused_and_so_is_a_chunk_without_memory() {
    let (domain, fake) = domain();
    for align in [0, 3, 8192] {
        assert_eq!(Pool::<u32>::new(&domain, align).unwrap_err().errno(), Errno::EINVAL);
    }
    let pool = Pool::<u32>::new(&domain, 1).unwrap();
    fake.state().refuse_map = Some(Error::new(Errno::ENOMEM, "cannot map", "it"));
    assert_eq!(pool.alloc().unwrap_err().errno(), Errno::ENOMEM);
    fake.state().refuse_map = None;
    assert_eq!((pool.alloc().unwrap().read(), pool.chunks()), (0, 1));
}

#[test]
fn threads_that_take_and_give_never_share_a_slot() {
    let (domain, _) = domain();
    let pool = Pool::<u64>::new(&domain, 8).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..500 {
                    let held = [pool.alloc().unwrap(), pool.alloc().unwrap()];
                    held.iter().for_each(|it| it.write(thread << 32 | round));
                    assert!(held.iter().all(|it| it.read() == thread << 32 | round));
                }
            });
        }
    });
    assert_eq!(pool.chunks(), 1);
}
