//! `uioctl softirqs`: how often each kind of bottom half ran, and where.

use serde::Serialize;

use crate::cli::{Cli, SoftirqArgs};
use crate::failure::Failure;
use crate::out::Out;
use crate::proc::softirqs::{Softirqs, about};
use crate::source::Source;
use crate::table::{Align, Cell, Paint, Table};

use super::{CPU_COLUMNS, CpuColumns, check_rows};

/// What the last column wants to have of a terminal's width.
const ABOUT_WIDTH: usize = 31;

pub(crate) fn run(args: &SoftirqArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let source = Source::read("softirqs", &args.input, cli)?;
    let all = Softirqs::parse(&source.text);
    check_rows(all.rows.len(), all.skipped, "softirqs", &source)?;
    if cli.json {
        return Ok(out.json(&SoftirqsJson::new(&source.name, &all))?);
    }
    let each = table(&all, CpuColumns::Each);
    let fits = match out.screen() {
        Some((width, _)) => each.fixed_width() + ABOUT_WIDTH <= width,
        None => all.cpus.len() <= CPU_COLUMNS,
    };
    let table = if args.per_cpu || fits { each } else { table(&all, CpuColumns::Busiest) };
    Ok(out.table(&table)?)
}

fn table(all: &Softirqs, columns: CpuColumns) -> Table {
    let mut titles = vec![("SOFTIRQ".into(), Align::Left)];
    titles.extend(columns.titles(&all.cpus));
    titles.push(("TOTAL".into(), Align::Right));
    titles.push(("RUNS".into(), Align::Left));
    let mut table = Table::new(titles);
    for (name, counts) in &all.rows {
        let mut cells = vec![Cell::from(name)];
        cells.extend(columns.cells(counts, &all.cpus));
        cells.push(counts.total().to_string().into());
        cells.push(Cell::painted(about(name), Paint::Dim));
        table.row(cells);
    }
    table
}

#[derive(Debug, Serialize)]
struct SoftirqsJson<'a> {
    file: &'a str,
    cpus: &'a [u32],
    softirqs: Vec<SoftirqJson<'a>>,
}

#[derive(Debug, Serialize)]
struct SoftirqJson<'a> {
    name: &'a str,
    /// One for each of `cpus`.
    counts: &'a [u64],
    total: u64,
}

impl<'a> SoftirqsJson<'a> {
    fn new(file: &'a str, all: &'a Softirqs) -> Self {
        let softirqs = all
            .rows
            .iter()
            .map(|(name, counts)| SoftirqJson { name, counts: &counts.0, total: counts.total() })
            .collect();
        Self { file, cpus: &all.cpus, softirqs }
    }
}
