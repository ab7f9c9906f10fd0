//! Streaming DMA: buffers that are handed to the device and back, each in one direction.
//!
//! `cargo run --example dma_mapping`

use uio_core::irq::Dispatcher;
use uio_core::mem::dma::{Buffer, Direction, Mapping};

#[path = "support/mod.rs"]
mod support;
use support::{Print, dma_device, terminal};

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// A device that answers what it is sent in capitals.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let (device, bus) = dma_device("card", &dispatcher)?;
    let domain = device.dma()?;
    pr_info("dma_mapping example init");

    let sent = Mapping::new(&domain, Buffer::copy_of(b"hello, device")?, Direction::ToDevice)?;
    let mut answer = Mapping::new(&domain, Buffer::zeroed(sent.len())?, Direction::FromDevice)?;

    let mut seen = vec![0; sent.len()];
    let read = bus.read(sent.iova(), &mut seen);
    pr_info(&format!("device: read {:?}: {}", String::from_utf8_lossy(&seen), read.is_ok()));
    seen.make_ascii_uppercase();
    let wrote = bus.write(answer.iova(), &seen);
    pr_info(&format!("device: wrote its answer: {}", wrote.is_ok()));
    let wrote = bus.write(sent.iova(), &seen);
    pr_info(&format!("device: wrote to what it may only read: {}", wrote.is_ok()));

    let mut cpu = answer.sync_for_cpu();
    pr_info(&format!("sync_for_cpu: {:?}", String::from_utf8_lossy(&cpu)));
    cpu.fill(b'.');
    cpu.sync_for_device();
    let wrote = bus.write(answer.iova(), b"bye").is_ok();
    pr_info(&format!("sync_for_device; device: wrote: {wrote}"));

    let iova = answer.iova();
    let buffer = answer.unmap()?;
    pr_info(&format!("unmapped: {:?}", String::from_utf8_lossy(&buffer)));
    pr_info(&format!("device: wrote to what it had: {}", bus.write(iova, b"late").is_ok()));
    pr_info(&format!("dma_mapping example exit: {} mapped still", domain.usage().mappings));
    Ok(())
}
