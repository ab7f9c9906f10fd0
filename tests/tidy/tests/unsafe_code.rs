//! Unsafe code is where ARCHITECTURE.md says it is, and every piece of it has its reason.

use tidy::code::{self, Line};
use tidy::{crates, tree};

/// The modules that may hold unsafe code, and why nothing else would do.
const ALLOWED: [(&str, &str); 7] = [
    ("uio-core/src/sys/", "the raw Linux ABI: calls for which nix has no safe form"),
    ("uio-core/src/io/mmio.rs", "volatile accesses through a pointer into a mapping"),
    ("uio-core/src/mem/", "memory that a device writes, behind pointers"),
    ("uio-core/src/ring/", "slots that two threads share without a lock"),
    ("uio-core/src/sync/rcu/cell.rs", "a version that readers hold is freed when they are gone"),
    ("uio-core/src/cycles.rs", "the counter is read by an instruction"),
    ("uio-core/benches/peers/", "a peer in C is called"),
];

/// How far above its block a reason may start.
const REACH: usize = 8;

fn is_unsafe(line: &Line) -> bool {
    ["unsafe {", "unsafe impl", "unsafe fn", "unsafe extern"]
        .iter()
        .any(|form| line.code.contains(form))
}

fn needs_reason(line: &Line) -> bool {
    line.code.contains("unsafe {") || line.code.contains("unsafe impl")
}

/// What shipped and what drives it; tests of `uio-core` may count allocations as they like.
fn rust() -> Vec<tree::Source> {
    let mut sources = tree::sources(&[".rs"]);
    sources.retain(|source| !source.path.starts_with("uio-core/tests/"));
    sources
}

#[test]
fn unsafe_code_is_in_its_modules() {
    let mut complaints = Vec::new();
    for source in rust() {
        if ALLOWED.iter().any(|(place, _)| source.path.starts_with(place)) {
            continue;
        }
        for (index, line) in code::lines(&source.text).iter().enumerate() {
            if is_unsafe(line) {
                complaints.push(format!("{}:{}: {}", source.path, index + 1, line.code.trim()));
            }
        }
    }
    tree::settle("unsafe code outside the modules that ARCHITECTURE.md marks:", &complaints);
}

#[test]
fn a_module_that_needs_no_unsafe_code_is_not_on_the_list() {
    let sources = rust();
    let idle = ALLOWED.iter().filter(|(place, _)| {
        let mut files = sources.iter().filter(|source| source.path.starts_with(place));
        !files.any(|source| code::lines(&source.text).iter().any(is_unsafe))
    });
    let idle: Vec<String> = idle.map(|(place, _)| (*place).to_owned()).collect();
    tree::settle("on the list of modules with unsafe code, and without any:", &idle);
}

#[test]
fn every_unsafe_block_has_its_reason() {
    let mut complaints = Vec::new();
    for source in tree::sources(&[".rs"]) {
        let lines = code::lines(&source.text);
        for index in (0..lines.len()).filter(|&index| needs_reason(&lines[index])) {
            let above = &lines[index.saturating_sub(REACH)..index];
            if !above.iter().any(|line| line.comment.trim_start().starts_with("SAFETY:")) {
                let code = lines[index].code.trim();
                complaints.push(format!("{}:{}: {code}", source.path, index + 1));
            }
        }
    }
    tree::settle("unsafe without a `// SAFETY:` above it:", &complaints);
}

#[test]
fn every_other_crate_forbids_unsafe_code() {
    let mut complaints = Vec::new();
    for package in crates::packages() {
        let wanted = match package.name.as_str() {
            // It lifts the ban module by module.
            "uio-core" => "#![deny(unsafe_code)]",
            _ => "#![forbid(unsafe_code)]",
        };
        for root in package.roots() {
            let text = std::fs::read_to_string(tree::root().join(&root)).unwrap();
            if !code::lines(&text).iter().any(|line| line.code.trim() == wanted) {
                complaints.push(format!("{root}: no `{wanted}`"));
            }
        }
    }
    tree::settle("a crate that does not say how it stands to unsafe code:", &complaints);
}
