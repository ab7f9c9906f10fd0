//! A daemon with one driver. The command line, the control socket and the nodes are those of `uiod`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use uio_core::{device::sim::Models, driver::Registry};

fn main() -> ExitCode {
    let drivers = Registry::new().with::<dice::Dice>();
    let models = Models::new().with("dice", dice::model::DiceModel::new);
    uiod::Program::new(drivers, models).embedded("sim:dice").main()
}
