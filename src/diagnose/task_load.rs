//! What the tasks of asyncio wait for while their loop has nothing to do.

use crate::model::{DescriptorKind, SocketRole};
use crate::profile::{Profile, TaskWait};

use super::words::{ramp, ratio};

/// Looks from which on what they saw stands for the recording.
const FEWEST_LOOKS: u64 = 2;

/// At which share of the looks an answer must have been waited for, and how many tasks are one.
const MOSTLY: f64 = 0.8;
const ONE: f64 = 1.25;

/// How a loop's time in its selector counts, by what its tasks wait for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TaskLoad {
    /// The looks at the tasks.
    pub(super) looks: u64,
    /// The share of the looks at which some task waited for a server's answer; none without looks.
    pub(super) answers: Option<f64>,
    /// Whether that was one and the same task's turn at a time, of a program that serves nobody.
    pub(super) alone: bool,
    /// The share of the looks at which some task waited for a child process.
    pub(super) children: f64,
    /// How much of the time in the selector counts as input and output.
    pub(super) weight: f64,
}

impl TaskLoad {
    /// Of a process whose busiest loop is on a CPU, or ready for one, for that share of the time.
    ///
    /// A task that waits for a server's answer or a child makes the loop's wait one for input and
    /// output. Tasks that sleep, or wait for their clients' requests, do not. Of a loop whose tasks
    /// tell nothing (requests too short to be looked at, protocols without tasks) the work tells: it
    /// serves, and is given half the weight, if it uses more than next to no CPU time.
    pub(super) fn of(profile: &Profile, busiest_loop: f64) -> Self {
        let tasks = &profile.tasks;
        let serves = 0.5 * ramp(busiest_loop, 0.02, 0.08);
        if tasks.looks < FEWEST_LOOKS {
            return Self { looks: tasks.looks, weight: serves, ..Self::default() };
        }
        let share = |wait| ratio(tasks.waits.looks(wait) as f64, tasks.looks as f64);
        let answers = share(TaskWait::Answer);
        let children = share(TaskWait::Child);
        let certain = (answers + children).min(1.0);
        // What wakes up by the clock alone serves nobody, however often it does.
        let ticks = share(TaskWait::Sleep) > 0.5
            && [TaskWait::Pause, TaskWait::Request, TaskWait::Unknown, TaskWait::Answer]
                .into_iter()
                .all(|wait| share(wait) == 0.0)
            && !comes_and_goes(profile);
        let mean = ratio(tasks.waits.tasks(TaskWait::Answer), tasks.looks as f64);
        let serves_nobody = share(TaskWait::Request) == 0.0 && !comes_and_goes(profile);
        let told = [TaskWait::Unknown, TaskWait::Pause, TaskWait::Job].map(share);
        let uncertain = if ticks {
            0.0
        } else if certain == 0.0 && told.iter().all(|share| *share == 0.0) {
            // Of what no look saw there may still be so much ("rule of three"), but not where there is
            // nobody who could answer.
            if asks_somebody(profile) { serves.min(3.0 / tasks.looks as f64) } else { 0.0 }
        } else {
            serves
        };
        Self {
            looks: tasks.looks,
            answers: Some(answers),
            alone: answers >= MOSTLY && mean <= ONE && serves_nobody,
            children,
            weight: certain.max(uncertain),
        }
    }
}

/// Whether the process was seen to have a connection that it has opened.
fn asks_somebody(profile: &Profile) -> bool {
    let opened = |kind: &DescriptorKind| match kind {
        DescriptorKind::Socket { role, .. } => {
            *role != SocketRole::Listener && *role != SocketRole::Server
        }
        DescriptorKind::UnixSocket { path, listener } => !listener && !path.is_empty(),
        _ => false,
    };
    !profile.tasks.connections.is_empty()
        || profile.tables.descriptors.since(0).any(|descriptor| opened(&descriptor.kind))
}

/// Whether tasks come and go, as those do that serve requests.
fn comes_and_goes(profile: &Profile) -> bool {
    let tasks = &profile.tasks;
    let born: u64 = tasks.coroutines.values().map(|coroutine| coroutine.born).sum();
    born > tasks.looks
}
