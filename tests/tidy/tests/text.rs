//! How sources look: their size, their characters, and what is not left in them.

use tidy::{code, tree};

/// Lines that a file may have.
const MOST_LINES: usize = 500;

/// Files that may be longer, how long, and why they are not cut.
const LONGER: [(&str, usize, &str); 0] = [];

/// What is not left in the code, and why.
const BANNED: [(&str, &str); 4] = [
    ("todo!(", "it is done, or it is not there"),
    ("unimplemented!(", "it is done, or it is not there"),
    ("dbg!(", "a trace of a search"),
    ("#[ignore", "a test that does not run proves nothing; one for the bench has its feature"),
];

/// A library says nothing by itself: it returns, or it traces.
const SILENT: &str = "uio-core/src/";

/// Apart from ASCII: lines and arrows of figures, in comments.
fn belongs_in_a_figure(c: char) -> bool {
    matches!(c, '\u{2500}'..='\u{257F}' | '▲' | '▶' | '▼' | '◀')
}

#[test]
fn files_are_not_long() {
    let mut complaints = Vec::new();
    for source in tree::sources(&[".rs", ".c", ".sh", ".py"]) {
        let lines = source.text.lines().count();
        let listed = LONGER.iter().find(|(path, _, _)| *path == source.path);
        let most = listed.map_or(MOST_LINES, |(_, most, _)| *most);
        if lines > most {
            complaints.push(format!("{}: {lines} lines, more than {most}", source.path));
        }
        if listed.is_some() && lines <= MOST_LINES {
            complaints.push(format!("{}: short enough now, take it off LONGER", source.path));
        }
    }
    tree::settle("files that are too long:", &complaints);
}

#[test]
fn sources_are_ascii() {
    let mut complaints = Vec::new();
    for source in tree::sources(&[".rs", ".c", ".sh", ".toml", ".py"]) {
        for (index, line) in source.text.lines().enumerate() {
            let odd = line.chars().find(|c| !c.is_ascii() && !belongs_in_a_figure(*c));
            if let Some(c) = odd {
                complaints.push(format!("{}:{}: {c:?}", source.path, index + 1));
            }
        }
    }
    // This list says what a figure may have, so it has it.
    complaints.retain(|complaint| !complaint.starts_with("tests/tidy/"));
    tree::settle("characters that not everybody can type or see:", &complaints);
}

#[test]
fn a_figure_is_a_comment() {
    let mut complaints = Vec::new();
    for source in tree::sources(&[".rs"]) {
        for (index, line) in code::lines(&source.text).iter().enumerate() {
            if line.code.contains(belongs_in_a_figure) {
                complaints.push(format!("{}:{}", source.path, index + 1));
            }
        }
    }
    tree::settle("figures outside of comments:", &complaints);
}

#[test]
fn nothing_is_left_lying_around() {
    let mut complaints = Vec::new();
    for source in tree::sources(&[".rs"]) {
        for (index, line) in code::lines(&source.text).iter().enumerate() {
            for (what, why) in BANNED {
                if line.code.contains(what) {
                    complaints.push(format!("{}:{}: {what} - {why}", source.path, index + 1));
                }
            }
        }
    }
    tree::settle("what should not be left in the code:", &complaints);
}

#[test]
fn the_library_prints_nothing() {
    let mut complaints = Vec::new();
    for source in tree::sources(&[".rs"]) {
        if !source.path.starts_with(SILENT) {
            continue;
        }
        for (index, line) in code::lines(&source.text).iter().enumerate() {
            // `eprintln!(` ends like it.
            if ["print!(", "println!("].iter().any(|print| line.code.contains(print)) {
                complaints.push(format!("{}:{}: {}", source.path, index + 1, line.code.trim()));
            }
        }
    }
    tree::settle("uio-core prints:", &complaints);
}
