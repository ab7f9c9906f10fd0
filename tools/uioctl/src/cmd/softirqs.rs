//! `uioctl softirqs`: how often each kind of bottom half ran, and where: the kernel's, and beside them those of
//! the running daemons, a section for each dispatcher.
//!
//! A text of `--file` is of another machine: it is shown alone.

use std::io::{self, Write};
use std::path::Path;

use nix::unistd::geteuid;
use serde::Serialize;

use crate::cli::{Cli, SoftirqArgs};
use crate::control::{KsoftirqdStatus, SoftirqStatus, VectorStatus};
use crate::failure::Failure;
use crate::out::Out;
use crate::proc::percpu::Counts;
use crate::proc::softirqs::{Softirqs, about};
use crate::size::{human_ns, human_span};
use crate::source::Source;
use crate::table::{Align, Cell, Paint, Table, printable};

use super::daemons::{Answer, Daemons};
use super::{CPU_COLUMNS, CpuColumns, check_rows};

/// What the last column wants to have of a terminal's width.
const ABOUT_WIDTH: usize = 31;

/// How far a section's tables stand to the right of its title.
const INDENT: usize = 2;

pub(crate) fn run(args: &SoftirqArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let source = Source::read("softirqs", &args.input, cli)?;
    let kernel = Softirqs::parse(&source.text);
    check_rows(kernel.rows.len(), kernel.skipped, "softirqs", &source)?;
    if !source.is_here {
        return match cli.json {
            true => Ok(out.json(&SoftirqsJson::new(&source.name, &kernel, None))?),
            false => Ok(out.table(&kernel_table(&kernel, args, 0, out))?),
        };
    }
    let run_dir = args.daemons.run_dir();
    // Whatever became of the daemons, what the kernel says is shown.
    let daemons = Daemons::ask(&run_dir).unwrap_or_else(Daemons::unreachable);
    if cli.json {
        out.json(&SoftirqsJson::new(&source.name, &kernel, Some(&daemons)))?;
    } else {
        show_title("kernel", &format!(", {}", source.name), out)?;
        out.table(&kernel_table(&kernel, args, INDENT, out))?;
        show_daemons(&daemons, &run_dir, out)?;
    }
    daemons.finish(out)
}

fn show_title(who: &str, what: &str, out: &mut Out) -> io::Result<()> {
    let who = Paint::Bold.apply(who, out.colors());
    writeln!(out, "{who}{}\n", printable(what))
}

fn kernel_table(all: &Softirqs, args: &SoftirqArgs, indent: usize, out: &Out) -> Table {
    let each = table(all, CpuColumns::Each).indented(indent);
    let fits = match out.screen() {
        Some((width, _)) => each.fixed_width() + ABOUT_WIDTH <= width,
        None => all.cpus.len() <= CPU_COLUMNS,
    };
    if args.per_cpu || fits { each } else { table(all, CpuColumns::Busiest).indented(indent) }
}

fn table(all: &Softirqs, columns: CpuColumns) -> Table {
    let mut titles = vec![("SOFTIRQ".into(), Align::Left)];
    titles.extend(columns.titles(&all.cpus));
    titles.push(("TOTAL".into(), Align::Right));
    titles.push(("WHAT RUNS".into(), Align::Left));
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

fn show_daemons(daemons: &Daemons, run_dir: &Path, out: &mut Out) -> io::Result<()> {
    if daemons.is_nobody() {
        let whose = if geteuid().is_root() { "" } else { " that answers you" };
        let note = format!("no uiod{whose} is running in {}", run_dir.display());
        return writeln!(out, "\n{}", Paint::Dim.apply(&printable(&note), out.colors()));
    }
    for Answer { pid, status, .. } in daemons.told() {
        let (who, up) = (format!("uiod {pid}"), human_span(status.uptime_ms));
        for softirqs in &status.softirqs {
            writeln!(out)?;
            show_title(&who, &format!(", dispatcher {}, up {up}", softirqs.dispatcher), out)?;
            show_dispatcher(softirqs, out)?;
        }
        if status.softirqs.is_empty() {
            writeln!(out)?;
            show_title(&who, &format!(", up {up}"), out)?;
            writeln!(out, "  it tells nothing of its softirqs; it may be of an older version")?;
        }
    }
    Ok(())
}

fn show_dispatcher(softirqs: &SoftirqStatus, out: &mut Out) -> io::Result<()> {
    out.table(&vector_table(&softirqs.vectors).indented(INDENT))?;
    let (text, paint) = ksoftirqd_line(softirqs.dispatcher, &softirqs.ksoftirqd);
    writeln!(out, "\n  {}", paint.apply(&text, out.colors()))?;
    if softirqs.squeezed > 0 {
        let text = format!("polling stopped {} with work left", times(softirqs.squeezed));
        writeln!(out, "  {}", Paint::Warn.apply(&text, out.colors()))?;
    }
    Ok(())
}

fn vector_table(vectors: &[VectorStatus]) -> Table {
    let mut table = Table::new([
        ("SOFTIRQ", Align::Left),
        ("RUNS", Align::Right),
        ("TIME", Align::Right),
        ("MEAN TIME", Align::Right),
        ("WHAT RUNS", Align::Left),
    ]);
    for vector in vectors {
        let time = |ns: Option<u64>| ns.map_or("-".to_owned(), human_ns);
        let mean = vector.time_ns.checked_div(vector.runs);
        // What never ran is there to be compared with the kernel's, and no more.
        let paint = if vector.runs > 0 { Paint::Plain } else { Paint::Dim };
        table.row(vec![
            Cell::painted(&vector.name, paint),
            Cell::painted(vector.runs.to_string(), paint),
            Cell::painted(time(mean.map(|_| vector.time_ns)), paint),
            Cell::painted(time(mean), paint),
            what_runs(vector),
        ]);
    }
    table
}

fn what_runs(vector: &VectorStatus) -> Cell {
    let about = about_ours(&vector.name);
    match (vector.broken, vector.pending) {
        (true, _) => Cell::painted(format!("{about}: panicked, not run again"), Paint::Bad),
        (_, true) => Cell::painted(format!("{about}: pending"), Paint::Warn),
        _ => Cell::painted(about, Paint::Dim),
    }
}

/// What a vector of a daemon does. The names are the kernel's, the users are fewer.
fn about_ours(name: &str) -> &'static str {
    match name {
        "HI" => "tasklets of high priority",
        "TIMER" => "timers of the wheel",
        "NET_RX" => "adaptive polling",
        "TASKLET" => "tasklets",
        "HRTIMER" => "high-resolution timers",
        _ => "free for drivers",
    }
}

