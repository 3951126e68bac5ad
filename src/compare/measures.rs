//! What is compared of the process as a whole.

use crate::model::{Cause, Tag};

use super::change::{Aim, Change, Question, Unit, answer, parts};
use super::run::{Summed, Sums, WHOLE};

/// The measure that tells whether a program is held back more or less than before.
pub(super) const HELD_BACK: &str = "held-back";
/// The mean time by which a callback of the event loop is late.
pub(super) const LOOP_DELAY: &str = "loop-delay";

/// How much of the time some thread has the GIL.
const GIL_HELD: &str = "gil-held";

/// What depends on how much CPU others leave.
pub(super) const LEFT_BY_OTHERS: [&str; 3] = ["cpus-used", "run-queue", "cause-cpu-wait"];

const SAMPLES: &str = "samples";
const TIME: &str = "seconds of the recording";

struct Measure {
    id: &'static str,
    name: &'static str,
    of: &'static str,
    unit: Unit,
    aim: Aim,
    /// Whether numerator and denominator are counts, the former a part of the latter.
    counted: bool,
    parts: fn(&Sums) -> (f64, f64),
}

/// What is no tag and no cause.
const MEASURES: [Measure; 7] = [
    Measure {
        id: HELD_BACK,
        name: "held back by other threads",
        of: WHOLE,
        unit: Unit::Share,
        aim: Aim::Down,
        counted: true,
        parts: |sums| (sums.held_back, sums.whole()),
    },
    Measure {
        id: "lock-entry",
        name: "waiting to enter a critical section",
        of: WHOLE,
        unit: Unit::Share,
        aim: Aim::Down,
        counted: true,
        parts: |sums| (sums.entering, sums.whole()),
    },
    Measure {
        id: LOOP_DELAY,
        name: "event loop: mean delay",
        of: TIME,
        unit: Unit::Seconds,
        aim: Aim::Down,
        counted: false,
        parts: |sums| (sums.squares / 2.0, sums.elapsed),
    },
    Measure {
        id: GIL_HELD,
        name: "GIL held",
        of: SAMPLES,
        unit: Unit::Share,
        aim: Aim::None,
        counted: false,
        parts: |sums| (sums.held, sums.samples),
    },
    Measure {
        id: "cpus-used",
        name: "CPUs used",
        of: TIME,
        unit: Unit::Cpus,
        aim: Aim::None,
        counted: false,
        parts: |sums| (sums.cpu, sums.elapsed),
    },
    Measure {
        id: "run-queue",
        name: "ready without a CPU",
        of: TIME,
        unit: Unit::Threads,
        aim: Aim::None,
        counted: false,
        parts: |sums| (sums.queued, sums.elapsed),
    },
    Measure {
        id: "threads-at-work",
        name: "threads not idle by design",
        of: SAMPLES,
        unit: Unit::Threads,
        aim: Aim::None,
        counted: false,
        parts: |sums| (sums.work(), sums.samples),
    },
];

/// The numbers of the process as a whole: measures, tags, causes.
pub(super) fn changes(before: &[Summed<'_>], after: &[Summed<'_>]) -> Vec<Change> {
    let mut questions = Vec::new();
    // Without a GIL, several threads are attached at once.
    let with_gil = before.iter().chain(after).all(|run| run.run.profile.meta.gil);
    for measure in MEASURES.iter().filter(|measure| with_gil || measure.id != GIL_HELD) {
        let question = Question {
            id: measure.id.to_owned(),
            name: measure.name.to_owned(),
            of: measure.of,
            unit: measure.unit,
            aim: measure.aim,
            site: None,
            counted: measure.counted,
        };
        questions.push((question, parts(before, measure.parts), parts(after, measure.parts)));
    }
    let share = |(kind, name): (&str, &str), aim: Aim, of: &'static str| Question {
        id: format!("{kind}-{name}"),
        name: format!("{kind} {name}"),
        of,
        unit: Unit::Share,
        aim,
        site: None,
        counted: true,
    };
    for tag in Tag::ALL {
        let aim = match tag {
            Tag::EventLoopBlocking | Tag::GilContended => Aim::Down,
            Tag::IdleWaiting | Tag::Running => Aim::None,
        };
        let of_tag = |sums: &Sums| (sums.tag(tag), sums.whole());
        let question = share(("tag", tag.name()), aim, WHOLE);
        questions.push((question, parts(before, of_tag), parts(after, of_tag)));
    }
    for cause in Cause::ALL {
        let parked = cause == Cause::Parked;
        let of_cause =
            |sums: &Sums| (sums.cause(cause), if parked { sums.threads } else { sums.whole() });
        let of = if parked { "thread samples" } else { WHOLE };
        let aim = if cause == Cause::Gil { Aim::Down } else { Aim::None };
        let question = share(("cause", cause.name()), aim, of);
        questions.push((question, parts(before, of_cause), parts(after, of_cause)));
    }
    // What neither side has is not asked: it would only make the others harder to tell.
    questions.retain(|(_, before, after)| {
        let any =
            |parts: &super::change::Parts| parts.iter().flatten().any(|(part, _)| *part > 0.0);
        any(before) || any(after)
    });
    answer(questions)
}
