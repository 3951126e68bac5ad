//! What a change would gain, from what was measured.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnose::load::Load;
use crate::diagnose::words::{ratio, rounded};
use crate::model::Cause;
use crate::profile::{Profile, StateKind};

/// What a gain is a gain of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Operations a second: after by before.
    Throughput,
    /// Seconds by which a callback of the event loop that becomes ready at a random moment is late,
    /// on average: before less after.
    Delay,
    /// The most operations at the other end at once: before by after.
    InFlight,
    /// Seconds that the end of the program takes: before less after.
    Shutdown,
    /// Threads, or tasks, that go on: after less before.
    Working,
}

impl Metric {
    /// What the numbers mean, behind them in a sentence.
    const fn unit(self) -> &'static str {
        match self {
            Self::Throughput => "times the throughput",
            Self::Delay => "seconds less delay of each turn of the loop, on average",
            Self::InFlight => "times fewer operations in flight at once",
            Self::Shutdown => "seconds less until it has ended",
            Self::Working => "threads or tasks more that go on",
        }
    }
}

/// A gain as an interval: what to expect in nine of ten cases that meet the assumption.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Gain {
    /// What it is a gain of.
    pub metric: Metric,
    /// The least to expect.
    pub low: f64,
    /// The most to expect.
    pub high: f64,
    /// What the numbers mean.
    pub unit: &'static str,
    /// How they were made, with the numbers put in.
    pub arithmetic: String,
    /// What must hold besides, which the recording does not tell.
    pub assumes: Option<&'static str>,
}

/// The requests that are taken to be in flight at once where waits are to overlap.
pub(super) const IN_FLIGHT: f64 = 8.0;
/// The bound of a fan-out that is proposed.
pub(super) const BOUND: f64 = 50.0;

impl Gain {
    fn of(metric: Metric, (low, high): (f64, f64), arithmetic: String) -> Self {
        let (low, high) = (rounded(low.min(high)), rounded(high));
        Self { metric, low, high, unit: metric.unit(), arithmetic, assumes: None }
    }

    /// `times` at the best, of which a share is lost at the worst; never a loss.
    fn throughput(times: f64, lost: f64, arithmetic: String) -> Self {
        let least = 1.0 + (times - 1.0) * (1.0 - lost);
        // Less waiting for each other makes the rest a little faster, too.
        let most = 1.0 + (times - 1.0) * 1.25;
        Self::of(Metric::Throughput, (least.max(most / 2.0), most), arithmetic)
    }

    fn assuming(self, what: &'static str) -> Self {
        Self { assumes: Some(what), ..self }
    }

    /// By processes, when several threads queue for the GIL.
    ///
    /// Amdahl: what advances today (threads that compute) against what could advance (those and
    /// the GIL's waiters, at most one for each CPU).
    pub(super) fn of_leaving_the_gil(load: &Load) -> Self {
        let (times, arithmetic) = leaving_the_gil(load, load.mean(Cause::Gil));
        Self::throughput(times, 0.35, arithmetic)
            .assuming("the pieces of work are large against what is sent to and fro for each")
    }

    /// The same by a build without the GIL, whose interpreter is slower for a single thread.
    pub(super) fn of_dropping_the_gil(load: &Load) -> Self {
        // Whoever has one of their locks waits for the GIL with it, and so does the queue behind.
        let (times, arithmetic) = leaving_the_gil(load, load.mean(Cause::Gil) + load.entering());
        let (low, high) = (0.57 * times, 1.1 * times);
        let arithmetic = format!(
            "{arithmetic}; a free-threaded build takes up to 45 % of that for its finer locks"
        );
        Self::of(Metric::Throughput, (low.max(high / 2.0), high), arithmetic)
            .assuming("what the threads share is not written by all of them all the time")
    }

    /// By dividing one thread's computation among the CPUs.
    ///
    /// Amdahl with the share of the time that computes as the parallel part.
    pub(super) fn of_dividing(load: &Load) -> Option<Self> {
        let cpus = load.facts.usable_cpus;
        let parallel = load.facts.busiest.min(1.0);
        let times = 1.0 / (1.0 - parallel + parallel / cpus);
        let arithmetic = format!(
            "Amdahl: 1 / ({:.2} + {parallel:.2} / {cpus:.1} CPUs) = {times:.2}",
            1.0 - parallel
        );
        cpus.is_finite()
            .then(|| Self::throughput(times, 0.5, arithmetic).assuming("the work can be divided"))
    }

