//! Recordings for tests: two threads for some seconds.

use fastrand::Rng;

use crate::catalog::Catalog;
use crate::diagnose::diagnose;
use crate::model::{Cause, Nanos};
use crate::profile::fixture::Trace;
use crate::profile::{Recording, RecordingWriter, read_halves, read_stretches};

use super::Run;

/// What the second thread does: a function, and the cause, with the share of its time.
pub(crate) type Does<'a> = &'a [(&'a str, Cause, f64)];

/// A recording of so many seconds at a hundred samples each. The first thread computes; what the
/// second one does is drawn with a seed.
pub(crate) fn run(name: &str, seconds: u64, does: Does<'_>, seed: u64) -> Run {
    recorded(name, seconds, does, seed, 100)
}

/// The same with a threshold in milliseconds.
pub(crate) fn recorded(name: &str, seconds: u64, does: Does<'_>, seed: u64, threshold: u64) -> Run {
    let mut random = Rng::with_seed(seed);
    let mut trace = Trace::new(threshold);
    trace.profile.meta.started_at = i64::try_from(seed).unwrap();
    trace.profile.meta.usable_cpus = 2.0;
    trace.profile.meta.gil = true;
    trace.profile.meta.rate = 100.0;
    let (main, other) = (trace.thread("main"), trace.thread("other"));
    let work = trace.state(&[("main", "app.py", 3), ("work", "app.py", 9)], Cause::Python);
    let states: Vec<_> = does
        .iter()
        .map(|&(function, cause, share)| {
            (trace.state(&[("run", "app.py", 20), (function, "app.py", 30)], cause), share)
        })
        .collect();
    for time in (0..seconds * 1000).step_by(10) {
        let mut left = random.f64();
        let drawn = states.iter().find(|(_, share)| {
            left -= share;
            left < 0.0
        });
        let state = drawn.or(states.last()).unwrap().0;
        trace.sample(time, &[(main, work, None), (other, state, None)]);
        if time % 1000 == 990 {
            trace.cut();
        }
    }
    let (profile, blocks) = trace.finish();
    let mut file = Vec::new();
    let mut writer = RecordingWriter::create(&mut file, &profile.meta).unwrap();
    blocks.iter().for_each(|block| writer.append(block).unwrap());
    writer.finish().unwrap();
    let (Recording { profile, .. }, stretches) = read_stretches(&file[..]).unwrap();
    let halves = read_halves(&file[..], Nanos(profile.quality.elapsed.0 / 2)).unwrap();
    let catalog = Catalog::builtin().unwrap();
    let (diagnosis, halves) =
        (diagnose(&profile, &catalog), halves.map(|it| diagnose(&it, &catalog)));
    Run { name: name.to_owned(), profile, stretches, diagnosis, halves }
}
