//! What is said of many numbers at once.

/// How evenly something is spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// The average.
    pub mean: f64,
    /// The standard deviation in parts of the mean; 0 if all are alike.
    pub cv: f64,
}

impl Spread {
    /// Of these. Of none, all zero.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let cv = if mean > 0.0 { variance.sqrt() / mean } else { 0.0 };
        let min = values.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let max = values.iter().copied().reduce(f64::max).unwrap_or(0.0);
        Self { min, max, mean, cv }
    }
}

/// The value that this share of all does not exceed; 0 of none. Sorts them.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = ((values.len() as f64 * share).ceil() as usize).max(1) - 1;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// The middle one.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_all_and_a_quantile_is_one_of_them() {
        let spread = Spread::of(&[1.0, 2.0, 3.0]);
        let cv = (2.0_f64 / 3.0).sqrt() / 2.0;
        assert_eq!(spread, Spread { min: 1.0, max: 3.0, mean: 2.0, cv });
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let quantiles = [0.5, 0.99, 1.0].map(|share| quantile(&mut values, share) as u32);
        assert_eq!(quantiles, [50, 99, 100]);
        assert!(quantile(&mut [], 0.5) <= 0.0, "of none");
    }
}
