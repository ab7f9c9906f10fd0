//! Every driver has the same shape, one file per station of the flow, and its row in the README.

use tidy::{crates, tree};

/// The stations, in the order in which an interrupt passes them.
const STATIONS: [&str; 5] = ["regs.rs", "probe.rs", "top_half.rs", "bottom_half.rs", "node.rs"];

fn drivers() -> Vec<crates::Package> {
    let mut drivers = crates::packages();
    drivers.retain(|package| package.dir.starts_with("drivers/"));
    assert!(!drivers.is_empty(), "there is no driver");
    drivers
}

#[test]
fn a_driver_has_a_file_for_each_station() {
    let mut missing = Vec::new();
    for driver in drivers() {
        let files = STATIONS.map(|station| format!("{}/src/{station}", driver.dir));
        missing.extend(files.into_iter().filter(|file| !tree::root().join(file).exists()));
    }
    tree::settle("a driver without a file for each station of the flow:", &missing);
}

#[test]
fn a_driver_has_its_row_in_the_readme() {
    let readme = std::fs::read_to_string(tree::root().join("README.md")).unwrap();
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with('|')).collect();
    let mut missing = Vec::new();
    for driver in drivers() {
        let name = format!("`{}`", driver.name);
        let first = |row: &&&str| row.split('|').nth(1).is_some_and(|cell| cell.trim() == name);
        let Some(row) = rows.iter().find(first) else {
            missing.push(format!("README.md: no row for {name}"));
            continue;
        };
        let empty = row.trim_matches('|').split('|').filter(|cell| cell.trim().is_empty()).count();
        if empty != 0 || row.trim_matches('|').split('|').count() != 4 {
            missing.push(format!("README.md: the row of {name} is driver | device | node | test"));
        }
    }
    tree::settle("drivers that the README does not list:", &missing);
}
