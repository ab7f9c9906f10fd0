//! `uioctl doctor`: what stands in the way of a device, and what mends it.
//!
//! Faults and warnings have their own lines for what is wrong and for the mend; the rest is a line each. The exit code
//! says whether the device is ready: 0 if there is no fault.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::{Cli, DoctorArgs};
use crate::doctor::{Finding, Machine, Severity, Target, checks};
use crate::failure::Failure;
use crate::out::Out;
use crate::table::{Align, Cell, Paint, Table, printable};

pub(crate) fn run(args: &DoctorArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let machine = Machine::of(cli);
    let target = Target::find(args.device.as_deref(), &machine)?;
    let findings = checks::all(&machine, &target);
    let is_ready = !findings.iter().any(Finding::is_fault);
    let subject = subject(&target);
    if cli.json {
        out.json(&Answer { device: args.device.as_deref(), ready: is_ready, findings: &findings })?;
    } else {
        show(&findings, &machine, out)?;
        writeln!(out, "\n{}", verdict(&subject, &findings, out.colors()))?;
    }
    match is_ready {
        true => Ok(()),
        false => {
            // The findings are the complaint.
            out.flush()?;
            Err(Failure::Reported)
        }
    }
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    device: Option<&'a str>,
    ready: bool,
    findings: &'a [Finding],
}

fn subject(target: &Target) -> String {
    match target {
        Target::Machine => "this machine".to_owned(),
        Target::Sim(model) => format!("sim:{model}"),
        Target::Uio(uio) => format!("uio{} ({})", uio.number, uio.name),
        Target::NoNode(selector) => format!("of:{selector}"),
        Target::Block(block) => match &block.info {
            Some(info) if info.name != block.title => format!("{} ({})", block.title, info.name),
            _ => block.title.clone(),
        },
        Target::Pci(function) => {
            let info = &function.info;
            format!("{} ({:04x}:{:04x})", info.bdf, info.vendor, info.device)
        }
    }
}

/// `0000:00:03.0 (1234:11e8) is not ready: 2 faults, 1 warning`.
fn verdict(subject: &str, findings: &[Finding], color: bool) -> String {
    let count = |severity| findings.iter().filter(|found| found.severity == severity).count();
    let numbered = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    };
    let faults = count(Severity::Fault);
    let parts = [numbered(faults, "fault"), numbered(count(Severity::Warning), "warning")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let (word, paint) =
        if faults == 0 { ("ready", Paint::Good) } else { ("not ready", Paint::Bad) };
    let tail = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{} is {}{tail}", printable(subject), paint.apply(word, color))
}

fn show(findings: &[Finding], machine: &Machine, out: &mut Out) -> io::Result<()> {
    let mut table =
        Table::new([("", Align::Left), ("CHECK", Align::Left), ("LOOKED AT", Align::Left)]);
    for found in findings {
        let (word, paint) = mark(found.severity);
        let looked_at = format!("{}: {}", found.looked_at, found.found);
        table.row(vec![Cell::painted(word, paint), found.check.into(), looked_at.into()]);
    }
    let (color, indent) = (out.colors(), " ".repeat(table.fixed_width()));
    let mut lines = table.render(color, None).into_iter();
    if let Some(line) = lines.next() {
        writeln!(out, "{line}")?;
    }
    for (line, found) in lines.zip(findings) {
        writeln!(out, "{line}")?;
        for (word, text) in explanation(found, machine.user.is_root()) {
            writeln!(out, "{indent}{}{}", Paint::Bold.apply(word, color), printable(&text))?;
        }
    }
    Ok(())
}

fn mark(severity: Severity) -> (&'static str, Paint) {
    match severity {
        Severity::Ok => ("ok", Paint::Good),
        Severity::Note => ("note", Paint::Plain),
        Severity::Warning => ("warning", Paint::Warn),
        Severity::Fault => ("FAULT", Paint::Bad),
    }
}

/// What is wrong, and what mends it: a line each, with the word before it.
fn explanation(found: &Finding, is_root: bool) -> Vec<(&'static str, String)> {
    let command = match found.as_root && !is_root {
        true => "mend, as root: ",
        false => "mend: ",
    };
    let advice = if found.command.is_some() { "and: " } else { "mend: " };
    let lines = [("", &found.problem), (command, &found.command), (advice, &found.advice)];
    lines.into_iter().filter_map(|(word, text)| Some((word, text.clone()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_counts_what_is_wrong() {
        let ok = Finding::ok("a", "/b", "c");
        let all =
            [ok.clone(), ok.clone().fault("x"), ok.clone().fault("y"), ok.clone().warning("z")];
        assert_eq!(verdict("it", &all, false), "it is not ready: 2 faults, 1 warning");
        assert_eq!(verdict("it", &all[..1], false), "it is ready");
        assert_eq!(verdict("it", &all[3..], false), "it is ready: 1 warning");
    }

    #[test]
    fn a_mend_says_who_can_run_it() {
        let found =
            Finding::ok("a", "/b", "c").fault("it is off").root_command("on").advice("later");
        let lines = |is_root| {
            explanation(&found, is_root)
                .into_iter()
                .map(|(word, text)| format!("{word}{text}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(false), ["it is off", "mend, as root: on", "and: later"]);
        assert_eq!(lines(true)[1], "mend: on");
        assert_eq!(explanation(&Finding::ok("a", "/b", "c"), true), []);
    }
}
