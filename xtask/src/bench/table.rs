//! The table for people: `docs/benchmarks.md`, and the same on the terminal.

use std::fmt::Write;

use super::machine::Machine;
use super::results::{Claim, Results, Target};
use super::statistics::Median;

const INTRODUCTION: &str = "\
# What it costs

Each facility beside its best peer, written by `cargo xtask bench --write`; a change of a figure shows in the
history of this page. Both sides of a row run in one process, in turn, 21 rounds; every other round begins with
the peer. *Ours* and *peer's* are medians over the rounds. The *ratio* is the median of the ratios within the
rounds, in brackets its interval of at least 95 % (order statistics). A target that is missed says why below its
table. Exact counts (system calls, allocations, wake-ups) are tests, not rows: `uio-core/tests/*_cost.rs` and the
scenarios `*_cost`.

`cargo xtask bench NAME` measures again; every round of it is then in `target/bench/NAME.json`. The machine should
have nothing else to do.
";

const HEAD: &str = "\
| one operation | ours | peer | peer's | ratio | target | |
| --- | ---: | --- | ---: | --- | --- | --- |
";

/// The whole page.
pub(super) fn page(all: &[Results]) -> String {
    let mut page = INTRODUCTION.to_owned();
    let usual = all.first().map(|results| &results.machine);
    if let Some(machine) = usual {
        page += &format!("\nMeasured {}.\n", place(machine));
    }
    all.iter().for_each(|results| page += &section(results, usual));
    page
}

/// One benchmark. `usual` is the machine that need not be named.
pub(super) fn section(results: &Results, usual: Option<&Machine>) -> String {
    let mut text = format!("\n## {}\n\n", results.title);
    if usual != Some(&results.machine) {
        text += &format!("Measured {}.\n\n", place(&results.machine));
    }
    text += HEAD;
    results.claims.iter().for_each(|claim| text += &row(claim));
    let notes: Vec<String> = results.claims.iter().filter_map(note).collect();
    if !notes.is_empty() {
        text += &format!("\n{}", notes.concat());
    }
    text
}

fn place(machine: &Machine) -> String {
    let Machine { commit, processor, kernel, compiler } = machine;
    format!("at commit {commit} on {processor}, Linux {kernel}, {compiler}")
}

fn row(claim: &Claim) -> String {
    let Median { value, low, high } = claim.ratio();
    let times = if matches!(claim.target, Target::TimesLess(_)) { " times less" } else { "" };
    let target = match claim.target {
        Target::AtMost(ratio) => format!("at most {ratio:.2}"),
        Target::TimesLess(times) => format!("at least {times} times less"),
        Target::Beside => String::new(),
    };
    let verdict = match claim.is_met() {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "",
    };
    format!(
        "| {} | {} | {} | {} | {value:.2}{times} ({low:.2} to {high:.2}) | {target} | {verdict} |\n",
        claim.what,
        time(claim.ours()),
        claim.peer,
        time(claim.theirs()),
    )
}

/// Why a target is missed; what a figure without one means.
fn note(claim: &Claim) -> Option<String> {
    let mut text = format!("- {}, beside {}: ", claim.what, claim.peer);
    match claim.is_met() {
        Some(true) => return None,
        Some(false) => text += "missed. ",
        None if claim.note.is_empty() => return None,
        None => {}
    }
    let why = if claim.note.is_empty() { "Nobody knows why yet." } else { &claim.note };
    // PANIC: not reached; writing to a string does not fail.
    writeln!(text, "{why}").expect("a string takes what is written");
    Some(text)
}

/// Nanoseconds in the unit that suits them.
fn time(ns: f64) -> String {
    match ns {
        _ if ns < 100.0 => format!("{ns:.1} ns"),
        _ if ns < 1e4 => format!("{ns:.0} ns"),
        _ if ns < 1e7 => format!("{:.1} us", ns / 1e3),
        _ => format!("{:.1} ms", ns / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(target: Target, note: &str) -> Claim {
        let rounds = vec![(150.0, 100.0); 11];
        let (what, peer) = ("a call".to_owned(), "another".to_owned());
        Claim { what, peer, note: note.to_owned(), target, rounds }
    }

    #[test]
    fn a_row_has_both_sides_the_ratio_and_the_verdict() {
        assert_eq!(
            row(&claim(Target::AtMost(1.15), "")),
            "| a call | 150 ns | another | 100 ns | 1.50 (1.50 to 1.50) | at most 1.15 | **missed** |\n"
        );
        assert!(row(&claim(Target::TimesLess(0.5), "")).contains("0.67 times less"));
    }

    #[test]
    fn what_is_missed_says_why_and_what_is_met_says_nothing() {
        let why = note(&claim(Target::AtMost(1.15), "It allocates.")).unwrap();
        assert_eq!(why, "- a call, beside another: missed. It allocates.\n");
        assert_eq!(note(&claim(Target::AtMost(2.0), "It allocates.")), None);
        assert!(note(&claim(Target::AtMost(1.15), "")).unwrap().contains("Nobody knows"));
        assert_eq!(note(&claim(Target::Beside, "")), None);
    }

    #[test]
    fn times_are_shown_in_the_unit_that_suits_them() {
        assert_eq!(time(1.25), "1.2 ns");
        assert_eq!(time(1234.0), "1234 ns");
        assert_eq!(time(12_345.0), "12.3 us");
        assert_eq!(time(12_345_678.0), "12.3 ms");
    }
}
