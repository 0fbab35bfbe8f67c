//! What many measurements come to.

/// The value below which this share of them lies, from 0 to 1; the values are put in order.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = (last as f64 * share).ceil() as usize;
    values.get(at).copied()
}

/// The one in the middle, the least and the greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let (upper, lower) = (values[values.len() / 2], values[(values.len() - 1) / 2]);
        Some(Self { median: f64::midpoint(upper, lower), least, greatest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let of = |values: &[f64]| Spread::of(values.to_vec()).map(|spread| spread.median);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn no_more_than_one_in_a_hundred_is_above_the_99th_percentile() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.99), Some(100.0));
        let mut values: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.99), Some(991.0));
        assert_eq!(quantile(&mut [], 0.5), None);
    }
}
