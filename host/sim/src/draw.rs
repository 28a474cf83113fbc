//! Amounts drawn by chance: how long a task takes, when the next one arrives, how large it is.
//!
//! Integers only (`fixed.rs`): the same seed draws the same on every machine.

use crate::fixed::{LN_2, LOG2_E, ONE, exp2, log2, sqrt, times};
use crate::rng::Rng;

/// The largest amount that can be drawn, or given as a bound.
pub const DRAW_MAX: u64 = (1 << 31) - 1;

/// A distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Always the same.
    Fixed(u64),
    /// Each amount from the least to the largest equally often.
    Uniform(u64, u64),
    /// The time until the next of things that come independently of each other.
    Exponential {
        /// Its mean.
        mean: u64,
        /// No more than that.
        max: u64,
    },
    /// Mostly little, now and then very much: the heavy tail of batch jobs.
    Pareto {
        /// The least.
        min: u64,
        /// The largest.
        max: u64,
        /// How steep the tail is, in thousandths; the smaller, the heavier.
        alpha_milli: u64,
    },
    /// Its logarithm is bell-shaped: a heavy tail, and little that is very small.
    Lognormal {
        /// As much is drawn above as below.
        median: u64,
        /// How wide, in thousandths.
        sigma_milli: u64,
        /// No more than that.
        max: u64,
    },
}

impl Draw {
    /// What is wrong with its bounds, if anything.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let (low, high) = self.bounds();
        if low > high {
            return Some(format!("min, {low}, is more than max, {high}"));
        }
        if high > DRAW_MAX {
            return Some(format!("at most {DRAW_MAX}, not {high}"));
        }
        match *self {
            Draw::Pareto { min: 0, .. } => Some("min: at least 1 for a Pareto distribution".into()),
            Draw::Pareto { alpha_milli, .. } if !(100..=10_000).contains(&alpha_milli) => Some(
                format!("alpha: from 0.1 to 10, not {alpha_milli} thousandths"),
            ),
            Draw::Lognormal { median: 0, .. } => Some("median: at least 1".into()),
            Draw::Lognormal { sigma_milli, .. } if sigma_milli > 5_000 => {
                Some(format!("sigma: at most 5, not {sigma_milli} thousandths"))
            }
            _ => None,
        }
    }

    /// The least and the largest that can be drawn.
    #[must_use]
    pub fn bounds(&self) -> (u64, u64) {
        match *self {
            Draw::Fixed(n) => (n, n),
            Draw::Uniform(min, max) | Draw::Pareto { min, max, .. } => (min, max),
            Draw::Exponential { max, .. } | Draw::Lognormal { max, .. } => (0, max),
        }
    }

    /// One amount.
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        match *self {
            Draw::Fixed(n) => n,
            Draw::Uniform(min, max) => rng.between(min, max),
            Draw::Exponential { mean, max } => {
                let e_folds = times(log2(part(rng)).unsigned_abs(), LN_2);
                times(mean << 32, e_folds).min(max << 32) >> 32
            }
            Draw::Pareto {
                min,
                max,
                alpha_milli,
            } => {
                // The inverse of the distribution: min / (1 - u (1 - (min / max)^alpha))^(1 / alpha)
                let alpha = i128::from(alpha_milli);
                let ratio = i128::from(log2(max << 32) - log2(min << 32));
                let floor = exp2(-clamp(ratio * alpha / 1_000));
                let rest = ONE - times(part(rng) - 1, ONE - floor);
                let by = exp2(clamp(i128::from(-log2(rest)) * 1_000 / alpha));
                times(min << 32, by).clamp(min << 32, max << 32) >> 32
            }
            Draw::Lognormal {
                median,
                sigma_milli,
                max,
            } => {
                let width = i128::from(sigma_milli) * i128::from(LOG2_E) / 1_000;
                let by = exp2(clamp((i128::from(normal(rng)) * width) >> 32));
                times(median << 32, by).min(max << 32) >> 32
            }
        }
    }
}

