//! DMA memory: what the books cost when a buffer is mapped, and what an access costs.
//!
//! The IOMMU here does nothing, so that what is measured is ours: finding an address, keeping the pages, giving both
//! back. A kernel's map and unmap, with pinning and the flush of the IOMMU, takes microseconds on top.

use std::hint::black_box;
use std::ops::RangeInclusive;
use std::sync::Arc;

use uio_core::mem::dma::iova::Allocator;
use uio_core::mem::dma::{Buffer, Coherent, Direction, Domain, Iommu, Iova, Mapping, Mask, Pages};

use crate::support::{Bench, Claim, ns_of};

/// Mappings that live meanwhile: as many as a container of VFIO takes.
const LIVE: usize = 60_000;

struct Nothing;

impl Iommu for Nothing {
    fn ranges(&self) -> uio_core::Result<Vec<RangeInclusive<u64>>> {
        Ok(vec![0..=0xFEDF_FFFF, 0xFEF0_0000..=(1 << 39) - 1])
    }

    fn granule(&self) -> u64 {
        4096
    }

    fn available(&self) -> Option<u32> {
        None
    }

    fn map(&self, _: Iova, _: &Arc<Pages>, _: Direction) -> uio_core::Result<()> {
        Ok(())
    }

    fn unmap(&self, _: Iova, _: u64) -> uio_core::Result<()> {
        Ok(())
    }
}

pub(crate) fn run(bench: Bench) {
    addresses(bench);
    mappings(bench);
    accesses(bench);
}

/// An allocator with so many live mappings, of mixed sizes, some of them freed again.
fn crowded(live: usize) -> Allocator {
    let ranges = Nothing.ranges().expect("it has them");
    let mut allocator = Allocator::new(&ranges, Mask::bits(32), 4096);
    let mut taken: Vec<Iova> = Vec::new();
    for index in 0..live + live / 4 {
        let len = 4096 << (index % 3);
        taken.extend(allocator.alloc(len, len));
    }
    for iova in taken.iter().step_by(5) {
        allocator.free(*iova);
    }
    allocator
}

fn addresses(bench: Bench) {
    let calls = bench.ops(100_000);
    let cycle = |allocator: &mut Allocator| {
        let iova = allocator.alloc(4096, 4096).expect("there is room");
        allocator.free(black_box(iova))
    };
    let (mut empty, mut full) = (crowded(0), crowded(LIVE));
    bench.compare(
        Claim::beside("an IOVA: allocated, freed; 60,000 live", "the same, none live"),
        || ns_of(calls, || cycle(&mut full)),
        || ns_of(calls, || cycle(&mut empty)),
    );
}

fn mappings(bench: Bench) {
    let calls = bench.ops(20_000);
    let domain = Domain::new("bench", Box::new(Nothing)).expect("it has ranges");
    let mut buffer = Some(Buffer::zeroed(4096).expect("there is memory"));
    let mut cycle = move || {
        let taken = buffer.take().expect("it was put back");
        let mapping = Mapping::new(&domain, taken, Direction::ToDevice).expect("it maps");
        buffer = Some(mapping.unmap().expect("it unmaps"));
    };
    let page = || Buffer::zeroed(4096).expect("there is memory");
    bench.compare(
        Claim::beside("a buffer of a page: mapped, unmapped", "the page alone: mmap, munmap")
            .note("Ours without the kernel's part; a driver maps once and hands over many times."),
        || ns_of(calls, &mut cycle),
        || ns_of(calls, page),
    );
    let domain = Domain::new("bench", Box::new(Nothing)).expect("it has ranges");
    let mut mapping = Mapping::new(&domain, page(), Direction::Bidirectional).expect("it maps");
    let mutex = std::sync::Mutex::new(0);
    bench.compare(
        Claim::beside("sync_for_cpu and sync_for_device", "std Mutex, alone"),
        || ns_of(calls, || drop(mapping.sync_for_cpu())),
        || ns_of(calls, || drop(mutex.lock())),
    );
}

fn accesses(bench: Bench) {
    let calls = bench.ops(1_000_000);
    let domain = Domain::new("bench", Box::new(Nothing)).expect("it has ranges");
    let ring = Coherent::<[u64]>::zeroed_slice(&domain, 512).expect("it maps");
    let plain = vec![0_u64; 512];
    bench.compare(
        Claim::beside("a word of coherent memory: read", "a word of a Vec: read"),
        || ns_of(calls, || ring.read_at(black_box(77))),
        || ns_of(calls, || black_box(&plain)[black_box(77)]),
    );
}
