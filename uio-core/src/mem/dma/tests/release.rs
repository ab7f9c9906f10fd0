//! In which order things go: unmapped first, freed when that has worked, once.

use std::sync::Barrier;

use super::*;

fn watch(fake: &Fake) -> Weak<Pages> {
    let pages = fake.pages();
    fake.state().watched.push(Weak::clone(&pages));
    pages
}

#[test]
fn memory_is_freed_after_it_was_unmapped_and_not_before() {
    let (domain, fake) = domain();
    let held = Coherent::<u64>::zeroed(&domain).unwrap();
    let (iova, pages) = (held.iova(), watch(&fake));
    drop(held);
    assert_eq!(fake.read(iova, &mut [0]), Err(Fault));
    assert!(pages.upgrade().is_none(), "freed");
    fake.state().watched.clear();
}

#[test]
fn what_cannot_be_unmapped_is_kept_until_the_container_is_closed() {
    let (domain, fake) = domain();
    let held = Coherent::<u64>::zeroed(&domain).unwrap();
    let (iova, pages) = (held.iova(), watch(&fake));
    fake.state().refuse_unmap = true;
    drop(held);
    assert_eq!((domain.leaked(), domain.usage().mappings), (1, 0));
    assert_eq!((domain.usage().stuck, domain.usage().stuck_bytes), (1, PAGE as u64));
    assert_eq!(fake.write(iova, &[1]), Ok(()), "the device reaches it still");
    fake.state().refuse_unmap = false;
    let next = Coherent::<u64>::zeroed(&domain).unwrap();
    assert_ne!(next.iova(), iova, "its address is not used again");
    drop(next);
    assert_eq!(fake.unmaps(), 2, "and it is not tried again");
    // The drop of the container looks whether the pages are there.
    drop(domain);
    assert_eq!(fake.state().log.last().unwrap(), "close");
    assert!(pages.upgrade().is_none(), "freed");
}

#[test]
fn an_unmap_that_fails_says_so_and_keeps_the_buffer() {
    let (domain, fake) = domain();
    let buffer = Buffer::zeroed(10).unwrap();
    let mapping = Mapping::new(&domain, buffer, Direction::FromDevice).unwrap();
    fake.state().refuse_unmap = true;
    assert_eq!(mapping.unmap().unwrap_err().errno(), Errno::EIO);
    assert_eq!((domain.leaked(), fake.unmaps()), (1, 1));
}

#[test]
fn shut_down_unmaps_all_and_leaves_plain_memory() {
    let (domain, fake) = domain();
    let coherent = Coherent::<[u32]>::zeroed_slice(&domain, 10).unwrap();
    let mapping =
        Mapping::new(&domain, Buffer::zeroed(10).unwrap(), Direction::FromDevice).unwrap();
    fake.write(mapping.iova(), b"received").unwrap();
    domain.shut_down().unwrap();
    assert!(domain.is_shut_down());
    assert_eq!((fake.mapped(), fake.unmaps(), domain.usage()), (0, 2, Usage::default()));
    assert_eq!(fake.write(coherent.iova(), &[1]), Err(Fault));
    coherent.write_at(3, 7);
    assert_eq!(coherent.read_at(3), 7);
    assert_eq!(mapping.unmap().unwrap()[..8], *b"received");
    drop(coherent);
    assert_eq!(fake.unmaps(), 2, "what comes later has nothing to do");
}

#[test]
fn after_shut_down_nothing_is_mapped() {
    let (domain, fake) = domain();
    domain.shut_down().unwrap();
    let error = Coherent::<u8>::zeroed(&domain).unwrap_err();
    assert_eq!((error.errno(), fake.mapped()), (Errno::ENODEV, 0));
    domain.shut_down().unwrap();
}

#[test]
fn shut_down_goes_on_after_a_failure_and_reports_it() {
    let (domain, fake) = domain();
    let _held: Vec<_> = (0..3).map(|_| Coherent::<u8>::zeroed(&domain).unwrap()).collect();
    fake.state().refuse_unmap = true;
    assert_eq!(domain.shut_down().unwrap_err().errno(), Errno::EIO);
    assert_eq!((fake.unmaps(), domain.leaked()), (3, 3));
}

#[test]
fn drops_and_shut_down_at_once_unmap_everything_once() {
    for _ in 0..50 {
        let (domain, fake) = domain();
        let parts: Vec<Vec<_>> = (0..4)
            .map(|_| (0..8).map(|_| Coherent::<u64>::zeroed(&domain).unwrap()).collect())
            .collect();
        let start = Barrier::new(parts.len() + 1);
        std::thread::scope(|scope| {
            for part in parts {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    drop(part);
                });
            }
            start.wait();
            domain.shut_down().unwrap();
            assert_eq!(fake.mapped(), 0, "when it returns, nothing is mapped");
        });
        // The fake fails on a second unmap of one address.
        assert_eq!(fake.unmaps(), 32);
    }
}

#[test]
fn threads_that_map_and_unmap_never_share_an_address() {
    let (domain, fake) = domain_over(&[0..=64 * PAGE as u64 - 1], PAGE as u64);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (domain, fake) = (&domain, &fake);
            scope.spawn(move || {
                for round in 0..200 {
                    let mark = thread << 32 | round;
                    let shared = Coherent::<u64>::zeroed(domain).unwrap();
                    shared.write(mark);
                    let mut seen = [0; 8];
                    fake.read(shared.iova(), &mut seen).unwrap();
                    assert_eq!(u64::from_ne_bytes(seen), mark);
                }
            });
        }
    });
    assert_eq!((fake.mapped(), domain.usage()), (0, Usage::default()));
}
