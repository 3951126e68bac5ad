//! What every event loop did, and the steps that blocked it, one by one.

use std::cmp::Reverse;

use schemars::JsonSchema;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::model::{Cause, LoopKind, Nanos, StackId, ThreadId, Tid};
use crate::profile::{Episode, LoopProfile, Profile, StepLengths, ThreadProfile};

use super::event_loop::{handler, selector_stacks};
use super::site::{Site, innermost_user};
use super::words::{ratio, rounded};

/// The most episodes of a loop that a report lists: the longest ones.
const MOST_EPISODES: usize = 1000;

/// What an event loop did.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LoopMeasures {
    /// The native id of its thread.
    pub tid: Tid,
    /// The name of its thread.
    pub thread: String,
    /// Which event loop it is.
    pub kind: Option<LoopKind>,
    /// How many tasks it had at last, where that could be read.
    pub tasks: Option<u32>,
    /// The lengths of its steps.
    pub steps: StepQuantiles,
    /// How many steps were at least as long as the threshold.
    pub blocking_steps: u64,
    /// Their time in seconds.
    pub blocked_seconds: f64,
    /// Their time by the recording's time.
    pub blocked_share: f64,
    /// The time of shorter steps that wait, though the loop could serve others meanwhile, by the
    /// recording's time.
    pub briefly_blocked_share: f64,
    /// What these are shares of.
    pub share_of: &'static str,
    /// How long a callback that becomes ready at a random moment has to wait for the step that the
    /// loop is in, in seconds, on average: the sum of the steps' squares by twice the recording's
    /// time. Short steps count as far as samples saw them.
    pub mean_delay_seconds: f64,
    /// The longest of these steps, in the order of time.
    pub episodes: Vec<EpisodeMeasures>,
}

/// Lengths of an event loop's steps in seconds, of those that some sample saw: steps shorter than
/// the sampling interval are mostly missing, so that the true percentiles are lower.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct StepQuantiles {
    /// How many were seen.
    pub count: u64,
    /// The length that half of them reach.
    pub p50: f64,
    /// The length that one in ten reaches.
    pub p90: f64,
    /// The length that one in a hundred reaches.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// A step that blocked its event loop. Times are seconds, and begin with the recording.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EpisodeMeasures {
    /// When it began.
    pub start: f64,
    /// Whether that is the loop's own reading of the clock and not an estimate.
    pub start_exact: bool,
    /// How long it lasted.
    pub seconds: f64,
    /// How long it lasted at least.
    pub seconds_low: f64,
    /// How long it lasted at most.
    pub seconds_high: f64,
    /// The task that it was a step of; none for a plain callback.
    pub task: Option<String>,
    /// The function of that task's coroutine, and where it begins.
    pub coroutine: Option<Site>,
    /// What the loop called: the outermost function of the program's own, at the line where it was.
    pub handler: Option<Site>,
    /// The innermost line of the program's own in most of the samples.
    #[serde(rename = "where")]
    pub site: Option<Site>,
    /// What it did there.
    pub cause: Option<Cause>,
    /// The probe that knows the call.
    pub probe: Option<String>,
    /// The other end of the socket, or the file, that it waited for.
    pub peer: Option<String>,
    /// Callbacks that were ready meanwhile, tasks among them.
    pub ready: Option<u32>,
    /// Timers that were overdue meanwhile, where the loop lets them be read.
    pub overdue: Option<u32>,
}

/// The event loops that were seen.
pub(super) fn loops(profile: &Profile, catalog: &Catalog) -> Vec<LoopMeasures> {
    let threads = profile.threads.iter().enumerate();
    let with_loop = threads.filter_map(|(index, thread)| {
        Some((ThreadId::from(index), thread, thread.event_loop.as_ref()?))
    });
    with_loop.map(|(id, thread, it)| measures(profile, catalog, (id, thread), it)).collect()
}

