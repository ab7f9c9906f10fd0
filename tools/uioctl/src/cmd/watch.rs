//! `uioctl irq --watch`: how often each interrupt fires, the busiest first, round after round.
//!
//! [`Rates`] compares two samples. A terminal shows one screen that is drawn over; anything else gets one
//! table after the other without escape codes, or one line of JSON each.

use std::collections::HashMap;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use uio_core::Error;

use crate::cli::{Cli, IrqArgs};
use crate::failure::Failure;
use crate::out::Out;
use crate::proc::interrupts::Irq;
use crate::size::human_rate;
use crate::table::{Align, Cell, Paint, Table};

use super::busiest;
use super::irq::{Line, Sample};

/// The kernel counts the events of a line on a CPU in 32 bits (`kstat_irqs`), which wrap.
const WRAP: u64 = 1 << 32;

pub(super) fn run(args: &IrqArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let (interval, query) = parse_watch(args).map_err(Failure::Usage)?;
    if args.input.file.as_deref().is_some_and(|path| path.as_os_str() == "-") {
        let error = Error::invalid("cannot watch", "standard input", "it can be read only once");
        return Err(Failure::Usage(error));
    }
    let mut before = Sample::take(args, query, cli)?;
    let mut taken = Instant::now();
    if out.is_terminal() && !cli.json {
        write!(out, "\x1b[H\x1b[J")?;
        writeln!(out, "counting for {} s ...", interval.as_secs_f64())?;
        out.flush()?;
    }
    let mut due = taken;
    let mut round = 0;
    while args.count.is_none_or(|count| round < count) {
        due = (due + interval).max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let now = Sample::take(args, query, cli)?;
        let moment = Instant::now();
        let rates = Rates::between(&before, &now, moment - taken);
        if cli.json {
            out.json(&now.json(Some(&rates)))?;
        } else {
            show(&now, &rates, round == 0, out)?;
        }
        out.flush()?;
        (before, taken) = (now, moment);
        round += 1;
    }
    Ok(())
}

/// The interval and the query. `--watch uio` means the query, since an interval is a number.
fn parse_watch(args: &IrqArgs) -> Result<(Duration, Option<&str>), Error> {
    let text = args.watch.as_deref().unwrap_or("1");
    let seconds: f64 = match (text.parse(), &args.query) {
        (Ok(seconds), _) => seconds,
        (Err(_), None) => return Ok((Duration::from_secs(1), Some(text))),
        (Err(_), Some(_)) => {
            return Err(Error::invalid("cannot watch every", text, "it is no number of seconds"));
        }
    };
    if !(0.01..=86_400.0).contains(&seconds) {
        return Err(Error::invalid(
            "cannot watch every",
            text,
            "an interval is 0.01 to 86400 seconds",
        )
        .with_hint("write an interrupt's number behind it: --watch=1 24"));
    }
    Ok((Duration::from_secs_f64(seconds), args.query.as_deref()))
}

/// Events per second of each line, the busiest first.
#[derive(Debug)]
pub(super) struct Rates {
    pub(super) interval: Duration,
    /// Indexes into the lines of the later sample, with their rates.
    pub(super) order: Vec<(usize, f64)>,
    /// Events since the earlier sample by line and CPU, in the order of the later sample.
    deltas: Vec<Vec<u64>>,
}

impl Rates {
    fn between(before: &Sample, now: &Sample, interval: Duration) -> Self {
        let earlier: HashMap<&str, &Irq> =
            before.lines.iter().map(|line| (line.irq.name.as_str(), &line.irq)).collect();
        let deltas_of = |line: &Line| {
            let earlier = earlier.get(line.irq.name.as_str()).copied();
            deltas(earlier, &before.cpus, &line.irq, &now.cpus)
        };
        let deltas: Vec<Vec<u64>> = now.lines.iter().map(deltas_of).collect();
        let seconds = interval.as_secs_f64().max(1e-9);
        let rate = |deltas: &[u64]| deltas.iter().map(|&delta| delta as f64).sum::<f64>() / seconds;
        let mut order: Vec<_> = deltas.iter().map(|deltas| rate(deltas)).enumerate().collect();
        // Stable, so that idle lines keep the order of the kernel's table.
        order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        Self { interval, order, deltas }
    }

