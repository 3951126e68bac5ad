//! How far chance reaches when two recordings are compared.
//!
//! What is compared are ratios of sums, as "samples that wait for the GIL by all samples". Samples
//! that follow each other are alike, so that they say less than their number promises: what counts
//! as one observation is a stretch of the recording, of about a second or longer. The variance of a
//! ratio is that of its residuals `numerator - ratio * denominator` (Cochran, Sampling Techniques,
//! 6.4), made larger where stretches that follow each other are alike, too (the variance inflation
//! of a first-order autoregression). Two ratios differ by Welch's test, and of many tests as few are
//! wrong as Benjamini and Hochberg (1995) promise.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::diagnose::ratio;

/// The fewest observations that tell anything about chance.
pub(super) const FEWEST: usize = 4;
/// The error that is accepted: one change in twenty is found where none is.
pub(super) const ALPHA: f64 = 0.05;
/// Beyond this autocorrelation the estimate of it is worth nothing.
const MOST_ALIKE: f64 = 0.8;

/// A ratio as it was observed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Observed {
    pub(super) value: f64,
    /// How uncertain it is; none when there were too few observations.
    spread: Option<Spread>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    /// The variance, were the observations independent.
    seen: f64,
    /// No variance is smaller.
    least: f64,
    /// Observations.
    count: f64,
    /// How much observations resemble the next ones: their first autocorrelation.
    alike: f64,
}

impl Spread {
    /// Variance and degrees of freedom, where observations resemble the next ones so much.
    fn with(&self, alike: f64) -> (f64, f64) {
        // With few observations the estimate is too low, by about this much (Marriott and Pope 1954).
        let alike = alike + (1.0 + 3.0 * alike) / self.count;
        let alike = alike.clamp(0.0, MOST_ALIKE);
        let inflation = (1.0 + alike) / (1.0 - alike);
        ((self.seen * inflation).max(self.least), ((self.count - 1.0) / inflation).max(1.0))
    }
}

/// How two ratios differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Difference {
    /// After less before.
    pub(super) value: f64,
    /// Where it lies in 95 of 100 such pairs of recordings, and how likely a difference as large is
    /// when there is none; none when a recording is too short to tell.
    pub(super) chance: Option<Chance>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chance {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) p: f64,
}

impl Observed {
    /// A ratio of sums, given by observation as numerator and denominator. Where `counted`, both
    /// are counts of samples of which the numerator's are a part, and no less uncertain than
    /// independent ones.
    pub(super) fn of(parts: &[(f64, f64)], counted: bool) -> Self {
        let parts: Vec<_> = parts.iter().filter(|(_, whole)| *whole > 0.0).collect();
        let (part, whole) = parts.iter().fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        if whole <= 0.0 {
            return Self { value: 0.0, spread: None };
        }
        let value = part / whole;
        if parts.len() < FEWEST {
            return Self { value, spread: None };
        }
        let count = parts.len() as f64;
        let rest: Vec<f64> = parts.iter().map(|(part, whole)| part - value * whole).collect();
        let squares: f64 = rest.iter().map(|rest| rest * rest).sum();
        let pairs = rest.iter().zip(rest.iter().skip(1));
        let alike = ratio(pairs.map(|(one, next)| one * next).sum::<f64>(), squares);
        // Laplace's rule keeps a count of none, or of all, from being certain.
        let share = ((part + 1.0) / (whole + 2.0)).clamp(0.0, 1.0);
        let least = if counted { share * (1.0 - share) / whole } else { 0.0 };
        let seen = count / (count - 1.0) * squares / (whole * whole);
        Self { value, spread: Some(Spread { seen, least, count, alike }) }
    }

