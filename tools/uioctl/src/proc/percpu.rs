//! What `/proc/interrupts` and `/proc/softirqs` have in common: a column of counts for each CPU.
//!
//! A header names the CPUs that are online, which need not be consecutive; each row is a name, a colon, and
//! counts. [`header`] and [`row`] read these, [`Counts`] sums them up.

/// The numbers of the CPUs in a header (`           CPU0       CPU2`), or nothing if it is none.
pub(crate) fn header(line: &str) -> Option<Vec<u32>> {
    let cpus: Option<Vec<u32>> = line
        .split_whitespace()
        .map(|word| {
            parse_digits(word.strip_prefix("CPU")?).and_then(|number| number.try_into().ok())
        })
        .collect();
    cpus.filter(|cpus| !cpus.is_empty())
}

/// A row, cut after its counts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) counts: Counts,
    pub(crate) rest: &'a str,
}

/// Name and counts of a row, at most `columns` of them, or nothing if it is none.
pub(crate) fn row(line: &str, columns: usize) -> Option<Row<'_>> {
    let (name, mut rest) = line.split_once(':')?;
    let name = name.trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    let mut counts = Vec::new();
    while counts.len() < columns {
        let (word, after) = next_word(rest);
        let Some(count) = parse_digits(word) else {
            break;
        };
        counts.push(count);
        rest = after;
    }
    Some(Row { name, counts: Counts(counts), rest })
}

/// The first word and what follows it; both are empty at the end.
pub(crate) fn next_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// A number of digits alone; what is too large is the largest.
pub(crate) fn parse_digits(word: &str) -> Option<u64> {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().unwrap_or(u64::MAX))
}

/// The counts of one row, in the order of the header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts(pub(crate) Vec<u64>);

impl Counts {
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// The column that counts most and what it counts, if any counts at all.
    pub(crate) fn busiest(&self) -> Option<(usize, u64)> {
        let largest = self.0.iter().copied().max().filter(|&count| count > 0)?;
        let column = self.0.iter().position(|&count| count == largest)?;
        Some((column, largest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_the_cpus_that_are_online() {
        assert_eq!(header("           CPU0       CPU2       CPU11   "), Some(vec![0, 2, 11]));
        for line in ["", "   ", "CPU", "CPU0 x", "CPUx", "CPU99999999999", " 24:   1  2"] {
            assert_eq!(header(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_row_has_the_counts_it_has() {
        let ten = row(" 10:   1    2   IO-APIC   4-edge", 2).unwrap();
        assert_eq!(
            (ten.name, &ten.counts.0[..], ten.rest),
            ("10", &[1, 2][..], "   IO-APIC   4-edge")
        );
        let errors = row("ERR:          0", 4).unwrap();
        assert_eq!((&errors.counts.0[..], errors.rest), (&[0][..], ""));
        let huge = row("X: 99999999999999999999999 18446744073709551615", 2).unwrap();
        assert_eq!((huge.counts.total(), &huge.counts.0[..]), (u64::MAX, &[u64::MAX; 2][..]));
        assert_eq!(row("no colon", 1), None);
        assert_eq!(row(": 1", 1), None);
        assert_eq!(row("two words: 1", 1), None);
    }

    #[test]
    fn the_busiest_is_the_first_of_the_largest() {
        assert_eq!(Counts(vec![1, 7, 7]).busiest(), Some((1, 7)));
        assert_eq!(Counts(vec![0, 0]).busiest(), None);
    }
}
