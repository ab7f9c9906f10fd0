//! The bytes of a property, as numbers and texts.

/// One cell's size, in bytes.
pub(super) const CELL: usize = 4;

/// The cells of a property; none if its length is no multiple of a cell's.
pub(super) fn cells(bytes: &[u8]) -> Option<Vec<u32>> {
    let (cells, rest) = bytes.as_chunks::<CELL>();
    rest.is_empty().then(|| cells.iter().map(|cell| u32::from_be_bytes(*cell)).collect())
}

/// The number that one or two cells make; none for more, which are no number but an address of a bus like PCI.
pub(super) fn number(cells: &[u32]) -> Option<u64> {
    match *cells {
        [] => Some(0),
        [low] => Some(u64::from(low)),
        [high, low] => Some(u64::from(high) << 32 | u64::from(low)),
        _ => None,
    }
}

/// The texts of a list, each of which ends with a zero byte. None if a text is not UTF-8, or the last has no end.
pub(super) fn strings(bytes: &[u8]) -> Option<Vec<&str>> {
    let Some(inner) = bytes.strip_suffix(&[0]) else {
        return bytes.is_empty().then(Vec::new);
    };
    inner.split(|byte| *byte == 0).map(|text| std::str::from_utf8(text).ok()).collect()
}