fn measures(
    profile: &Profile,
    catalog: &Catalog,
    (id, thread): (ThreadId, &ThreadProfile),
    event_loop: &LoopProfile,
) -> LoopMeasures {
    let info = profile.tables.thread(id);
    let elapsed = profile.quality.elapsed.seconds();
    // Of a step that had begun before, the recording's part counts.
    let origin = profile.meta.origin;
    let lengths = event_loop.episodes.iter().map(|it| it.step.length_since(origin).seconds());
    let blocked: f64 = lengths.clone().sum();
    let squares: f64 = lengths.map(|length| length * length).sum();
    let samples = profile.quality.samples as f64;
    let short = event_loop.short.values();
    let short: f64 = short.map(|steps| steps.lengths.seconds()).sum();
    let squares = squares + short * ratio(elapsed, samples);
    let brief_waits = event_loop.short_blocks(&profile.tables, profile.meta.threshold);
    let mut longest: Vec<&Episode> = event_loop.episodes.iter().collect();
    longest.sort_by_key(|episode| Reverse(episode.step.length()));
    longest.truncate(MOST_EPISODES);
    longest.sort_by_key(|episode| episode.step.start);
    let selectors = selector_stacks(&profile.tables, thread);
    let episodes = longest.into_iter().map(|it| told(profile, catalog, &selectors, it));
    let tid = info.map_or(0, |info| info.tid);
    let looked = profile.tasks.loops.iter().find(|it| it.tid == Some(tid));
    LoopMeasures {
        tid,
        thread: info.map_or_else(String::new, |info| info.name.to_string()),
        kind: event_loop.kind,
        tasks: event_loop.tasks.or(looked.map(|it| it.tasks)),
        steps: StepQuantiles::of(&event_loop.steps),
        blocking_steps: event_loop.episodes.len() as u64,
        blocked_seconds: rounded(blocked),
        blocked_share: rounded(ratio(blocked, elapsed)),
        briefly_blocked_share: rounded(ratio(brief_waits as f64, samples)),
        share_of: "the recording's time",
        mean_delay_seconds: rounded(ratio(squares, 2.0 * elapsed)),
        episodes: episodes.collect(),
    }
}

fn told(
    profile: &Profile,
    catalog: &Catalog,
    selectors: &[StackId],
    episode: &Episode,
) -> EpisodeMeasures {
    let tables = &profile.tables;
    let step = &episode.step;
    let state = episode.states.first().and_then(|(state, _)| tables.states.get(*state));
    let stack = state.map(|state| state.stack);
    let coroutine = step.task.as_ref().and_then(|task| tables.functions.get(task.coroutine?));
    let probe = state.and_then(|state| catalog.probe(tables.note(state)?));
    let peer = state.and_then(|state| tables.descriptors.get(state.descriptor?));
    EpisodeMeasures {
        start: fine(step.start.since(profile.meta.origin)),
        start_exact: step.exact,
        seconds: fine(step.length()),
        seconds_low: fine(step.shortest()),
        seconds_high: fine(step.longest()),
        task: step.task.as_ref().map(|task| task.name.to_string()),
        coroutine: coroutine.map(Site::of),
        handler: stack.and_then(|stack| Some(handler(tables, selectors, stack)?.site())),
        site: stack.and_then(|stack| Some(innermost_user(tables, stack)?.site())),
        cause: state.map(|state| state.cause),
        probe: probe.map(|probe| probe.id.clone()),
        peer: peer.and_then(|descriptor| descriptor.target().map(str::to_owned)),
        ready: step.kept.map(|kept| kept.ready),
        overdue: step.kept.and_then(|kept| kept.overdue),
    }
}

impl StepQuantiles {
    fn of(lengths: &StepLengths) -> Self {
        let at = |share| fine(lengths.quantile(share));
        Self {
            count: lengths.count(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: fine(lengths.max()),
        }
    }
}

/// A length in seconds, to the microsecond.
fn fine(length: Nanos) -> f64 {
    (length.seconds() * 1e6).round() / 1e6
}
