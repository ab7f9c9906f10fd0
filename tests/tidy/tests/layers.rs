//! Who may use whom: the modules of `uio-core` one upon the other, and the crates.

use tidy::{code, crates, tree};

/// The modules of `uio-core`, lowest first: each uses only those before it. The order of ARCHITECTURE.md.
const MODULES: [&str; 18] = [
    "error",
    "run_dir",
    "sys",
    "io",
    "mem",
    "sync",
    "ring",
    "kthread",
    "cycles",
    "irq",
    "softirq",
    "time",
    "workqueue",
    "chardev",
    "pci",
    "of",
    "device",
    "driver",
];

/// The workspace's own crates that each crate may be built with.
const CRATES: [(&str, &[&str]); 14] = [
    ("uio-core", &[]),
    ("edu-model", &["uio-core"]),
    ("uio-dummy-model", &["uio-core"]),
    ("ns16550-model", &["uio-core"]),
    ("zynqmp-dma-model", &["uio-core"]),
    ("pl031-model", &["uio-core"]),
    ("pl061-model", &["uio-core"]),
    (
        "uiod",
        &[
            "uio-core",
            "edu",
            "edu-model",
            "ns16550",
            "ns16550-model",
            "pl031",
            "pl031-model",
            "pl061",
            "pl061-model",
            "uio-dummy",
            "uio-dummy-model",
            "zynqmp-dma",
            "zynqmp-dma-model",
        ],
    ),
    ("dice", &["uio-core", "uiod"]),
    ("ticker", &["uio-core", "uiod"]),
    ("uioctl", &["uio-core"]),
    ("scenarios", &["uio-core"]),
    ("tidy", &[]),
    ("xtask", &[]),
];

/// What a crate in `drivers/` may be built with.
const DRIVERS: &[&str] = &["uio-core"];

/// The module of `uio-core` that a file belongs to: `irq` for `irq/line.rs`, none for `lib.rs`.
fn module_of(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("uio-core/src/")?;
    let first = inner.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib").then_some(name)
}

/// The modules that a line of code names after `crate::`.
fn named(code: &str) -> impl Iterator<Item = &str> {
    let ident = |text: &str| text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    code.match_indices("crate::").filter_map(move |(at, mark)| {
        let rest = &code[at + mark.len()..];
        let name = &rest[..ident(rest).unwrap_or(rest.len())];
        // `use crate::{a, b}` would hide what it names; a capital is an item of the root.
        (name.is_empty() || name.starts_with(char::is_lowercase)).then_some(name)
    })
}

#[test]
fn every_module_has_its_layer() {
    let mut unknown: Vec<String> = Vec::new();
    for source in tree::sources(&[".rs"]) {
        match module_of(&source.path) {
            Some(module) if !MODULES.contains(&module) => unknown.push(source.path),
            _ => {}
        }
    }
    tree::settle("a module of uio-core that is in no layer (add it to MODULES):", &unknown);
}

#[test]
fn a_module_uses_only_what_stands_below_it() {
    let layer = |name: &str| MODULES.iter().position(|module| *module == name);
    let mut complaints = Vec::new();
    for source in tree::sources(&[".rs"]) {
        let Some(own) = module_of(&source.path) else { continue };
        // A test may look down on its module from above.
        if source.path.contains("/tests/") || source.path.ends_with("tests.rs") {
            continue;
        }
        for (index, line) in code::lines(&source.text).iter().enumerate() {
            for name in named(&line.code).filter(|name| *name != own && layer(name) >= layer(own)) {
                complaints.push(format!("{}:{}: {own} uses {name}", source.path, index + 1));
            }
        }
    }
    tree::settle("a module of uio-core uses one that stands above it:", &complaints);
}

#[test]
fn a_grouped_import_is_seen() {
    // It names nothing, which is below no layer: it has no layer, and what has none is above nobody.
    let hidden: Vec<String> = tree::sources(&[".rs"])
        .into_iter()
        .filter(|source| module_of(&source.path).is_some())
        .filter(|source| {
            let lines = code::lines(&source.text);
            lines.iter().any(|line| named(&line.code).any(str::is_empty))
        })
        .map(|source| source.path)
        .collect();
    tree::settle("`crate::{...}` hides which modules are used; write one `use` for each:", &hidden);
}

#[test]
fn a_crate_uses_only_those_below_it() {
    let all = crates::packages();
    let mut complaints = Vec::new();
    for package in &all {
        let listed = CRATES.iter().find(|(name, _)| *name == package.name);
        let allowed = match listed {
            Some((_, allowed)) => *allowed,
            None if package.dir.starts_with("drivers/") => DRIVERS,
            None => {
                complaints.push(format!("{}: not in the table CRATES", package.dir));
                continue;
            }
        };
        for used in crates::used_by(package, &all) {
            if !allowed.contains(&used) {
                complaints.push(format!("{}: {} uses {used}", package.dir, package.name));
            }
        }
    }
    tree::settle("a crate is built with one that it may not know:", &complaints);
}

#[test]
fn every_crate_is_a_member() {
    let members = crates::members();
    let member = |dir: &str| {
        let parent = dir.split_once('/').map(|(parent, _)| format!("{parent}/*"));
        members.iter().any(|member| member == dir || Some(member) == parent.as_ref())
    };
    let strays =
        crates::packages().into_iter().map(|package| package.dir).filter(|dir| !member(dir));
    tree::settle("a crate that the workspace does not build:", &strays.collect::<Vec<_>>());
}
