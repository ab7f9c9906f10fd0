//! A tasklet: the function runs soon, once, while the one that scheduled it goes on.
//!
//! `cargo run --example tasklet`

use uio_core::irq::Dispatcher;
use uio_core::softirq::{Softirqs, Tasklet};

#[path = "support/mod.rs"]
mod support;
use support::{Print, mdelay, terminal};

fn main() -> uio_core::Result<()> {
    run(&terminal())
}

/// What the module's init and exit do.
pub(crate) fn run(pr_info: &Print) -> uio_core::Result<()> {
    let dispatcher = Dispatcher::start("irq/dispatch")?;
    let softirqs = Softirqs::attach(&dispatcher);

    pr_info("tasklet example init");
    let print = pr_info.clone();
    let tasklet = Tasklet::new(&softirqs, "mytask", move || {
        print("Example tasklet starts");
        mdelay(100);
        print("Example tasklet ends");
    })?;
    tasklet.schedule();
    mdelay(20);
    pr_info("Example tasklet init continues...");

    // Waits for the run that is under way.
    tasklet.kill();
    pr_info("tasklet example exit");
    Ok(())
}
