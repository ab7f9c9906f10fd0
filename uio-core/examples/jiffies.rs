//! Jiffies: points and spans of the coarse clock, compared across the wrap: `cargo run -p uio-core --example jiffies`

use std::time::Duration;

use uio_core::time::{
    HZ, Jiffies, jiffies_to_msecs, jiffies_to_usecs, msecs_to_jiffies, now_jiffies,
    nsecs_to_jiffies, usecs_to_jiffies,
};

#[path = "support/mod.rs"]
mod support;
use support::{Print, terminal};

fn main() {
    run(&terminal());
}

/// What the module's init does.
pub(crate) fn run(pr_info: &Print) {
    pr_info(&format!("HZ is {HZ}, a jiffy is {} us", jiffies_to_usecs(Jiffies::new(1))));

    pr_info(&format!("msecs_to_jiffies(200) = {}", msecs_to_jiffies(200)));
    pr_info(&format!("usecs_to_jiffies(1) = {}: rounded up", usecs_to_jiffies(1)));
    pr_info(&format!("nsecs_to_jiffies(999999) = {}: rounded down", nsecs_to_jiffies(999_999)));
    pr_info(&format!("jiffies_to_msecs(2 * HZ) = {}", jiffies_to_msecs(Jiffies::new(2 * HZ))));
    pr_info(&format!(
        "a Duration of 1.5 ms = {} jiffies",
        Jiffies::from(Duration::from_micros(1500))
    ));

    // How a driver polls a register with a deadline.
    let timeout = now_jiffies() + msecs_to_jiffies(20);
    while now_jiffies().is_before(timeout) {
        std::thread::sleep(Duration::from_millis(1));
    }
    pr_info("time_before: no more, the 20 ms are over");

    // The count wraps, and `<` would be wrong there: it does not compile.
    let before = Jiffies::new(u64::MAX - 1);
    let after = before + Jiffies::new(10);
    pr_info(&format!("before the wrap {before}, after it {after}"));
    pr_info(&format!("time_after(after, before) = {}", after.is_after(before)));
    pr_info(&format!("time_before(after, before) = {}", after.is_before(before)));
    pr_info(&format!("the span between them is {}", after - before));
}
