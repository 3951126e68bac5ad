//! How far chance reaches: a moving-block bootstrap over the recording's seconds, or over longer
//! spans of a long recording.
//!
//! Samples that follow each other are alike, so that counting them as independent would make every
//! interval far too narrow. Whole stretches of seconds are drawn instead, with replacement
//! (Künsch 1989, "The jackknife and the bootstrap for general stationary observations"); a stretch
//! is the cube root of the number of seconds long, the usual choice.

use std::ops::Range;

use crate::profile::Profile;

use super::totals::{Adder, Totals};

/// How often the recording is drawn anew.
const DRAWS: usize = 200;

/// From how many seconds on the seconds tell anything about chance.
const FEWEST_SECONDS: usize = 4;

/// Totals of recordings that might as well have been made.
#[derive(Debug, Clone, Default)]
pub(super) struct Resamples {
    draws: Vec<Totals>,
}

/// Where a number lies in 95 of 100 recordings of the same program in the same state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Resamples {
    /// Draws from some of the seconds of `profile`; nothing when there are too few of them.
    pub(super) fn of(profile: &Profile, spans: Range<usize>) -> Self {
        let adder = Adder::new(profile);
        let seconds = profile.spans.iter().take(spans.end).skip(spans.start);
        let seconds = seconds.filter(|span| span.samples > 0);
        let seconds: Vec<_> = seconds.map(|span| adder.span(span)).collect();
        Self::draw(&seconds)
    }

    fn draw(seconds: &[Totals]) -> Self {
        let count = seconds.len();
        if count < FEWEST_SECONDS {
            return Self::default();
        }
        let block = (count as f64).cbrt().round().max(1.0) as usize;
        // The seed is fixed so that the same recording always gives the same report.
        let mut random = fastrand::Rng::with_seed(0x70_79_63_6f_6e_63);
        let mut draw = || {
            let mut totals = Totals::default();
            let mut drawn = 0;
            while drawn < count {
                let length = block.min(count - drawn);
                let start = random.usize(..count);
                // The last second is followed by the first, or the ends would be drawn too rarely.
                let (before, after) = seconds.split_at(start);
                after.iter().chain(before).take(length).for_each(|&one| totals += one);
                drawn += length;
            }
            totals
        };
        Self { draws: (0..DRAWS).map(|_| draw()).collect() }
    }

    /// The interval of a number; `None` when the recording is too short to tell.
    pub(super) fn interval(&self, number: impl Fn(&Totals) -> f64) -> Option<Interval> {
        let mut numbers: Vec<_> = self.draws.iter().map(number).collect();
        numbers.sort_unstable_by(f64::total_cmp);
        let margin = numbers.len() / 40;
        let low = numbers.get(margin).copied()?;
        let high = numbers.iter().rev().nth(margin).copied()?;
        Some(Interval { low, high })
    }

    /// The share of the draws for which something holds; `None` when there are none.
    pub(super) fn share(&self, holds: impl Fn(&Totals) -> bool) -> Option<f64> {
        let count = self.draws.iter().filter(|totals| holds(totals)).count();
        (!self.draws.is_empty()).then(|| count as f64 / self.draws.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Resamples, Totals};

    fn seconds(cpu: impl Iterator<Item = f64>) -> Vec<Totals> {
        cpu.map(|cpu| Totals { cpu, elapsed: 1.0, ..Totals::default() }).collect()
    }

    fn width(seconds: &[Totals]) -> f64 {
        let interval = Resamples::draw(seconds).interval(|totals| totals.cpu / totals.elapsed);
        let interval = interval.unwrap();
        assert!(interval.low <= 0.5 && interval.high >= 0.5, "{interval:?}");
        interval.high - interval.low
    }

    #[test]
    fn alike_neighbours_make_the_interval_wider() {
        let alternating = seconds((0..64).map(|second| f64::from(second % 2)));
        let in_stretches = seconds((0..64).map(|second| f64::from(second / 8 % 2)));
        assert!(width(&in_stretches) > 1.5 * width(&alternating));
    }

    #[test]
    fn the_same_recording_gives_the_same_interval_and_a_short_one_none() {
        let long = seconds((0..20).map(|second| f64::from(second % 3)));
        let of = |seconds: &[Totals]| Resamples::draw(seconds).interval(|totals| totals.cpu);
        assert_eq!(of(&long), of(&long));
        assert_eq!(of(&long[..3]), None);
    }
}
