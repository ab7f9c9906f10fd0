//! `uioctl irq`: the interrupts, with the affinity that `/proc/irq` tells of each.
//!
//! [`run`] shows the table once; with `--watch` it is `watch`'s.

use std::fs;
use std::path::Path;

use serde::Serialize;
use uio_core::{Errno, Error};

use crate::cli::{Cli, IrqArgs};
use crate::failure::Failure;
use crate::out::Out;
use crate::proc::interrupts::{Interrupts, Irq, Trigger};
use crate::source::Source;
use crate::table::{Align, Cell, Paint, Table};

use super::{CPU_COLUMNS, CpuColumns, check_rows, watch};

/// What the last column, the handlers, wants to have of a terminal's width.
const HANDLERS_WIDTH: usize = 16;

pub(crate) fn run(args: &IrqArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    if args.watch.is_some() {
        return watch::run(args, cli, out);
    }
    let sample = Sample::take(args, args.query.as_deref(), cli)?;
    if cli.json {
        return Ok(out.json(&sample.json(None))?);
    }
    Ok(out.table(&sample.table(args.per_cpu, out))?)
}

/// The interrupts at one moment, as far as they are asked for.
#[derive(Debug)]
pub(super) struct Sample {
    file: String,
    pub(super) cpus: Vec<u32>,
    pub(super) lines: Vec<Line>,
}

/// An interrupt and where it may go.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) irq: Irq,
    affinity: Affinity,
}

#[derive(Debug, Default)]
struct Affinity {
    /// The CPUs that it may go to.
    allowed: Option<String>,
    /// Those that it does go to.
    effective: Option<String>,
}

impl Sample {
    pub(super) fn take(args: &IrqArgs, query: Option<&str>, cli: &Cli) -> Result<Self, Failure> {
        let source = Source::read("interrupts", &args.input, cli)?;
        let all = Interrupts::parse(&source.text);
        check_rows(all.rows.len(), all.skipped, "interrupts", &source)?;
        let affinity_of = |irq: &Irq| match irq.number() {
            Some(number) if source.is_here => Affinity::read(&cli.proc, number),
            _ => Affinity::default(),
        };
        let lines: Vec<_> = all
            .rows
            .into_iter()
            .filter(|irq| query.is_none_or(|query| irq.answers_to(query)))
            .map(|irq| Line { affinity: affinity_of(&irq), irq })
            .collect();
        if let (true, Some(query)) = (lines.is_empty(), query) {
            let act = format!("cannot find {query} in");
            let error = Error::new(Errno::ENOENT, act, source.name)
                .with_cause("no interrupt has this number or name, chip or handler");
            return Err(error.into());
        }
        Ok(Self { file: source.name, cpus: all.cpus, lines })
    }

    fn table(&self, per_cpu: bool, out: &Out) -> Table {
        let each = self.table_with(CpuColumns::Each);
        let fits = match out.screen() {
            Some((width, _)) => each.fixed_width() + HANDLERS_WIDTH <= width,
            None => self.cpus.len() <= CPU_COLUMNS,
        };
        if per_cpu || fits { each } else { self.table_with(CpuColumns::Busiest) }
    }

    fn table_with(&self, columns: CpuColumns) -> Table {
        let mut titles = vec![("IRQ".into(), Align::Right)];
        titles.extend(columns.titles(&self.cpus));
        titles.push(("TOTAL".into(), Align::Right));
        titles.extend(LINE_TITLES.map(|(title, align)| (title.to_owned(), align)));
        let mut table = Table::new(titles);
        for line in &self.lines {
            let total = line.irq.counts.total();
            let mut cells = vec![Cell::from(&line.irq.name)];
            cells.extend(columns.cells(&line.irq.counts, &self.cpus));
            cells.push(Cell::painted(
                total.to_string(),
                if total == 0 { Paint::Dim } else { Paint::Plain },
            ));
            cells.extend(line.cells());
            table.row(cells);
        }
        table
    }

