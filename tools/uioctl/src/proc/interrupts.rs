//! `/proc/interrupts`: the counts of every interrupt, and who takes it.
//!
//! [`Interrupts`] is the table, [`Irq`] a row of it. The format is that of `show_interrupts` in
//! `kernel/irq/proc.c`, with three dialects: `IO-APIC   4-edge      ttyS0` where the flow handler has a name
//! (x86), `GICv3  27 Level     arch_timer` where the kernel shows the trigger (arm64 and others), and rows of
//! the architecture's own with words in place of all that (`NMI:`, `IPI0:`, `ERR:`). A chip may have blanks
//! in its name (`BRCM STB PCIe MSI`): the number of the line in the chip tells where it ends.

use serde::Serialize;

use super::percpu::{self, Counts, next_word, parse_digits};

/// A chip's name has no more words than this.
const MAX_CHIP_WORDS: usize = 6;

/// What makes a line fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trigger {
    Edge,
    Level,
}

impl Trigger {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Level => "level",
        }
    }

    /// Of the flow handler's name. `fasteoi` is what level-triggered lines of an APIC have.
    fn of_flow(flow: &str) -> Option<Self> {
        match flow {
            "edge" => Some(Self::Edge),
            "level" | "fasteoi" => Some(Self::Level),
            _ => None,
        }
    }
}

/// One interrupt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Irq {
    /// As the row says: `24`, or `NMI`.
    pub(crate) name: String,
    pub(crate) counts: Counts,
    /// The interrupt controller.
    pub(crate) chip: String,
    /// The line's number in the controller.
    pub(crate) hwirq: Option<u64>,
    pub(crate) trigger: Option<Trigger>,
    /// The flow handler's name where it says something else than the trigger.
    pub(crate) flow: Option<String>,
    /// The names that the handlers were requested with.
    pub(crate) handlers: Vec<String>,
    /// What a row of the architecture's own says about itself.
    pub(crate) description: String,
}

impl Irq {
    /// The number, if it is an interrupt that a driver can request.
    pub(crate) fn number(&self) -> Option<u32> {
        parse_digits(&self.name)?.try_into().ok()
    }

    /// Whether the user means this one: by number or name, or by a part of chip, handler or description.
    pub(crate) fn answers_to(&self, query: &str) -> bool {
        if parse_digits(query).is_some() {
            return self.name == query;
        }
        let query = query.to_lowercase();
        let texts = [&self.name, &self.chip, &self.description];
        texts.into_iter().chain(&self.handlers).any(|text| text.to_lowercase().contains(&query))
    }
}

/// The whole table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupts {
    /// The CPUs of the columns.
    pub(crate) cpus: Vec<u32>,
    pub(crate) rows: Vec<Irq>,
    /// Lines that are no rows.
    pub(crate) skipped: usize,
}

impl Interrupts {
    pub(crate) fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if let (true, Some(cpus)) = (all.cpus.is_empty(), percpu::header(line)) {
                all.cpus = cpus;
                continue;
            }
            // Without a header all numbers count: no chip is called by a number.
            let columns = if all.cpus.is_empty() { usize::MAX } else { all.cpus.len() };
            match percpu::row(line, columns) {
                Some(row) => all.rows.push(parse_irq(row)),
                None => all.skipped += 1,
            }
        }
        all
    }
}

fn parse_irq(row: percpu::Row<'_>) -> Irq {
    let irq = Irq { name: row.name.to_owned(), counts: row.counts, ..Irq::default() };
    if parse_digits(row.name).is_none() {
        return Irq { description: row.rest.trim().to_owned(), ..irq };
    }
    let (chip, rest) = next_word(row.rest);
    parse_line(irq, chip, rest)
}

/// The part behind the counts: chip, line, trigger, handlers.
fn parse_line(irq: Irq, chip: &str, rest: &str) -> Irq {
    let mut chip = chip.to_owned();
    let mut ahead = rest;
    for _ in 1..MAX_CHIP_WORDS {
        let (word, after) = next_word(ahead);
        if let Some((hwirq, flow)) = split_hwirq(word) {
            return parse_flow(Irq { chip, hwirq: Some(hwirq), ..irq }, flow, after);
        }
        // A chip without numbers for its lines: `xen-dyn    -event     xenbus`.
        if let Some(flow) = word.strip_prefix('-') {
            return parse_flow(Irq { chip, ..irq }, Some(flow), after);
        }
        chip.push(' ');
        chip.push_str(word);
        ahead = after;
    }
    // No line, so the chip is one word: `XT-PIC      timer`, and `IO-APIC-edge      timer` of old.
    let (chip, after) = (chip.split(' ').next().unwrap_or_default(), rest);
    match chip.rsplit_once('-') {
        Some((chip, flow)) if Trigger::of_flow(flow).is_some() => {
            parse_flow(Irq { chip: chip.to_owned(), ..irq }, Some(flow), after)
        }
        _ => parse_flow(Irq { chip: chip.to_owned(), ..irq }, None, after),
    }
}

/// `27` is a line, `4-edge` a line and its flow handler.
fn split_hwirq(word: &str) -> Option<(u64, Option<&str>)> {
    match word.split_once('-') {
        Some((digits, flow)) => Some((parse_digits(digits)?, Some(flow))),
        None => Some((parse_digits(word)?, None)),
    }
}

/// `Level`, `Level   -flow`, or nothing; then the handlers.
fn parse_flow(mut irq: Irq, flow: Option<&str>, rest: &str) -> Irq {
    let mut flow = flow;
    let mut rest = rest;
    let (word, after) = next_word(rest);
    irq.trigger = match word {
        "Level" => Some(Trigger::Level),
        "Edge" => Some(Trigger::Edge),
        _ => None,
    };
    if irq.trigger.is_some() {
        rest = after;
        let (word, after) = next_word(rest);
        if let Some(name) = word.strip_prefix('-') {
            (flow, rest) = (Some(name), after);
        }
    }
    irq.trigger = irq.trigger.or_else(|| Trigger::of_flow(flow?));
    irq.flow = flow.filter(|&flow| irq.trigger.map(Trigger::name) != Some(flow)).map(str::to_owned);
    let names = rest.split(", ").map(str::trim).filter(|name| !name.is_empty());
    irq.handlers = names.map(str::to_owned).collect();
    irq
}

#[cfg(test)]
#[path = "interrupts_tests.rs"]
mod tests;
