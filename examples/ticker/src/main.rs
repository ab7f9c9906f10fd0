//! A daemon with one driver, for a board. The command line, the control socket and the nodes are those of `uiod`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use uio_core::{device::sim::Models, driver::Registry};

fn main() -> ExitCode {
    let drivers = Registry::new().with::<ticker::Ticker>();
    uiod::Program::new(drivers, Models::new()).embedded("of:acme,ticker").main()
}
