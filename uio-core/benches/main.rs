//! What the facilities cost, each beside its best peer: a file for each claim.
//!
//! `cargo xtask bench [NAME...]` runs this program, once for each name, and makes the table `docs/benchmarks.md`.
//! Without `--bench`, which cargo passes to benchmarks alone, and with `--quick`, it does one short round.
#![deny(unsafe_code)]

mod bottom_half;
mod dma;
mod eventfd;
mod hrtimers;
mod locks;
mod napi;
mod peers;
mod readers;
mod ring;
mod small;
mod support;
mod timers;
mod wait_queue;
mod work;

use std::env;
use std::process::ExitCode;

use support::Bench;

/// Name, what it is about, and the benchmark.
type Entry = (&'static str, &'static str, fn(Bench));

/// The benchmarks, in the order of the table.
const ALL: [Entry; 12] = [
    ("eventfd", "Interrupts: from the eventfd to the handler", eventfd::run),
    ("bottom_half", "Softirqs and tasklets", bottom_half::run),
    ("napi", "Adaptive polling", napi::run),
    ("work", "Work queues", work::run),
    ("timers", "Timers", timers::run),
    ("hrtimers", "High-resolution timers", hrtimers::run),
    ("wait_queue", "Wait queues and completions", wait_queue::run),
    ("ring", "Ring", ring::run),
    ("locks", "Locks", locks::run),
    ("readers", "RCU and sequence locks", readers::run),
    ("dma", "DMA memory", dma::run),
    ("small", "Clocks, bits, holding delivery, threads", small::run),
];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let (options, names): (Vec<_>, Vec<_>) = args.iter().partition(|arg| arg.starts_with("--"));
    let has = |option: &str| options.iter().any(|given| *given == option);
    if has("--list") {
        ALL.iter().for_each(|(name, title, _)| println!("{name}\t{title}"));
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|(known, ..)| known == *name)) {
        eprintln!("claims: there is no benchmark '{unknown}'; --list names them");
        return ExitCode::from(2);
    }
    let bench = Bench { quick: has("--quick") || !has("--bench") };
    let chosen =
        ALL.iter().filter(|(name, ..)| names.is_empty() || names.iter().any(|n| n == name));
    chosen.for_each(|(_, _, run)| run(bench));
    ExitCode::SUCCESS
}
