//! What DMA memory costs in the data path, exactly: no access allocates.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use uio_core::device::sim::{DmaBus, Model, Models, SimLine};
use uio_core::device::{Device, DeviceSpec};
use uio_core::io::RegionModel;
use uio_core::irq::Dispatcher;
use uio_core::mem::dma::{Buffer, Coherent, Direction, Mapping, dma_rmb, dma_wmb};
use uio_core::{dma_read, dma_write};
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Descriptor {
    address: u64,
    len: u32,
    owner: u32,
}

struct OnlyDma(Arc<DmaBus>);

impl Model for OnlyDma {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        Vec::new()
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        None
    }

    fn dma(&self) -> Option<Arc<DmaBus>> {
        Some(Arc::clone(&self.0))
    }
}

#[test]
fn reading_writing_and_handing_over_allocates_nothing() {
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let models = Models::new().with("card", || Ok(OnlyDma(DmaBus::new())));
    let device = Device::open(&DeviceSpec::Sim("card".to_owned()), &dispatcher, &models).unwrap();
    let domain = device.dma().unwrap();
    let ring = Coherent::<[Descriptor]>::zeroed_slice(&domain, 64).unwrap();
    let head = Coherent::<u32>::zeroed(&domain).unwrap();
    let buffer = Buffer::zeroed(2048).unwrap();
    let mut mapping = Mapping::new(&domain, buffer, Direction::Bidirectional).unwrap();
    let mut packet = [0; 512];
    let mut round = || {
        for index in 0..64 {
            ring.write_at(index, Descriptor { address: mapping.iova().0, len: 1, owner: 0 });
            dma_wmb();
            dma_write!(ring, [index].owner, 1);
            dma_rmb();
            head.write(head.read() + dma_read!(ring, [index].owner));
            ring.write_bytes(index, &packet).unwrap();
            ring.read_bytes(index, &mut packet).unwrap();
            black_box(ring.try_read_at(index)).unwrap();
            let mut cpu = mapping.sync_for_cpu();
            cpu[index] = cpu[index].wrapping_add(1);
            cpu.sync_for_device();
        }
    };
    // What a thread makes once, it makes now.
    round();
    // The test harness allocates beside the test now and then, and not in each of three rounds.
    let changes = [(); 3].map(|()| {
        let region = Region::new(ALLOCATOR);
        round();
        let change = region.change();
        (change.allocations, change.reallocations, change.deallocations)
    });
    assert!(changes.contains(&(0, 0, 0)), "{changes:?}");
}
