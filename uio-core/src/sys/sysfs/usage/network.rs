//! Network interfaces: up, with an address, with the default route, or a part of another one.

use super::super::{link_name, parse_number, text_or_empty};
use super::nodes::Node;
use super::{Machine, Use};

/// `include/uapi/linux/if.h`.
const IFF_UP: u64 = 1;

/// What the interfaces among `nodes` are in use for.
pub(super) fn uses(machine: &Machine, nodes: &[Node]) -> Vec<Use> {
    let interfaces = nodes.iter().filter(|node| node.subsystem == "net");
    interfaces.filter_map(|node| use_of(machine, node)).collect()
}

fn use_of(machine: &Machine, node: &Node) -> Option<Use> {
    let mut how = Vec::new();
    if parse_number(&text_or_empty(&node.dir.join("flags"))).unwrap_or(0) & IFF_UP != 0 {
        how.push("is up".to_owned());
    }
    let own = machine.addresses.iter().filter(|(name, _)| *name == node.name);
    how.extend(own.map(|(_, address)| format!("has the address {address}")));
    if has_default_route(machine, &node.name) {
        how.push("carries the default route".to_owned());
    }
    if let Some(master) = link_name(&node.dir.join("master")) {
        how.push(format!("is a part of {master}"));
    }
    (!how.is_empty()).then(|| Use::Interface { name: node.name.clone(), how: how.join(", ") })
}

/// A route to everywhere, of IPv4 (`net/ipv4/fib_trie.c`) or IPv6 (`net/ipv6/route.c`).
fn has_default_route(machine: &Machine, name: &str) -> bool {
    let v4 = text_or_empty(&machine.proc.join("net/route"));
    let v6 = text_or_empty(&machine.proc.join("net/ipv6_route"));
    let is_v4 = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.first() == Some(&name)
            && fields.get(1) == Some(&"00000000")
            && fields.get(7) == Some(&"00000000")
    };
    let is_v6 = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let everywhere = fields.first().is_some_and(|to| to.bytes().all(|byte| byte == b'0'));
        everywhere && fields.get(1) == Some(&"00") && fields.last() == Some(&name)
    };
    v4.lines().any(is_v4) || v6.lines().any(is_v6)
}
