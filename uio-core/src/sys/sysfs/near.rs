//! [`nearest`]: which of many names somebody may have meant.

/// How many names a message has room for.
const NAMED: usize = 6;

/// The names most like `wanted`, the most like first, six at most.
///
/// Like are names that few letters have to be changed in (the distance of Levenshtein).
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<(usize, &str)> =
        names.into_iter().map(|name| (distance(wanted, name), name)).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().take(NAMED).map(|(_, name)| name).collect()
}

/// How many letters have to be put in, taken out or changed to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    // A row of the table: the distances of what was read of `one` to each beginning of `other`.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for letter in one.chars() {
        let mut diagonal = row[0];
        row[0] += 1;
        for (at, its) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *its);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_letters() {
        for (one, other, letters) in [
            ("", "", 0),
            ("", "ab", 2),
            ("pl031", "pl031", 0),
            ("pl031", "pl013", 2),
            ("a", "b", 1),
        ] {
            assert_eq!((distance(one, other), distance(other, one)), (letters, letters));
        }
    }

    #[test]
    fn the_most_like_comes_first_and_few_are_named() {
        let names = ["/pl061@9030000", "/pl011@9000000", "/pl031@9010000", "/a", "/b", "/c", "/d"];
        let near = nearest("/pl031@901000", names);
        assert_eq!(near[0], "/pl031@9010000");
        assert_eq!(near.len(), NAMED);
        assert_eq!(nearest("x", []), [""; 0]);
    }
}
