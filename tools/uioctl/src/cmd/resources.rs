//! `uioctl iomem` and `uioctl ioports`: the tree of owners of addresses, whole or what a query finds in it.

use serde::Serialize;
use uio_core::{Errno, Error};

use crate::cli::{Cli, ResourceArgs};
use crate::failure::{Failure, complain};
use crate::out::Out;
use crate::proc::iomem::{Resource, ResourceTree};
use crate::size::human_size;
use crate::source::Source;
use crate::table::{Align, Cell, Paint, Table};

use super::check_rows;

/// What the user looks for.
#[derive(Debug)]
enum Query<'a> {
    Everything,
    Address(u64),
    Name(&'a str),
}

/// `kind` is the file in procfs: `iomem` or `ioports`.
pub(crate) fn run(
    kind: &str,
    args: &ResourceArgs,
    cli: &Cli,
    out: &mut Out,
) -> Result<(), Failure> {
    let query = parse_query(args.query.as_deref()).map_err(Failure::Usage)?;
    let source = Source::read(kind, &args.input, cli)?;
    let tree = ResourceTree::parse(&source.text);
    check_rows(tree.resources.len(), tree.skipped, kind, &source)?;
    let hidden = tree.is_hidden();
    if hidden {
        refuse_if_hidden(args, &query, &source)?;
        complain(format_args!(
            "{} hides its addresses and sizes: only root may see them (CAP_SYS_ADMIN)",
            source.name
        ));
    }
    let found = find(&tree, args, &query);
    if found.is_empty() {
        return Err(nothing_found(&tree, args, &query, &source).into());
    }
    let shown = with_parents(&tree, &found);
    if cli.json {
        let file = &source.name;
        let filtered = found.len() < tree.resources.len();
        let resources = json_tree(&tree, &shown, filtered.then_some(&found[..]), hidden);
        return Ok(out.json(&ResourcesJson { file, hidden, resources })?);
    }
    let is_ports = kind == "ioports";
    Ok(out.table(&table(&tree, &shown, &found, hidden, is_ports))?)
}

/// An address begins with `0x`: all else, such as `fec`, may be a name.
fn parse_query(query: Option<&str>) -> Result<Query<'_>, Error> {
    let Some(text) = query else {
        return Ok(Query::Everything);
    };
    let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
        return Ok(Query::Name(text));
    };
    let digits: String = hex.chars().filter(|&c| c != '_').collect();
    match u64::from_str_radix(&digits, 16) {
        Ok(address) if !digits.starts_with('+') => Ok(Query::Address(address)),
        _ => Err(Error::invalid("cannot look for", text, "it is no address of up to 64 bits")
            .with_hint("write an address as 0xfee00000, a name as it is")),
    }
}

fn has_size_filter(args: &ResourceArgs) -> bool {
    args.size.is_some() || args.min_size.is_some() || args.max_size.is_some()
}

fn refuse_if_hidden(args: &ResourceArgs, query: &Query<'_>, source: &Source) -> Result<(), Error> {
    let what = match query {
        Query::Address(address) => format!("{address:#x}"),
        _ if has_size_filter(args) => "a size".into(),
        _ => return Ok(()),
    };
    let refused = Error::new(Errno::EPERM, format!("cannot find {what} in"), &source.name)
        .with_cause("its addresses are hidden from you");
    Err(if source.is_here {
        refused.with_hint("run as root, with CAP_SYS_ADMIN")
    } else {
        refused.with_hint("save the copy as root")
    })
}

/// The indexes of the rows that are looked for, in order.
fn find(tree: &ResourceTree, args: &ResourceArgs, query: &Query<'_>) -> Vec<usize> {
    let fits = |row: &Resource| match row.size() {
        Some(size) => {
            args.size.is_none_or(|wanted| size == wanted)
                && args.min_size.is_none_or(|least| size >= least)
                && args.max_size.is_none_or(|most| size <= most)
        }
        None => !has_size_filter(args),
    };
    let rows = tree.resources.iter().enumerate().filter(|(_, row)| fits(row));
    match query {
        Query::Everything => rows.map(|(index, _)| index).collect(),
        Query::Address(address) => tree
            .innermost(*address)
            .filter(|&index| fits(&tree.resources[index]))
            .into_iter()
            .collect(),
        Query::Name(name) => {
            let name = name.to_lowercase();
            rows.filter(|(_, row)| row.name.to_lowercase().contains(&name))
                .map(|(index, _)| index)
                .collect()
        }
    }
}

