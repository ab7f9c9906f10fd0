//! The machine `versal`: the UIO device that its overlay makes, with memory of its own beside the registers.

use std::fs;

use scenarios::{board, world};

#[test]
fn the_overlay_makes_a_uio_device_of_a_channel_and_gives_it_memory() {
    world::require_machine("versal");
    let info = board::uio("zdma0");
    assert_eq!(board::maps(&info)[..2], [("regs", 0xffa8_0000), ("buf", 0x3000_0000)]);
    assert_eq!(info.driver.as_deref(), Some("uio_pdrv_genirq"));
    assert!(info.node().exists() && board::has_node("dma@ffa80000"));
}

#[test]
fn the_kernel_keeps_away_from_that_memory() {
    world::require_machine("versal");
    let resources = fs::read_to_string("/proc/iomem").expect("the memory map");
    let reserved = resources.lines().filter_map(|line| line.strip_suffix(" : reserved"));
    let mut starts = reserved.filter_map(|range| range.split_once('-')).map(|(start, _)| start);
    assert!(starts.any(|start| start == "30000000"), "{resources}");
}
