//! `cargo xtask bench`: what the facilities cost, each claim beside its peer.
//!
//! The measuring is done by the benchmarks of `uio-core`, a program that this one runs once for each name: both
//! sides of a claim in one process, in turn, at least 11 rounds. Here is what becomes of the rounds:
//!
//! - [`statistics`]: the median of the ratios within the rounds, and its interval;
//! - [`machine`]: on what it was measured;
//! - [`results`]: the file `target/bench/NAME.json`, with every round;
//! - [`table`]: the table for people, on the terminal and in `docs/benchmarks.md`.

mod machine;
mod results;
mod statistics;
mod table;

use std::fs;

use serde_json::Value;

use self::machine::Machine;
use self::results::Results;
use crate::failure::{Context, Result, failed, usage};
use crate::paths;
use crate::process::{capture, cargo, print};

/// Where the table for people is.
const PAGE: &str = "docs/benchmarks.md";

/// What the command line asks for.
#[derive(Default)]
struct Request {
    quick: bool,
    write: bool,
    names: Vec<String>,
}

pub(crate) fn main(args: &[String]) -> Result<u8> {
    let request = parse(args)?;
    let all = titles()?;
    if let Some(unknown) =
        request.names.iter().find(|name| !all.iter().any(|(known, _)| known == *name))
    {
        let known: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        return Err(usage(format!("no benchmark '{unknown}': there are {}", known.join(", "))));
    }
    if request.quick {
        smoke(&request.names)?;
        return Ok(0);
    }
    let wanted = |name: &String| request.names.is_empty() || request.names.contains(name);
    for (name, title) in all.iter().filter(|(name, _)| wanted(name)) {
        let results = measure(name, title)?;
        results.write(name)?;
        print(&table::section(&results, None));
    }
    if request.write {
        let every: Result<Vec<Results>> = all.iter().map(|(name, _)| Results::read(name)).collect();
        let page = paths::root().join(PAGE);
        fs::write(&page, table::page(&every?)).on("write", &page)?;
        print(&format!("{PAGE} is written\n"));
    }
    Ok(0)
}

/// One short round of each: that they run, not what they cost.
pub(crate) fn smoke(names: &[String]) -> Result<()> {
    let output = run(&["--profile", "dev"], &[&["--quick".to_owned()], names].concat())?;
    let claims = lines(&output)?;
    print(&format!("{} claims, one short round each\n", claims.len()));
    Ok(())
}

fn parse(args: &[String]) -> Result<Request> {
    let mut request = Request::default();
    for arg in args {
        match arg.as_str() {
            "--quick" => request.quick = true,
            "--write" => request.write = true,
            option if option.starts_with('-') => {
                return Err(usage(format!("bench: no option '{option}'")));
            }
            _ => request.names.push(arg.clone()),
        }
    }
    if request.quick && request.write {
        return Err(usage("bench: a quick run is not written down"));
    }
    Ok(request)
}

/// The names of the benchmarks and what they are about, in the order of the table.
fn titles() -> Result<Vec<(String, String)>> {
    let list = run(&[], &["--list".to_owned()])?;
    let pair = |line: &str| line.split_once('\t').map(|(name, title)| (name.into(), title.into()));
    Ok(list.lines().filter_map(pair).collect())
}

fn measure(name: &str, title: &str) -> Result<Results> {
    let machine = Machine::this()?;
    let output = run(&[], &[name.to_owned()])?;
    Ok(Results::new(title, machine, &lines(&output)?))
}

fn run(options: &[&str], args: &[String]) -> Result<String> {
    let mut bench = cargo();
    bench.args(["bench", "--quiet", "-p", "uio-core", "--bench", "claims"]).args(options);
    capture(bench.arg("--").args(args))
}

fn lines(output: &str) -> Result<Vec<Value>> {
    let parse = |line| serde_json::from_str(line);
    let claims: serde_json::Result<Vec<Value>> = output.lines().map(parse).collect();
    claims.map_err(|error| failed(format!("the benchmarks said what is no JSON: {error}")))
}
