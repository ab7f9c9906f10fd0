//! Rules of a domain: masks, guards, limits, and what is said when they are met.

use super::*;

fn boxed(domain: &Arc<Domain>, bytes: usize) -> Result<CoherentBox<[u8]>> {
    CoherentBox::zeroed_slice(domain, bytes)
}

#[test]
fn the_mask_is_set_before_the_first_mapping_or_not_at_all() {
    let (domain, _) = domain();
    domain.set_mask(Mask::bits(28)).unwrap();
    let held = boxed(&domain, 100).unwrap();
    assert!(held.iova().0 < 1 << 28);
    let error = domain.set_mask(Mask::bits(64)).unwrap_err();
    assert_eq!((error.errno(), domain.mask()), (Errno::EBUSY, Mask::bits(28)));
    assert!(error.to_string().contains("before the first buffer"), "{error}");
    drop(held);
    domain.set_mask(Mask::bits(64)).unwrap();
}

#[test]
fn a_device_has_32_bits_until_it_says_otherwise() {
    let (domain, _) = domain_over(&[1 << 32..=1 << 39], PAGE as u64);
    assert_eq!(boxed(&domain, 1).unwrap_err().errno(), Errno::ENOSPC);
    domain.set_mask(Mask::bits(40)).unwrap();
    assert!(boxed(&domain, 1).unwrap().iova().0 > 1 << 32);
}

#[test]
fn a_mask_below_all_ranges_is_refused_with_the_ranges() {
    let (domain, _) = domain_over(&[1 << 32..=(1 << 39) - 1], PAGE as u64);
    let error = domain.set_mask(Mask::bits(28)).unwrap_err();
    assert_eq!((error.errno(), domain.mask()), (Errno::EIO, Mask::bits(32)));
    assert!(
        error
            .to_string()
            .contains("up to 0xfffffff, and the IOMMU allows 0x100000000-0x7fffffffff"),
        "{error}"
    );
}

#[test]
fn a_device_that_overruns_a_buffer_meets_the_iommu() {
    let (domain, fake) = domain();
    let buffers: Vec<_> = (0..4).map(|_| boxed(&domain, PAGE).unwrap().into_coherent()).collect();
    for buffer in &buffers {
        let last = Iova(buffer.iova().0 + PAGE as u64 - 1);
        assert_eq!(fake.write(last, &[1]), Ok(()));
        assert_eq!(fake.write(last, &[1, 2]), Err(Fault));
        assert_eq!(fake.write(Iova(buffer.iova().0 - 1), &[1]), Err(Fault));
    }
}

#[test]
fn a_buffer_is_at_a_multiple_of_its_size_up_to_2_mib() {
    let (domain, _) = domain();
    for (size, align) in [(1, PAGE), (5 << 10, 8 << 10), (64 << 10, 64 << 10), (5 << 20, 2 << 20)] {
        let (one, two) = (boxed(&domain, size).unwrap(), boxed(&domain, size).unwrap());
        assert_eq!((one.iova().0 % align as u64, two.iova().0 % align as u64), (0, 0), "{size}");
    }
}

#[test]
fn an_iommu_with_pages_larger_than_the_cpus_gets_them() {
    let granule = 64 << 10;
    let (domain, fake) = domain_over(&[0..=u64::MAX], granule);
    let held = boxed(&domain, 1).unwrap().into_coherent();
    let pages = fake.pages().upgrade().unwrap();
    assert_eq!(
        (pages.len() as u64, pages.address().as_ptr().addr() as u64 % granule),
        (granule, 0)
    );
    assert_eq!(held.iova().0 % granule, 0);
    let error = Mapping::new(&domain, Buffer::zeroed(1).unwrap(), Direction::ToDevice).unwrap_err();
    assert!(error.to_string().contains("not aligned to its pages of 64 KiB"), "{error}");
    let buffer = Buffer::for_domain(&domain, 1).unwrap();
    assert!(Mapping::new(&domain, buffer, Direction::ToDevice).is_ok());
}

#[test]
fn when_the_addresses_are_used_up_it_says_how_large_the_largest_piece_is() {
    let (domain, _) = domain_over(&[0..=32 * PAGE as u64 - 1], PAGE as u64);
    let _held = boxed(&domain, 8 * PAGE).unwrap();
    let error = boxed(&domain, 8 * PAGE).unwrap_err();
    assert_eq!(error.errno(), Errno::ENOSPC);
    let text = error.to_string();
    assert!(text.contains("has 56 KiB, and 32 KiB are needed at a multiple of 32 KiB"), "{text}");
}

#[test]
fn what_the_kernel_refuses_is_explained_and_leaves_nothing_behind() {
    let (domain, fake) = domain();
    let _held = boxed(&domain, 3 * PAGE).unwrap();
    for (errno, says) in [
        (Errno::ENOSPC, "dma_entry_limit) are used, 1 of them by this device"),
        (Errno::EEXIST, "is mapped already"),
        (Errno::ENOMEM, "cannot map 8 KiB of DMA memory for 0000:00:03.0: "),
        (Errno::EPERM, "the kernel's own"),
    ] {
        let refusal = Error::new(errno, "cannot map", "it").with_cause("the kernel's own");
        fake.state().refuse_map = Some(refusal);
        let error = boxed(&domain, 2 * PAGE).unwrap_err();
        assert_eq!(error.errno(), errno);
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!((domain.usage().mappings, fake.mapped()), (1, 1));
    }
    fake.state().refuse_map = None;
    let next = boxed(&domain, PAGE).unwrap();
    let again = next.iova();
    drop(next);
    assert_eq!(boxed(&domain, PAGE).unwrap().iova(), again, "addresses were given back");
}

#[test]
fn a_backend_that_knows_better_has_the_last_word() {
    let (domain, fake) = domain();
    let own = Error::new(Errno::ENOMEM, "cannot map", "it").with_hint("buy memory");
    fake.state().refuse_map = Some(own.clone());
    assert_eq!(boxed(&domain, 1).unwrap_err(), own);
}

#[test]
fn the_figures_follow_what_is_mapped() {
    let (domain, _) = domain();
    assert_eq!(domain.available(), Some(1000));
    let one = boxed(&domain, 3 * PAGE).unwrap();
    let two = Coherent::<u64>::zeroed(&domain).unwrap();
    let both = Usage { mappings: 2, bytes: 4 * PAGE as u64, ..Usage::default() };
    assert_eq!((domain.usage(), domain.available()), (both, Some(998)));
    drop((one, two));
    assert_eq!((domain.usage(), domain.available()), (Usage::default(), Some(1000)));
}

#[test]
fn an_iommu_that_cannot_be_is_refused() {
    let fake = Arc::new(Fake::default());
    let container = Container { fake, ranges: vec![0..=u64::MAX], granule: 3000 };
    let error = Domain::new("card", Box::new(container)).unwrap_err();
    assert!(error.to_string().contains("3000 bytes, not a power of two"), "{error}");
}
