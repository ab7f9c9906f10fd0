//! What `reg` and `interrupts` mean at a node's place in the tree: addresses as the CPU sees them, controllers.
//!
//! Mirrors `drivers/of/address.c` (`of_translate_address`) and `drivers/of/irq.c` (`of_irq_parse_one`), for buses whose
//! addresses are numbers. Addresses on PCI, and interrupts through an `interrupt-map`, are not resolved: what is
//! behind them is no platform device.

use super::cells::{number, strings};
use super::node::{Interrupt, Node, Reg};
use super::tree::Tree;

/// The path of the node above; none above the root.
fn parent(path: &str) -> Option<&str> {
    match path.rsplit_once('/')? {
        (_, "") => None,
        ("", _) => Some("/"),
        (parent, _) => Some(parent),
    }
}

/// A number that a bus says, or the nearest above that says it, as the kernel does it (`of_bus_n_addr_cells`).
fn inherited(tree: &Tree, bus: &str, name: &str, default: usize) -> usize {
    let mut at = Some(bus);
    while let Some(path) = at {
        if let Some(cell) = tree.cells(path, name).and_then(|cells| cells.first().copied()) {
            // CAST: a count of cells; one that does not fit is refused with the length of the property.
            return cell as usize;
        }
        at = parent(path);
    }
    default
}

/// How many cells an address and a size have on a bus.
fn widths(tree: &Tree, bus: &str) -> (usize, usize) {
    (inherited(tree, bus, "#address-cells", 1), inherited(tree, bus, "#size-cells", 1))
}

/// Where the registers and memory of a node are; empty if one cannot be told.
pub(super) fn reg(tree: &Tree, node: &Node) -> Vec<Reg> {
    let Some(bus) = parent(node.path()) else { return Vec::new() };
    let Some(cells) = node.property_read::<Vec<u32>>("reg").optional() else { return Vec::new() };
    let names = names(node, "reg-names");
    let (address, size) = widths(tree, bus);
    let entry = address.saturating_add(size);
    if size == 0 || entry > cells.len() {
        // Without sizes it is the number of a chip on a bus such as I2C.
        return Vec::new();
    }
    let entries = cells.chunks_exact(entry).enumerate().map(|(index, entry)| {
        let (at, size) = entry.split_at(address);
        let address = translate(tree, bus, number(at)?)?;
        Some(Reg { name: names.get(index).cloned(), address, size: number(size)? })
    });
    entries.collect::<Option<_>>().unwrap_or_default()
}

/// What the CPU sees at `address` of a bus, through the `ranges` of that bus and all above.
fn translate(tree: &Tree, bus: &str, address: u64) -> Option<u64> {
    let Some(above) = parent(bus) else { return Some(address) };
    let ranges = tree.cells(bus, "ranges")?;
    if ranges.is_empty() {
        return translate(tree, above, address);
    }
    let (own, size) = widths(tree, bus);
    let (outer, _) = widths(tree, above);
    let entry = own.checked_add(outer)?.checked_add(size)?;
    let inside = |entry: &[u32]| {
        let (at, rest) = entry.split_at(own);
        let (to, size) = rest.split_at(outer);
        let offset = address.checked_sub(number(at)?)?;
        (offset < number(size)?).then(|| number(to)?.checked_add(offset)).flatten()
    };
    let outside = if entry == 0 { None } else { ranges.chunks_exact(entry).find_map(inside) };
    translate(tree, above, outside?)
}

/// The interrupts of a node; those behind one whose controller cannot be told are left out.
pub(super) fn interrupts(tree: &Tree, node: &Node) -> Vec<Interrupt> {
    let names = names(node, "interrupt-names");
    let mut found = match node.property_read::<Vec<u32>>("interrupts-extended").optional() {
        Some(cells) => extended(tree, &cells),
        None => plain(tree, node).unwrap_or_default(),
    };
    for (interrupt, name) in found.iter_mut().zip(names) {
        interrupt.name = Some(name);
    }
    found
}

/// Each entry names its controller.
fn extended(tree: &Tree, cells: &[u32]) -> Vec<Interrupt> {
    let mut found = Vec::new();
    let mut rest = cells;
    while let [phandle, behind @ ..] = rest {
        let Some(controller) = tree.by_phandle(*phandle) else { break };
        let Some((specifier, next)) =
            specifier_cells(tree, controller).and_then(|count| behind.split_at_checked(count))
        else {
            break;
        };
        found.push(interrupt(controller, specifier));
        rest = next;
    }
    found
}

/// All entries are of the controller that `interrupt-parent` names, here or above.
fn plain(tree: &Tree, node: &Node) -> Option<Vec<Interrupt>> {
    let cells = node.property_read::<Vec<u32>>("interrupts").optional()?;
    let mut at = Some(node.path());
    let phandle = loop {
        let path = at?;
        if let Some(cells) = tree.cells(path, "interrupt-parent") {
            break *cells.first()?;
        }
        at = parent(path);
    };
    let controller = tree.by_phandle(phandle)?;
    let count = specifier_cells(tree, controller).filter(|count| *count > 0)?;
    Some(cells.chunks_exact(count).map(|specifier| interrupt(controller, specifier)).collect())
}

fn specifier_cells(tree: &Tree, controller: &str) -> Option<usize> {
    let cells = tree.cells(controller, "#interrupt-cells")?;
    cells.first().map(|count| usize::try_from(*count).unwrap_or(usize::MAX))
}

fn interrupt(controller: &str, specifier: &[u32]) -> Interrupt {
    Interrupt { name: None, controller: controller.to_owned(), specifier: specifier.to_owned() }
}

fn names(node: &Node, property: &str) -> Vec<String> {
    let texts = node.property(property).and_then(strings).unwrap_or_default();
    texts.into_iter().map(str::to_owned).collect()
}
