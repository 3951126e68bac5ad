//! Who waits for the GIL, who has it meanwhile, and in which functions.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{Cause, FunctionId, ThreadId, Tid};
use crate::profile::Profile;

use super::words::{ratio, rounded};

/// How many functions are listed.
const FUNCTIONS: usize = 50;

/// What the GIL did.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GilMeasures {
    /// Time that threads waited for it, in seconds; several threads' add up.
    pub wait_seconds: f64,
    /// Who kept whom waiting, the longest first.
    pub waits: Vec<GilWait>,
    /// The innermost functions that waited for it or had it, those that waited longest first.
    pub functions: Vec<GilFunction>,
}

/// How long one thread waited while another one had the GIL.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GilWait {
    /// The native id of the one that waited.
    pub waiter_tid: Tid,
    /// Its name.
    pub waiter: String,
    /// The native id of the one that had it.
    pub holder_tid: Tid,
    /// Its name.
    pub holder: String,
    /// At how many samples.
    pub samples: u64,
    /// Of all samples of the one that waited.
    pub share_of_waiter: f64,
    /// How long.
    pub seconds: f64,
}

/// What one function had to do with the GIL.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GilFunction {
    /// The function.
    pub function: String,
    /// Its file.
    pub file: String,
    /// How long threads waited for the GIL in it.
    pub wait_seconds: f64,
    /// How long threads ran in it with the GIL.
    pub held_seconds: f64,
}

impl GilMeasures {
    /// Of a profile; `None` where there is no GIL.
    pub(super) fn of(profile: &Profile) -> Option<Self> {
        let quality = &profile.quality;
        let interval = ratio(quality.elapsed.seconds(), quality.samples as f64);
        let seconds = |samples: u64| rounded(samples as f64 * interval);
        let waiting = profile.rows().filter(|row| row.state.cause == Cause::Gil);
        let waited: u64 = waiting.map(|row| row.samples).sum();
        profile.meta.gil.then(|| Self {
            wait_seconds: seconds(waited),
            waits: waits(profile, seconds),
            functions: functions(profile, seconds),
        })
    }
}

fn waits(profile: &Profile, seconds: impl Fn(u64) -> f64) -> Vec<GilWait> {
    let mut waits = Vec::new();
    for (index, waiter) in profile.threads.iter().enumerate() {
        for (&holder, &samples) in &waiter.gil_waits {
            let named = |id: ThreadId| {
                let info = profile.tables.thread(id);
                (info.map_or(0, |info| info.tid), info.map_or("", |info| &*info.name).to_owned())
            };
            let (waiter_tid, waiter_name) = named(ThreadId::from(index));
            let (holder_tid, holder) = named(holder);
            waits.push(GilWait {
                waiter_tid,
                waiter: waiter_name,
                holder_tid,
                holder,
                samples,
                share_of_waiter: rounded(ratio(samples as f64, waiter.samples as f64)),
                seconds: seconds(samples),
            });
        }
    }
    waits.sort_by_key(|wait| (Reverse(wait.samples), wait.waiter_tid, wait.holder_tid));
    waits
}

fn functions(profile: &Profile, seconds: impl Fn(u64) -> f64) -> Vec<GilFunction> {
    let mut samples: BTreeMap<FunctionId, (u64, u64)> = BTreeMap::new();
    for row in profile.rows() {
        let innermost = profile.tables.frames_of(row.state.stack).next();
        let frame = innermost.and_then(|frame| profile.tables.frames.get(frame));
        let Some(frame) = frame else { continue };
        match row.state.cause {
            Cause::Gil => samples.entry(frame.function).or_default().0 += row.samples,
            Cause::Python => samples.entry(frame.function).or_default().1 += row.samples,
            _ => {}
        }
    }
    let mut heaviest: Vec<_> = samples.into_iter().collect();
    heaviest.sort_by_key(|&(id, samples)| (Reverse(samples), id));
    let listed = heaviest.into_iter().take(FUNCTIONS).filter_map(|(id, (waited, held))| {
        let function = profile.tables.functions.get(id)?;
        Some(GilFunction {
            function: function.name.to_string(),
            file: function.file.to_string(),
            wait_seconds: seconds(waited),
            held_seconds: seconds(held),
        })
    });
    listed.collect()
}

#[cfg(test)]
mod tests {
    use super::GilMeasures;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::model::Cause;

    #[test]
    fn says_who_keeps_whom_waiting_and_where() {
        let mut fixture = Fixture::new(10);
        let [a, b] = ["a", "b"].map(|name| fixture.thread(name));
        let stack = ["app.py:spin:3"];
        fixture.spend(a, 60, &Doing::new(Cause::Python, &stack));
        fixture.spend(b, 60, &Doing::new(Cause::Gil, &stack));
        fixture.spend(b, 40, &Doing::new(Cause::Python, &stack));
        fixture.profile.threads[usize::from(b)].gil_waits.insert(a, 500);
        let gil = GilMeasures::of(&fixture.profile).unwrap();
        assert_eq!(gil.wait_seconds, 6.0);
        let wait = &gil.waits[0];
        assert_eq!((&*wait.waiter, &*wait.holder, wait.samples), ("b", "a", 500));
        assert_eq!((wait.seconds, wait.share_of_waiter), (5.0, 0.5));
        let function = &gil.functions[0];
        assert_eq!((&*function.function, function.wait_seconds), ("spin", 6.0));
        assert_eq!(function.held_seconds, 10.0);
        fixture.profile.meta.gil = false;
        assert_eq!(GilMeasures::of(&fixture.profile), None);
    }
}