fn ksoftirqd_line(number: u64, ksoftirqd: &KsoftirqdStatus) -> (String, Paint) {
    let KsoftirqdStatus { active, taken_over, turns } = *ksoftirqd;
    if taken_over == 0 {
        return (format!("ksoftirqd/{number} was never needed"), Paint::Dim);
    }
    let ran =
        format!("ksoftirqd/{number} took over {} and ran {}", times(taken_over), times(turns));
    match active {
        true => (format!("{ran}; it has them now"), Paint::Warn),
        false => (ran, Paint::Plain),
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

#[derive(Debug, Serialize)]
struct SoftirqsJson<'a> {
    file: &'a str,
    cpus: &'a [u32],
    softirqs: Vec<SoftirqJson<'a>>,
    /// Not there where the file is of another machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    daemons: Option<Vec<DaemonJson<'a>>>,
}

#[derive(Debug, Serialize)]
struct SoftirqJson<'a> {
    name: &'a str,
    /// One for each of `cpus`.
    counts: &'a [u64],
    total: u64,
}

#[derive(Debug, Serialize)]
struct DaemonJson<'a> {
    pid: u32,
    uptime_ms: u64,
    /// As `docs/control.md` has them.
    softirqs: &'a [SoftirqStatus],
}

impl<'a> SoftirqsJson<'a> {
    fn new(file: &'a str, all: &'a Softirqs, daemons: Option<&'a Daemons>) -> Self {
        let row = |(name, counts): &'a (String, _)| SoftirqJson::new(name, counts);
        let daemons = daemons.map(|daemons| daemons.told().map(DaemonJson::new).collect());
        Self { file, cpus: &all.cpus, softirqs: all.rows.iter().map(row).collect(), daemons }
    }
}

impl<'a> SoftirqJson<'a> {
    fn new(name: &'a str, counts: &'a Counts) -> Self {
        Self { name, counts: &counts.0, total: counts.total() }
    }
}

impl<'a> DaemonJson<'a> {
    fn new(answer: &'a Answer) -> Self {
        let Answer { pid, status, .. } = answer;
        Self { pid: *pid, uptime_ms: status.uptime_ms, softirqs: &status.softirqs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(name: &str, runs: u64, time_ns: u64) -> VectorStatus {
        VectorStatus { name: name.into(), runs, time_ns, ..VectorStatus::default() }
    }

    #[test]
    fn a_vector_that_never_ran_has_no_time() {
        let lines = vector_table(&[vector("TASKLET", 4, 6000), vector("RCU", 0, 0)]);
        assert_eq!(
            lines.render(false, None),
            [
                "SOFTIRQ  RUNS    TIME  MEAN TIME  WHAT RUNS",
                "TASKLET     4  6.0 us     1.5 us  tasklets",
                "RCU         0       -          -  free for drivers",
            ]
        );
    }

    #[test]
    fn what_is_wrong_with_a_vector_is_said() {
        let pending = VectorStatus { pending: true, ..vector("TIMER", 1, 1) };
        let broken = VectorStatus { broken: true, ..vector("BLOCK", 1, 1) };
        let lines = vector_table(&[pending, broken]).render(false, None);
        assert!(lines[1].ends_with("timers of the wheel: pending"), "{lines:?}");
        assert!(lines[2].ends_with("free for drivers: panicked, not run again"), "{lines:?}");
    }

    #[test]
    fn ksoftirqd_is_told_of_when_it_was_needed() {
        let line = |active, taken_over, turns| {
            ksoftirqd_line(3, &KsoftirqdStatus { active, taken_over, turns }).0
        };
        assert_eq!(line(false, 0, 0), "ksoftirqd/3 was never needed");
        assert_eq!(line(false, 1, 2), "ksoftirqd/3 took over once and ran 2 times");
        assert!(line(true, 2, 9).ends_with("; it has them now"));
    }

    #[test]
    fn what_a_daemon_calls_a_vector_does_not_reach_the_terminal_as_it_is() {
        let lines = vector_table(&[vector("\x1b[2J", u64::MAX, u64::MAX)]).render(true, None);
        assert!(!lines[1].contains("\x1b[2J"), "{lines:?}");
    }
}
