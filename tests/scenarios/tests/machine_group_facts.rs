//! The machine `group`: two functions behind a bridge share an IOMMU group, with the bridge.

use scenarios::{pci, world};

#[test]
fn two_functions_and_their_bridge_are_one_group() {
    world::require_machine("group");
    let pair = [pci::shared_edu(0), pci::shared_edu(1)];
    let mut expected = vec!["0000:00:0a.0".to_owned()];
    expected.extend(pair.map(|function| function.to_string()));
    for function in pair {
        let mut siblings = function.siblings();
        siblings.sort();
        assert_eq!(siblings, expected);
    }
    assert_eq!(pci::edu(0).siblings().len(), 1, "the others are as on every machine");
}