    /// How another differs from it.
    pub(super) fn differs(&self, after: &Self) -> Difference {
        let value = after.value - self.value;
        let chance = self.spread.zip(after.spread).and_then(|(a, b)| {
            // One recording alone has too few observations to tell how much they are alike.
            let alike = (a.count * a.alike + b.count * b.alike) / (a.count + b.count);
            let ((one, of_one), (other, of_other)) = (a.with(alike), b.with(alike));
            let variance = one + other;
            if variance <= 0.0 {
                let p = if value == 0.0 { 1.0 } else { 0.0 };
                return Some(Chance { low: value, high: value, p });
            }
            let freedom = variance * variance / (one * one / of_one + other * other / of_other);
            let error = variance.sqrt();
            let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
            let reach = error * student.inverse_cdf(1.0 - ALPHA / 2.0);
            let p = 2.0 * student.sf((value / error).abs());
            Some(Chance { low: value - reach, high: value + reach, p: p.clamp(0.0, 1.0) })
        });
        Difference { value, chance }
    }
}

/// The p-values of tests that are looked at together, so corrected that of those at or below a bound
/// at most that share is wrong.
pub(super) fn adjusted(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| {
        values.get(*b).partial_cmp(&values.get(*a)).unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut adjusted = vec![1.0; values.len()];
    let mut least: f64 = 1.0;
    for (place, index) in order.into_iter().enumerate() {
        let rank = values.len() - place;
        let value = values.get(index).copied().unwrap_or(1.0);
        least = least.min(value * values.len() as f64 / rank as f64);
        if let Some(slot) = adjusted.get_mut(index) {
            *slot = least;
        }
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::{ALPHA, Observed, adjusted};

    /// Seconds of a hundred samples, of which so many are of a kind.
    fn seconds(shares: &[f64]) -> Vec<(f64, f64)> {
        shares.iter().map(|share| (100.0 * share, 100.0)).collect()
    }

    #[test]
    fn a_shift_is_found_with_its_size() {
        let before = seconds(&[0.30, 0.32, 0.29, 0.31, 0.30, 0.33, 0.28, 0.31, 0.30, 0.30]);
        let after = seconds(&[0.20, 0.22, 0.19, 0.21, 0.20, 0.23, 0.18, 0.21, 0.20, 0.20]);
        let difference = Observed::of(&before, true).differs(&Observed::of(&after, true));
        let chance = difference.chance.unwrap();
        assert!((difference.value + 0.1).abs() < 1e-9);
        assert!(chance.low < -0.1 && -0.1 < chance.high && chance.high < 0.0, "{chance:?}");
        assert!(chance.p < 1e-3, "{chance:?}");
    }

    #[test]
    fn what_is_too_short_is_not_judged() {
        let short = Observed::of(&seconds(&[0.3, 0.3, 0.3]), true);
        let long = Observed::of(&seconds(&[0.3; 10]), true);
        assert_eq!(short.differs(&long).chance, None);
        assert!(long.differs(&long).chance.unwrap().p > 0.99);
        assert_eq!(Observed::of(&[], true).value, 0.0);
    }

    /// None of ten is not a proof that there never is one.
    #[test]
    fn never_is_uncertain_too() {
        let never = Observed::of(&seconds(&[0.0; 10]), true);
        let once =
            Observed::of(&seconds(&[0.0, 0.0, 0.0, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), true);
        assert!(never.differs(&once).chance.unwrap().p > 0.2);
    }

    /// Pairs of recordings of one program, whose seconds resemble those before: an error in twenty.
    #[test]
    fn chance_is_called_chance() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut recording = |seconds: usize| {
            let mut level: f64 = 0.0;
            let parts: Vec<_> = (0..seconds)
                .map(|_| {
                    level = 0.5 * level + 0.05 * (random.f64() + random.f64() - 1.0);
                    (100.0 * (0.4 + level), 100.0)
                })
                .collect();
            Observed::of(&parts, true)
        };
        let mut found = 0;
        for _ in 0..1000 {
            let (before, after) = (recording(30), recording(30));
            found += u32::from(before.differs(&after).chance.unwrap().p < ALPHA);
        }
        assert!((5..=80).contains(&found), "{found} of 1000");
    }

    #[test]
    fn many_tests_are_held_to_more() {
        let values = [0.01, 0.02, 0.03, 0.5];
        let expected = [0.04, 0.04, 0.04, 0.5];
        for (one, other) in adjusted(&values).iter().zip(expected) {
            assert!((one - other).abs() < 1e-9, "{one} {other}");
        }
        assert!(adjusted(&[]).is_empty());
    }
}