    pub(super) fn json<'a>(&'a self, rates: Option<&'a watch::Rates>) -> InterruptsJson<'a> {
        InterruptsJson {
            file: &self.file,
            cpus: &self.cpus,
            interval_s: rates.map(|rates| rates.interval.as_secs_f64()),
            interrupts: match rates {
                Some(rates) => rates
                    .order
                    .iter()
                    .map(|&(index, rate)| self.lines[index].json(Some(rate)))
                    .collect(),
                None => self.lines.iter().map(|line| line.json(None)).collect(),
            },
        }
    }
}

/// The columns of what does not change from one moment to the next.
const LINE_TITLES: [(&str, Align); 6] = [
    ("CHIP", Align::Left),
    ("HWIRQ", Align::Right),
    ("TRIGGER", Align::Left),
    ("AFFINITY", Align::Left),
    ("EFFECTIVE", Align::Left),
    ("HANDLERS", Align::Left),
];

impl Line {
    /// The cells of [`LINE_TITLES`].
    fn cells(&self) -> Vec<Cell> {
        let irq = &self.irq;
        let trigger = match (irq.trigger, &irq.flow) {
            (Some(trigger), _) => trigger.name(),
            (None, Some(flow)) => flow,
            (None, None) => "",
        };
        vec![
            Cell::from(&irq.chip),
            irq.hwirq.map(|hwirq| hwirq.to_string()).unwrap_or_default().into(),
            trigger.into(),
            self.affinity().into(),
            self.affinity.effective.as_deref().unwrap_or_default().into(),
            self.who(),
        ]
    }

    /// The CPUs that it may go to, or nothing if that is not known.
    pub(super) fn affinity(&self) -> &str {
        self.affinity.allowed.as_deref().unwrap_or_default()
    }

    /// The names of its handlers, or what the row says about itself.
    pub(super) fn who(&self) -> Cell {
        match self.irq.description.is_empty() {
            true => Cell::from(self.irq.handlers.join(", ")),
            false => Cell::painted(&self.irq.description, Paint::Dim),
        }
    }

    fn json(&self, rate: Option<f64>) -> LineJson<'_> {
        let irq = &self.irq;
        LineJson {
            name: &irq.name,
            irq: irq.number(),
            counts: &irq.counts.0,
            total: irq.counts.total(),
            rate,
            chip: Some(&*irq.chip).filter(|chip| !chip.is_empty()),
            hwirq: irq.hwirq,
            trigger: irq.trigger,
            flow: irq.flow.as_deref(),
            handlers: &irq.handlers,
            affinity: self.affinity.allowed.as_deref(),
            effective_affinity: self.affinity.effective.as_deref(),
            description: Some(&*irq.description).filter(|text| !text.is_empty()),
        }
    }
}

impl Affinity {
    /// Of `/proc/irq/<number>` (`kernel/irq/proc.c`); a kernel for one CPU has none.
    fn read(proc: &Path, number: u32) -> Self {
        let dir = proc.join("irq").join(number.to_string());
        let list = |name| {
            let text = fs::read(dir.join(name)).ok()?;
            Some(String::from_utf8_lossy(&text).trim().to_owned()).filter(|list| !list.is_empty())
        };
        Self { allowed: list("smp_affinity_list"), effective: list("effective_affinity_list") }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct InterruptsJson<'a> {
    file: &'a str,
    cpus: &'a [u32],
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_s: Option<f64>,
    interrupts: Vec<LineJson<'a>>,
}

#[derive(Debug, Serialize)]
struct LineJson<'a> {
    name: &'a str,
    irq: Option<u32>,
    /// One for each of `cpus`; fewer where the kernel does not count by CPU.
    counts: &'a [u64],
    total: u64,
    /// Events per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    chip: Option<&'a str>,
    hwirq: Option<u64>,
    trigger: Option<Trigger>,
    flow: Option<&'a str>,
    handlers: &'a [String],
    affinity: Option<&'a str>,
    effective_affinity: Option<&'a str>,
    description: Option<&'a str>,
}
