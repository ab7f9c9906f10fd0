//! Coherent DMA: a ring of descriptors that driver and device share, behind an IOMMU.
//!
//! `cargo run --example dma_coherent`

use uio_core::device::sim::DmaBus;
use uio_core::irq::Dispatcher;
use uio_core::mem::dma::{CoherentBox, Iova, Mask, dma_rmb, dma_wmb};
use uio_core::{dma_read, dma_write};
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[path = "support/mod.rs"]
mod support;
use support::{Print, dma_device, terminal};

/// What the device squares, when it owns it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Descriptor {
    number: u64,
    result: u64,
    owner: u64,
}

const DRIVER: u64 = 0;
const DEVICE: u64 = 1;
const RING: usize = 4;

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// The device's side: serves each descriptor that it owns, by its addresses alone.
fn hardware(bus: &DmaBus, ring: Iova) {
    for index in 0..RING as u64 {
        let at = Iova(ring.0 + index * size_of::<Descriptor>() as u64);
        let mut bytes = [0; size_of::<Descriptor>()];
        let fetched =
            bus.read(at, &mut bytes).ok().and_then(|()| Descriptor::read_from_bytes(&bytes).ok());
        let Some(mut descriptor) = fetched.filter(|it| it.owner == DEVICE) else { continue };
        descriptor.result = descriptor.number * descriptor.number;
        descriptor.owner = DRIVER;
        let _ = bus.write(at, descriptor.as_bytes());
    }
}

/// What the module's probe does, with the device at work, and its remove.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let (device, bus) = dma_device("card", &dispatcher)?;
    pr_info("dma_coherent example init");

    let domain = device.dma()?;
    domain.set_mask(Mask::bits(28))?;
    let mut ring = CoherentBox::<[Descriptor]>::zeroed_slice(&domain, RING)?;
    for (index, descriptor) in ring.iter_mut().enumerate() {
        descriptor.number = 10 + index as u64;
    }
    let ring = ring.into_coherent();
    let iova = ring.iova();
    pr_info(&format!("ring of {} shared, below 256 MiB: {}", ring.len(), iova.0 < 1 << 28));

    dma_write!(ring, [2].number, 20);
    dma_wmb(); // before it is the device's
    dma_write!(ring, [2].owner, DEVICE);
    hardware(&bus, iova);

    for index in 0..ring.len() {
        let owner = dma_read!(ring, [index].owner);
        dma_rmb(); // not before it is ours
        let Descriptor { number, result, .. } = ring.read_at(index);
        pr_info(&format!("descriptor {index}: {number} gave {result}, owner {owner}"));
    }
    // What overruns the last page of the ring meets the guard after it.
    let beyond = bus.write(Iova(iova.0 + domain.granule()), &[0]);
    pr_info(&format!("the device beyond the ring: fault: {}", beyond.is_err()));
    drop(ring);
    pr_info(&format!("the device after the driver: fault: {}", bus.write(iova, &[0]).is_err()));
    pr_info(&format!("dma_coherent example exit: {} mapped", domain.usage().mappings));
    Ok(())
}