    fn total(&self) -> f64 {
        self.order.iter().map(|(_, rate)| rate).sum()
    }
}

/// Events of a line since the earlier sample, for each of its columns now. A line or a CPU that came since
/// counts from zero.
fn deltas(earlier: Option<&Irq>, earlier_cpus: &[u32], irq: &Irq, cpus: &[u32]) -> Vec<u64> {
    let before = |column: usize| {
        // CPUs come and go: a column is found again by its CPU.
        let cpu = cpus.get(column);
        let column = match cpus == earlier_cpus {
            true => column,
            false => earlier_cpus.iter().position(|earlier| Some(earlier) == cpu)?,
        };
        earlier?.counts.0.get(column).copied()
    };
    let counts = irq.counts.0.iter().enumerate();
    counts.map(|(column, &count)| delta(before(column).unwrap_or(0), count)).collect()
}

/// A count that went down has wrapped if it was near the top; else the line was freed and requested anew.
fn delta(before: u64, now: u64) -> u64 {
    match now.checked_sub(before) {
        Some(delta) => delta,
        None if (WRAP / 2..WRAP).contains(&before) && now < WRAP / 2 => now + WRAP - before,
        None => now,
    }
}

fn show(now: &Sample, rates: &Rates, is_first: bool, out: &mut Out) -> io::Result<()> {
    let table = table(now, rates);
    let title = format!(
        "{} events/s over {:.1} s",
        human_rate(rates.total()),
        rates.interval.as_secs_f64()
    );
    let Some((width, height)) = out.screen() else {
        if !is_first {
            writeln!(out)?;
        }
        writeln!(out, "{title}")?;
        return out.table(&table);
    };
    // Draws over the last screen, line by line: clearing it first would flicker.
    write!(out, "\x1b[H{title}; Ctrl-C ends\x1b[K")?;
    for line in table.render(out.colors(), Some(width)).iter().take(height.saturating_sub(2)) {
        write!(out, "\n{line}\x1b[K")?;
    }
    writeln!(out, "\x1b[J")
}

/// What moves, and whose it is: a terminal of 80 columns has room for no more.
fn table(now: &Sample, rates: &Rates) -> Table {
    let mut table = Table::new([
        ("IRQ", Align::Right),
        ("PER SECOND", Align::Right),
        ("BUSIEST", Align::Left),
        ("TOTAL", Align::Right),
        ("AFFINITY", Align::Left),
        ("HANDLERS", Align::Left),
    ]);
    for &(index, rate) in &rates.order {
        let line = &now.lines[index];
        table.row(vec![
            Cell::from(&line.irq.name),
            Cell::painted(human_rate(rate), if rate > 0.0 { Paint::Bold } else { Paint::Dim }),
            busy(&now.cpus, &rates.deltas[index]).into(),
            line.irq.counts.total().to_string().into(),
            line.affinity().into(),
            line.who(),
        ]);
    }
    table
}

/// The CPU that took most of the events; empty where there were none or no CPU counts.
fn busy(cpus: &[u32], deltas: &[u64]) -> String {
    let most = deltas.iter().copied().max().filter(|&most| most > 0 && deltas.len() == cpus.len());
    let column = most.and_then(|most| deltas.iter().position(|&delta| delta == most));
    match (column, most) {
        (Some(column), Some(most)) => {
            let total = deltas.iter().fold(0u64, |sum, &delta| sum.saturating_add(delta));
            busiest(cpus[column], most, total)
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_goes_down_wrapped_or_began_anew() {
        assert_eq!(delta(5, 7), 2);
        assert_eq!(delta(WRAP - 1, 3), 4);
        assert_eq!(delta(1000, 3), 3);
        assert_eq!(delta(u64::MAX, 3), 3);
    }
}
