//! How long the steps of an event loop took: a histogram, whose memory does not grow with time.

use std::fmt;

use hdrhistogram::Histogram;

use crate::model::Nanos;

/// Decimal digits to which a length is kept.
const DIGITS: u8 = 3;
/// The unit of the histogram: a microsecond.
const UNIT: u64 = 1000;
/// The longest length that is told from longer ones: a day.
const LONGEST: u64 = 24 * 3600 * 1_000_000;

/// Lengths of steps, each to a thousandth of itself.
///
/// Without one it takes no memory.
#[derive(Clone, Default)]
pub struct StepLengths(Option<Histogram<u64>>);

impl StepLengths {
    /// Adds a step.
    pub fn add(&mut self, length: Nanos) {
        if self.0.is_none() {
            self.0 = Histogram::new_with_bounds(1, LONGEST, DIGITS).ok();
        }
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(length.0 / UNIT);
        }
    }

    /// Adds all steps of another.
    pub fn merge(&mut self, more: &Self) {
        match (&mut self.0, &more.0) {
            (_, None) => {}
            (None, Some(_)) => self.clone_from(more),
            (Some(histogram), Some(more)) => {
                // Both have the same bounds, so that none of them is too long.
                let _ = histogram.add(more);
            }
        }
    }

    /// How many steps there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// The length that a share of the steps does not exceed; 0 when there is none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Nanos {
        let value = self.0.as_ref().map_or(0, |histogram| histogram.value_at_quantile(share));
        Nanos(value.min(self.max().0 / UNIT) * UNIT)
    }

    /// How many steps took up to a millisecond, up to two, up to four, and so on: each upper bound with
    /// its count.
    pub fn doublings(&self) -> impl Iterator<Item = (Nanos, u64)> + '_ {
        let buckets = self.0.iter().flat_map(|histogram| histogram.iter_log(1000, 2.0));
        buckets.map(|bucket| {
            let bound = (bucket.value_iterated_to() + 1).saturating_mul(UNIT);
            (Nanos(bound), bucket.count_since_last_iteration())
        })
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Nanos {
        Nanos(self.0.as_ref().map_or(0, Histogram::max).saturating_mul(UNIT))
    }
}

impl fmt::Debug for StepLengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps of at most {:?}", self.count(), self.max())
    }
}

#[cfg(test)]
mod tests {
    use super::StepLengths;
    use crate::model::Nanos;

    #[test]
    fn shares_of_the_steps_are_as_long_as_they_were() {
        let mut lengths = StepLengths::default();
        assert_eq!((lengths.count(), lengths.quantile(0.5)), (0, Nanos(0)));
        for length in 1..=1000 {
            lengths.add(Nanos(length * Nanos::MILLISECOND.0));
        }
        lengths.add(Nanos(u64::MAX));
        assert_eq!(lengths.count(), 1001);
        let median = lengths.quantile(0.5).seconds();
        assert!((0.5..0.502).contains(&median), "{median}");
        assert!((86_000.0..87_000.0).contains(&lengths.max().seconds()), "{lengths:?}");
    }
}
