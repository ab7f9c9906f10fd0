//! The median of rounds and its interval.

/// A median, and between what it lies with at least 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Median {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// How much is left outside of the interval on each side, at most.
const TAIL: f64 = 0.025;

impl Median {
    /// Of at least one value.
    ///
    /// The interval is that of order statistics: whatever the values' distribution, the number of them below
    /// the true median is a throw of fair coins, so that between the `k`-th from either end it lies with a
    /// probability that is known. With fewer than 6 values the interval is all of them, and less sure.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let value = f64::midpoint(values[(count - 1) / 2], values[count / 2]);
        let outside = outside(count);
        Self { value, low: values[outside], high: values[count - 1 - outside] }
    }
}

/// How many of `count` sorted values lie below the interval, and as many above it: the most for which the
/// chance that the median is further out is at most [`TAIL`].
fn outside(count: usize) -> usize {
    let mut probability = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut below = 0.0;
    for heads in 0..count / 2 {
        below += probability;
        if below > TAIL {
            return heads.saturating_sub(1);
        }
        probability *= (count - heads) as f64 / (heads + 1) as f64;
    }
    (count / 2).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl Iterator<Item = i32>) -> (f64, f64, f64) {
        let Median { value, low, high } = Median::of(values.map(f64::from).collect());
        (low, value, high)
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(of([3, 1, 2].into_iter()).1, 2.0);
        assert_eq!(of([4, 1, 3, 2].into_iter()).1, 2.5);
        assert_eq!(of([7].into_iter()), (7.0, 7.0, 7.0));
    }

    /// The ranks that tables of the binomial distribution have.
    #[test]
    fn the_interval_is_that_of_order_statistics() {
        assert_eq!(of(1..=5), (1.0, 3.0, 5.0), "93.8 %, the best there is");
        assert_eq!(of(1..=6), (1.0, 3.5, 6.0), "96.9 %");
        assert_eq!(of(1..=11), (2.0, 6.0, 10.0), "98.8 %");
        assert_eq!(of(1..=21), (6.0, 11.0, 16.0), "97.3 %");
        assert_eq!(of(1..=100), (40.0, 50.5, 61.0), "96.5 %");
    }

    #[test]
    fn an_outlier_moves_neither_the_median_nor_its_interval() {
        let mut values: Vec<f64> = (1..=21).map(f64::from).collect();
        let before = Median::of(values.clone());
        values[20] = 1e9;
        assert_eq!(Median::of(values), before);
    }
}
