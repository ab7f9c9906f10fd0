//! The examples of interrupts and bottom halves print what the kernel modules of the texts would print.
#![expect(clippy::duplicate_mod, reason = "each example is a program of its own, with its support")]

use std::sync::{Arc, Mutex, PoisonError};

#[path = "../examples/napi.rs"]
#[expect(dead_code, reason = "its main")]
mod napi;
#[path = "../examples/shared_irq.rs"]
#[expect(dead_code, reason = "its main")]
mod shared_irq;
#[path = "../examples/softirq.rs"]
#[expect(dead_code, reason = "its main")]
mod softirq;
#[path = "../examples/tasklet.rs"]
#[expect(dead_code, reason = "its main")]
mod tasklet;
#[path = "../examples/threaded_irq.rs"]
#[expect(dead_code, reason = "its main")]
mod threaded_irq;

type Print = Arc<dyn Fn(&str) + Send + Sync>;

/// The lines that `run` prints.
fn printed(run: impl FnOnce(&Print) -> uio_core::Result<()>) -> Vec<String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&lines);
    let print: Print = Arc::new(move |line| list.lock().unwrap().push(line.to_owned()));
    run(&print).unwrap();
    std::mem::take(&mut lines.lock().unwrap_or_else(PoisonError::into_inner))
}

#[test]
fn tasklet_prints_as_the_module() {
    let mut lines = printed(tasklet::run);
    // On a busy machine the init goes on before the tasklet starts, or after it has ended.
    let goes_on = lines.iter().position(|line| line == "Example tasklet init continues...");
    assert!(goes_on.is_some_and(|at| (1..=3).contains(&at)), "{lines:?}");
    lines.remove(goes_on.unwrap_or_default());
    assert_eq!(
        lines,
        [
            "tasklet example init",
            "Example tasklet starts",
            "Example tasklet ends",
            "tasklet example exit",
        ]
    );
}

#[test]
fn threaded_irq_prints_as_the_module() {
    assert_eq!(
        printed(threaded_irq::run),
        [
            "threaded_irq example init",
            "top half: interrupt, in_hardirq 1",
            "irq/button: button pressed 1",
            "top half: interrupt, in_hardirq 1",
            "irq/button: button pressed 2",
            "top half: interrupt, in_hardirq 1",
            "irq/button: button pressed 3",
            "threaded_irq example exit",
        ]
    );
}

#[test]
fn shared_irq_prints_as_the_module() {
    assert_eq!(
        printed(shared_irq::run),
        [
            "shared_irq example init",
            "greedy: EBUSY: Device or resource busy",
            "handlers: uart, button",
            "the button is pressed",
            "uart: IRQ_NONE",
            "button: IRQ_HANDLED",
            "the uart has data, and the line is still disabled",
            "uart: IRQ_HANDLED",
            "button: IRQ_NONE",
            "button has left",
            "uart: IRQ_HANDLED",
            "shared_irq example exit",
        ]
    );
}

#[test]
fn softirq_prints_as_the_module() {
    assert_eq!(
        printed(softirq::run),
        [
            "softirq example init",
            "softirq TIMER",
            "softirq BLOCK",
            "softirq RCU: run 1",
            "softirq RCU: run 25",
            "ksoftirqd took over: yes",
            "softirq example exit",
        ]
    );
}

#[test]
fn napi_prints_as_the_module() {
    assert_eq!(
        printed(napi::run),
        [
            "napi example init",
            "interrupt: masked, polling",
            "poll: budget 64, 64 packets",
            "poll: budget 64, 64 packets",
            "poll: budget 64, 22 packets, complete",
            "interrupt: masked, polling",
            "poll: budget 64, 3 packets, complete",
            "153 packets in 4 polls",
            "napi example exit",
        ]
    );
}