    /// By letting the waits of one thread overlap.
    ///
    /// Little's law: with so many requests in flight the throughput is so many times that of one,
    /// as long as the other end keeps its response time and one thread can do what is to be done
    /// between the waits.
    pub(super) fn of_overlapping(load: &Load) -> Self {
        let between = ratio(load.on_cpu(), load.on_cpu() + load.io());
        let most = if between > 0.0 { 1.0 / between } else { f64::INFINITY };
        let times = IN_FLIGHT.min(most);
        let arithmetic = format!(
            "Little: {IN_FLIGHT:.0} requests in flight instead of 1, at most 1 / {between:.3} (the share \
             that one CPU has to compute)"
        );
        Self::of(Metric::Throughput, ((0.55 * times).max(1.0), 1.05 * times), arithmetic)
            .assuming("the requests do not need each other's answers, and the other end answers 8 at a time as fast as one")
    }

    /// By tasks in the place of threads that wait at the same time.
    pub(super) fn of_tasks_for_threads(waiting: f64) -> Self {
        let arithmetic = format!("the same {waiting:.0} waits overlap today and then");
        Self::of(Metric::Throughput, (0.75, 1.45), arithmetic).assuming(
            "the other end sets the pace; what is saved is memory and switches of threads",
        )
    }

    /// By computing while waiting.
    pub(super) fn of_mixing(load: &Load) -> Self {
        let (computes, waits) = (load.on_cpu(), load.io());
        let times = ratio(computes + waits, computes.max(waits));
        let arithmetic = format!(
            "{computes:.2} threads compute and {waits:.2} wait: at best the shorter part disappears"
        );
        Self::throughput(times, 0.7, arithmetic).assuming("the pieces of work are independent")
    }

    /// By not holding a lock while waiting: the queue for it could go on, computations in Python
    /// one at a time.
    pub(super) fn of_smaller_blocks(profile: &Profile, load: &Load) -> Self {
        let (queue, going) = users_of_locks(profile);
        let going = going.max(0.2);
        let computing = ratio(load.on_cpu(), going).min(1.0);
        let cpus = if load.facts.gil { 1.0 } else { load.facts.usable_cpus };
        let most = if computing > 0.0 { cpus / computing } else { f64::INFINITY };
        let times = (1.0 + queue / going).min(most.max(1.0));
        let arithmetic = format!(
            "of the threads that use the lock {:.1} could go on instead of {going:.1}, of whose time {computing:.2} is on a CPU",
            queue + going
        );
        Self::of(Metric::Throughput, ((0.57 * times).max(1.0), 1.1 * times), arithmetic)
            .assuming("the lock guards data, and not the waits that happen under it")
    }

    /// By not holding a lock of asyncio's while waiting: all that wait for it could wait at once.
    pub(super) fn of_smaller_async_blocks(waiters: f64, load: &Load) -> Self {
        let tasks = 1.0 + waiters;
        Self::of_waits_at_once(1.0, tasks, load)
            .assuming("the lock guards data, and not the waits that happen under it")
    }

    /// By so many times the workers that wait at once.
    pub(super) fn of_more_waiters(workers: f64, load: &Load) -> Self {
        Self::of_waits_at_once(workers, workers * IN_FLIGHT, load)
            .assuming("the other end answers so many at a time as fast as it does today")
    }

    /// Little's law: `then` waits at once in the place of `today`, as far as one CPU allows.
    fn of_waits_at_once(today: f64, then: f64, load: &Load) -> Self {
        let busy = load.on_cpu();
        let most = if busy > 0.0 { 1.0 / busy } else { f64::INFINITY };
        let times = (then / today).min(most).max(1.0);
        let arithmetic = format!(
            "Little: {then:.1} waits at once instead of {today:.1}, at most 1 / {busy:.3} (the CPUs used today)"
        );
        Self::of(Metric::Throughput, ((0.55 * times).max(1.0), 1.05 * times.max(1.0)), arithmetic)
    }

    /// By children that run at once, as far as there are CPUs for what they compute.
    pub(super) fn of_children_at_once(load: &Load) -> Self {
        let used = load.facts.children_cpus;
        let cpus = load.facts.usable_cpus;
        let most = if used > 0.0 { cpus / used } else { f64::INFINITY };
        let times = IN_FLIGHT.min(most).max(1.0);
        let arithmetic = format!(
            "{IN_FLIGHT:.0} children at once instead of 1, at most {cpus:.1} CPUs / {used:.2} that one uses"
        );
        Self::of(Metric::Throughput, ((0.55 * times).max(1.0), 1.05 * times.max(1.0)), arithmetic)
            .assuming("the children do not need each other's results")
    }

    /// By getting the CPUs within reach.
    pub(super) fn of_more_cpu(load: &Load) -> Self {
        let times = ratio(1.0, 1.0 - load.starvation());
        let arithmetic = format!("1 / (1 - {:.2} of the CPU time within reach)", load.starvation());
        Self::throughput(times, 0.4, arithmetic)
    }

