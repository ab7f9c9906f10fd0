//! Parsers of procfs, as pure functions over text.
//!
//! Each takes any text at all without a panic and in one pass: what is no row of its format is counted as
//! skipped, counts too large saturate, missing columns are missing. Tested on hostile input below each, and
//! on real samples in `tests/fixtures/`.

pub(crate) mod interrupts;
pub(crate) mod iomem;
pub(crate) mod percpu;
pub(crate) mod softirqs;
