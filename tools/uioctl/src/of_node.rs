//! [`NodeParts`]: what a node of the device tree says of its device, for tables and for JSON.

use serde::Serialize;
use uio_core::of::{Interrupt, Node, Reg};

/// Properties that are shown in another way, or that say how the node is written and not what the device is.
const KNOWN: [&str; 13] = [
    "compatible",
    "interrupt-controller",
    "interrupt-names",
    "interrupt-parent",
    "interrupts",
    "interrupts-extended",
    "linux,phandle",
    "name",
    "phandle",
    "ranges",
    "reg",
    "reg-names",
    "status",
];

/// A longer value is cut.
const MOST_CELLS: usize = 8;

/// Regions, interrupts and properties of a device.
#[derive(Debug, Default, Serialize)]
pub(crate) struct NodeParts {
    pub(crate) regions: Vec<Region>,
    pub(crate) interrupts: Vec<Line>,
    pub(crate) properties: Vec<Entry>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Region {
    /// Its entry in `reg-names`.
    pub(crate) name: Option<String>,
    pub(crate) address: u64,
    pub(crate) size: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// Its entry in `interrupt-names`.
    pub(crate) name: Option<String>,
    /// The controller's path.
    pub(crate) controller: String,
    /// What tells the controller which input it is.
    pub(crate) specifier: Vec<u32>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// As it stands in a source of a device tree; empty for a flag.
    pub(crate) value: String,
}

impl NodeParts {
    pub(crate) fn of(node: &Node) -> Self {
        let region =
            |reg: &Reg| Region { name: reg.name.clone(), address: reg.address, size: reg.size };
        let line = |interrupt: &Interrupt| Line {
            name: interrupt.name.clone(),
            controller: interrupt.controller.clone(),
            specifier: interrupt.specifier.clone(),
        };
        let is_shown = |name: &&str| !KNOWN.contains(name) && !name.starts_with('#');
        let entry = |name: &str| Entry { name: name.to_owned(), value: value(node, name) };
        Self {
            regions: node.reg().iter().map(region).collect(),
            interrupts: node.interrupts().iter().map(line).collect(),
            properties: node.property_names().filter(is_shown).map(entry).collect(),
        }
    }
}

impl Line {
    /// `0x0 0x2 0x4 of /intc@8000000`.
    pub(crate) fn says(&self) -> String {
        let name = self.name.as_ref().map_or(String::new(), |name| format!("{name}: "));
        format!("{name}{} of {}", numbers(&self.specifier), self.controller)
    }
}

/// The value as one would write it: `"rtc0"`, `<0x8000>`, `[01 02 03]`.
fn value(node: &Node, name: &str) -> String {
    let bytes = node.property(name).unwrap_or_default();
    let texts = node.property_read::<Vec<String>>(name).optional().unwrap_or_default();
    let is_text = |text: &String| !text.is_empty() && !text.contains(char::is_control);
    if !texts.is_empty() && texts.iter().all(is_text) {
        let quoted: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
        return quoted.join(", ");
    }
    match node.property_read::<Vec<u32>>(name).optional() {
        _ if bytes.is_empty() => String::new(),
        Some(cells) => format!("<{}>", numbers(&cells)),
        None => {
            let shown: Vec<String> =
                bytes.iter().take(MOST_CELLS).map(|byte| format!("{byte:02x}")).collect();
            format!("[{}{}]", shown.join(" "), rest(bytes.len()))
        }
    }
}

fn numbers(cells: &[u32]) -> String {
    let shown: Vec<String> =
        cells.iter().take(MOST_CELLS).map(|cell| format!("{cell:#x}")).collect();
    format!("{}{}", shown.join(" "), rest(cells.len()))
}

fn rest(count: usize) -> &'static str {
    if count > MOST_CELLS { " ..." } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_shown_as_one_would_write_it() {
        let node = Node::new("/rtc@1000")
            .with_strings("linux,uio-name", &["rtc0"])
            .with_strings("clock-names", &["apb", "ref"])
            .with_u32s("clocks", &[0x8000, 0])
            .with_u32s("long", &[7; 9])
            .with_property("wakeup-source", [])
            .with_property("local-mac-address", [1, 2, 0x1f, 4, 5, 6])
            .with_u32s("#clock-cells", &[0])
            .with_compatible(&["arm,pl031"]);
        let shown: Vec<_> = NodeParts::of(&node)
            .properties
            .into_iter()
            .map(|entry| format!("{}={}", entry.name, entry.value))
            .collect();
        assert_eq!(
            shown,
            [
                "clock-names=\"apb\", \"ref\"",
                "clocks=<0x8000 0x0>",
                "linux,uio-name=\"rtc0\"",
                "local-mac-address=[01 02 1f 04 05 06]",
                "long=<0x7 0x7 0x7 0x7 0x7 0x7 0x7 0x7 ...>",
                "wakeup-source=",
            ]
        );
    }

    #[test]
    fn an_interrupt_says_which_input_of_which_controller() {
        let line = |name: Option<&str>| Line {
            name: name.map(str::to_owned),
            controller: "/intc".into(),
            specifier: vec![0, 2, 4],
        };
        assert_eq!(line(None).says(), "0x0 0x2 0x4 of /intc");
        assert_eq!(line(Some("alarm")).says(), "alarm: 0x0 0x2 0x4 of /intc");
    }
}