    /// By an event loop that is no longer blocked: `step` is how late a callback is today for the
    /// step that the loop is in, and `queue` for those that are ready before it.
    pub(super) fn of_latency(step: f64, queue: f64) -> Self {
        let mean = step + queue;
        let ahead = if queue > 0.0 {
            format!("; the steps that are ready before it take {queue:.4} s more")
        } else {
            String::new()
        };
        let arithmetic = format!(
            "the sum of the squares of the steps' lengths, by twice the time, is {step:.4} s{ahead}"
        );
        Self::of(Metric::Delay, (0.7 * mean, 1.2 * mean), arithmetic)
            .assuming("a task waits for one turn; a request that takes several, or that queues behind others, gains more")
    }

    /// By a bound on how many operations are under way at once.
    pub(super) fn of_bounding(width: f64) -> Self {
        let times = width / BOUND;
        let arithmetic = format!("{width:.0} at once today, by a bound of {BOUND:.0}");
        Self::of(Metric::InFlight, (0.7 * times, 1.3 * times), arithmetic)
    }

    /// By messages that cost next to nothing for each piece of work.
    ///
    /// What the workers compute beside messages is all of the work; with large messages it is what
    /// the CPUs do.
    pub(super) fn of_larger_chunks(profile: &Profile, load: &Load) -> Option<Self> {
        /// Samples of workers from which on their share says something.
        const FEWEST: u64 = 20;
        /// The smallest share of work of their own that a gain can be told from.
        const SMALLEST: f64 = 0.15;
        let workers = profile.surroundings.workers;
        let cpus = load.facts.usable_cpus;
        if workers.working < FEWEST || !cpus.is_finite() {
            return None;
        }
        let own = 1.0 - ratio(workers.messages as f64, workers.working as f64);
        // Of a share near nothing samples say no more than that it is small.
        if own < SMALLEST {
            return None;
        }
        let today = own * load.facts.children_cpus;
        let times = ratio(cpus, today).max(1.0);
        let arithmetic = format!(
            "its workers use {:.2} CPUs, {own:.2} of that beside messages; {cpus:.1} CPUs could do nothing but work",
            load.facts.children_cpus
        );
        // A worker that was woken and is about to read is among the samples and not in the CPU time:
        // its own work is more than they say.
        let (low, high) = (0.42 * times, 0.82 * times);
        Some(
            Self::of(Metric::Throughput, (low.max(1.0), high.max(1.0)), arithmetic)
                .assuming("there are enough items for large chunks"),
        )
    }

    /// By ending without waiting for what nobody told to end.
    pub(super) fn of_ending(seconds: f64) -> Self {
        let arithmetic = format!("its end was seen to take {seconds:.1} s");
        Self::of(Metric::Shutdown, (0.65 * seconds, 1.25 * seconds), arithmetic)
    }

    /// By breaking deadlocks.
    pub(super) fn of_going_on(stuck: usize) -> Self {
        let arithmetic = format!("{stuck} wait for ever");
        Self::of(Metric::Working, (stuck as f64, stuck as f64), arithmetic)
    }
}

/// Of the threads that queue for locks now and then: the mean numbers of those that do, and of those that
/// do something else.
fn users_of_locks(profile: &Profile) -> (f64, f64) {
    /// A thread of which at least this share of the samples queues is a user of the lock.
    const USES: f64 = 0.05;
    let samples = profile.quality.samples as f64;
    let (mut queue, mut going) = (0.0, 0.0);
    for thread in &profile.threads {
        let (mut enters, mut does) = (0, 0);
        for (&(state, _), &count) in &thread.states {
            let Some(state) = profile.tables.states.get(state) else { continue };
            match StateKind::of(&profile.tables, state) {
                StateKind { enters: true, .. } => enters += count,
                StateKind { cause: Cause::Parked, .. } => {}
                StateKind { .. } => does += count,
            }
        }
        if ratio(enters as f64, thread.samples as f64) >= USES {
            queue += ratio(enters as f64, samples);
            going += ratio(does as f64, samples);
        }
    }
    (queue, going)
}

/// How many times more could advance without a GIL, with the arithmetic.
fn leaving_the_gil(load: &Load, waiting: f64) -> (f64, String) {
    // Of those that are ready without the GIL, or without a CPU, one at a time advances.
    let today = load.on_cpu().min(load.cpus_used().max(0.5)).max(0.5);
    let could = (load.on_cpu() + waiting).min(load.facts.usable_cpus);
    let times = ratio(could, today).max(1.0);
    let arithmetic = format!(
        "{today:.2} threads compute today, {could:.2} could (at most the {:.1} CPUs)",
        load.facts.usable_cpus
    );
    (times, arithmetic)
}