fn nothing_found(
    tree: &ResourceTree,
    args: &ResourceArgs,
    query: &Query<'_>,
    source: &Source,
) -> Error {
    let error =
        |what: &str| Error::new(Errno::ENOENT, format!("cannot find {what} in"), &source.name);
    match query {
        Query::Address(address) if tree.innermost(*address).is_none() => {
            error(&format!("{address:#x}")).with_cause(nobody(tree, *address))
        }
        Query::Name(name) => {
            let error = error(name).with_cause(if has_size_filter(args) {
                "no resource has this in its name and such a size"
            } else {
                "no resource has this in its name"
            });
            let may_be_address =
                name.len() >= 3 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            if may_be_address {
                error.with_hint(format_args!("write an address as 0x{name}"))
            } else {
                error
            }
        }
        _ => error("it").with_cause("no resource has such a size"),
    }
}

/// `nobody owns it; it lies between 100000-bfffffff (System RAM) and ...`.
fn nobody(tree: &ResourceTree, address: u64) -> String {
    let name = |row: &Resource| format!("{:x}-{:x} ({})", row.start, row.end, row.name);
    let (below, above) = tree.around(address);
    let place = match (below.map(name), above.map(name)) {
        (Some(below), Some(above)) => format!("between {below} and {above}"),
        (Some(below), None) => format!("above {below}, the last"),
        (None, Some(above)) => format!("below {above}, the first"),
        (None, None) => "alone".into(),
    };
    format!("nobody owns it; it lies {place}")
}

/// The rows found and all that contain them, in order.
fn with_parents(tree: &ResourceTree, found: &[usize]) -> Vec<usize> {
    let mut shown = vec![false; tree.resources.len()];
    for &index in found {
        let mut next = Some(index);
        // Stops at the first ancestor that is shown: the ones above it are as well.
        while let Some(index) = next.filter(|&index| !shown[index]) {
            shown[index] = true;
            next = tree.resources[index].parent;
        }
    }
    (0..shown.len()).filter(|&index| shown[index]).collect()
}

fn table(
    tree: &ResourceTree,
    shown: &[usize],
    found: &[usize],
    hidden: bool,
    is_ports: bool,
) -> Table {
    let largest = tree.resources.iter().map(|row| row.end).max().unwrap_or(0);
    let digits = format!("{largest:x}").len().max(if is_ports { 4 } else { 8 });
    let size_title = if is_ports { "PORTS" } else { "SIZE" };
    let mut table =
        Table::new([("RANGE", Align::Left), (size_title, Align::Right), ("OWNER", Align::Left)]);
    for &index in shown {
        let row = &tree.resources[index];
        // Parents stand only for orientation.
        let paint = if found.binary_search(&index).is_ok() { Paint::Plain } else { Paint::Dim };
        let indent = " ".repeat(row.depth * 2);
        let range = match hidden {
            true => format!("{indent}?"),
            false => format!("{indent}{:0digits$x}-{:0digits$x}", row.start, row.end),
        };
        let size = match row.size() {
            _ if hidden => "?".into(),
            Some(size) if is_ports => size.to_string(),
            Some(size) => human_size(size),
            None => "?".into(),
        };
        let name = format!("{indent}{}", row.name);
        table.row([range, size, name].map(|text| Cell::painted(text, paint)).to_vec());
    }
    table
}

/// Nests the rows in one pass, from the last to the first: children are complete before their parent.
fn json_tree<'a>(
    tree: &'a ResourceTree,
    shown: &[usize],
    found: Option<&[usize]>,
    hidden: bool,
) -> Vec<ResourceJson<'a>> {
    // By depth, in reverse order: the rows whose parent is still to come.
    let mut waiting: Vec<Vec<ResourceJson<'a>>> = vec![Vec::new()];
    for &index in shown.iter().rev() {
        let row = &tree.resources[index];
        if waiting.len() < row.depth + 2 {
            waiting.resize_with(row.depth + 2, Vec::new);
        }
        let mut children = std::mem::take(&mut waiting[row.depth + 1]);
        children.reverse();
        let address = |address| (!hidden).then_some(address);
        waiting[row.depth].push(ResourceJson {
            start: address(row.start),
            end: address(row.end),
            size: row.size().filter(|_| !hidden),
            name: &row.name,
            found: found.map(|found| found.binary_search(&index).is_ok()),
            children,
        });
    }
    let mut roots = waiting.swap_remove(0);
    roots.reverse();
    roots
}

#[derive(Debug, Serialize)]
struct ResourcesJson<'a> {
    file: &'a str,
    hidden: bool,
    resources: Vec<ResourceJson<'a>>,
}

/// Addresses and sizes are numbers; null while they are hidden.
#[derive(Debug, Serialize)]
struct ResourceJson<'a> {
    start: Option<u64>,
    end: Option<u64>,
    size: Option<u128>,
    name: &'a str,
    /// Whether the query found this one, or only something in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<ResourceJson<'a>>,
}
