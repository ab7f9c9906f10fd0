//! `uiod` with the drivers of this repository. All else is in the library of the same name.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use uio_core::device::sim::Models;
use uio_core::driver::Registry;

fn main() -> ExitCode {
    let drivers = Registry::new()
        .with::<edu::Edu>()
        .with::<ns16550::Ns16550>()
        .with::<pl031::Pl031>()
        .with::<pl061::Pl061>()
        .with::<uio_dummy::UioDummy>()
        .with::<zynqmp_dma::ZynqmpDma>();
    let models = Models::new()
        .with("edu", edu_model::Edu::new)
        .with("ns16550", ns16550_model::Ns16550::looped)
        .with("pl031", pl031_model::Pl031::new)
        .with("pl061", pl061_model::Pl061::looped)
        .with("uio_dummy", uio_dummy_model::UioDummy::new)
        .with("zynqmp-dma", zynqmp_dma_model::ZynqmpDma::new);
    uiod::Program::new(drivers, models).embedded("sim:uio_dummy").main()
}
