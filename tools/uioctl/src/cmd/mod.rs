//! The commands, one file each: arguments in, text or JSON out.

pub(crate) mod attribute;
pub(crate) mod bind;
mod binding;
mod daemons;
pub(crate) mod doctor;
pub(crate) mod irq;
pub(crate) mod ls;
pub(crate) mod registers;
pub(crate) mod resources;
pub(crate) mod softirqs;
pub(crate) mod status;
mod watch;

use uio_core::Error;

use crate::failure::{Failure, complain};
use crate::proc::percpu::Counts;
use crate::source::Source;
use crate::table::{Align, Cell};

/// Without a terminal to measure, as many columns of CPUs as one can still read.
const CPU_COLUMNS: usize = 8;

/// Refuses a text of another kind; says how many lines of a right one were passed over.
fn check_rows(rows: usize, skipped: usize, kind: &str, source: &Source) -> Result<(), Failure> {
    if rows == 0 {
        let error = Error::invalid(
            "cannot read",
            &source.name,
            format_args!("nothing in it looks like /proc/{kind}"),
        )
        .with_hint(format_args!("save a copy with: cat /proc/{kind} > FILE"));
        return Err(error.into());
    }
    if skipped > 0 {
        let lines = if skipped == 1 { "line" } else { "lines" };
        complain(format_args!("passed over {skipped} {lines} of {} that are no rows", source.name));
    }
    Ok(())
}

/// How the counts of many CPUs are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CpuColumns {
    /// A column each.
    Each,
    /// One column for the CPU that counts most.
    Busiest,
}

impl CpuColumns {
    /// Titles of the columns, for these CPUs.
    fn titles(self, cpus: &[u32]) -> Vec<(String, Align)> {
        match self {
            Self::Each => cpus.iter().map(|cpu| (format!("CPU{cpu}"), Align::Right)).collect(),
            Self::Busiest => vec![("BUSIEST".into(), Align::Left)],
        }
    }

    /// The cells of a row. Counts of a row that lacks some cannot be said to be of a certain CPU.
    fn cells(self, counts: &Counts, cpus: &[u32]) -> Vec<Cell> {
        let complete = counts.0.len() == cpus.len();
        match self {
            Self::Each if complete => {
                counts.0.iter().map(|count| count.to_string().into()).collect()
            }
            Self::Each => vec!["".into(); cpus.len()],
            Self::Busiest => match counts.busiest().filter(|_| complete) {
                Some((column, count)) => vec![busiest(cpus[column], count, counts.total()).into()],
                None => vec!["".into()],
            },
        }
    }
}

/// `CPU3 (87%)`.
fn busiest(cpu: u32, count: u64, total: u64) -> String {
    let percent = u128::from(count) * 100 / u128::from(total.max(1));
    format!("CPU{cpu} ({percent}%)")
}