fn clamp(x: i128) -> i64 {
    i64::try_from(x).unwrap_or(if x < 0 { i64::MIN / 2 } else { i64::MAX / 2 })
}

/// Above 0, up to 1.
fn part(rng: &mut Rng) -> u64 {
    (rng.draw() >> 32) + 1
}

/// Of the bell curve with width 1 (Marsaglia's polar method).
fn normal(rng: &mut Rng) -> i64 {
    let side = |rng: &mut Rng| (rng.draw() >> 31) as i64 - ONE as i64;
    loop {
        let (u, v) = (side(rng), side(rng));
        let (square_u, square_v) = (u.unsigned_abs(), v.unsigned_abs());
        let radius = times(square_u, square_u) + times(square_v, square_v);
        if radius == 0 || radius >= ONE {
            continue;
        }
        let minus_ln = times(log2(radius).unsigned_abs(), LN_2);
        let ratio = (u128::from(2 * minus_ln) << 32) / u128::from(radius);
        let by = i128::from(sqrt(u64::try_from(ratio).unwrap_or(u64::MAX)));
        return clamp((i128::from(u) * by) >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: u64 = 100_000;

    fn drawn(draw: Draw) -> Vec<u64> {
        let mut rng = Rng::new(7);
        let mut drawn: Vec<u64> = (0..MANY).map(|_| draw.draw(&mut rng)).collect();
        let (low, high) = draw.bounds();
        assert!(drawn.iter().all(|n| (low..=high).contains(n)), "{draw:?}");
        drawn.sort_unstable();
        drawn
    }

    /// The part of all that is below.
    fn below(drawn: &[u64], bound: u64) -> f64 {
        drawn.partition_point(|n| *n < bound) as f64 / drawn.len() as f64
    }

    fn near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 0.005,
            "{found}, expected {expected}"
        );
    }

    #[test]
    fn exponential_times_have_their_mean_and_tail() {
        let mean = 100_000;
        let drawn = drawn(Draw::Exponential {
            mean,
            max: DRAW_MAX,
        });
        let sum: u64 = drawn.iter().sum();
        near(sum as f64 / (MANY * mean) as f64, 1.0);
        near(below(&drawn, mean), 1.0 - (-1.0_f64).exp());
        near(below(&drawn, 3 * mean), 1.0 - (-3.0_f64).exp());
    }

    #[test]
    fn pareto_has_its_tail() {
        let (min, max, alpha) = (1_000, 10_000_000, 1.2);
        let drawn = drawn(Draw::Pareto {
            min,
            max,
            alpha_milli: 1_200,
        });
        let cut = 1.0 - (min as f64 / max as f64).powf(alpha);
        for bound in [2_000, 10_000, 100_000] {
            let above = (min as f64 / bound as f64).powf(alpha);
            near(below(&drawn, bound), (1.0 - above) / cut);
        }
        assert!(drawn[drawn.len() - 1] > 1_000_000, "the tail is heavy");
    }

    #[test]
    fn lognormal_has_its_median_and_width() {
        let drawn = drawn(Draw::Lognormal {
            median: 60_000,
            sigma_milli: 1_500,
            max: DRAW_MAX,
        });
        near(below(&drawn, 60_000), 0.5);
        // One and two widths above.
        near(below(&drawn, (60_000.0 * 1.5_f64.exp()) as u64), 0.8413);
        near(below(&drawn, (60_000.0 * 3.0_f64.exp()) as u64), 0.9772);
    }

    #[test]
    fn absurd_bounds_are_named() {
        let pareto = |min, max, alpha_milli| Draw::Pareto {
            min,
            max,
            alpha_milli,
        };
        assert_eq!(pareto(1, 1, 1_000).problem(), None);
        for absurd in [
            pareto(2, 1, 1_000),
            pareto(0, 1, 1_000),
            pareto(1, 2, 99),
            Draw::Fixed(DRAW_MAX + 1),
        ] {
            assert!(absurd.problem().is_some(), "{absurd:?}");
        }
        assert_eq!(Draw::Fixed(DRAW_MAX).problem(), None);
    }
}
