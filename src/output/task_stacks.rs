//! The await chains of tasks as stacks: the time of tasks, by what they wait for.

use std::rc::Rc;

use super::folded::{Folder, Stack};
use crate::model::{AwaitKind, Cause, Relation, TaskGroup, TaskState};
use crate::profile::Profile;

/// Milliseconds, added up over the tasks: ten tasks that sleep for a second are 10,000.
const UNIT: u64 = 1_000_000;

/// The await chains that the looks at the tasks saw, each below that of the task that waits for it.
/// Tasks that wait for other tasks are left out, since those stand in their stead, unless all are
/// asked for.
pub(super) fn task_stacks(profile: &Profile, folder: &mut Folder<'_>, all: bool) -> Vec<Stack> {
    let mut groups: Vec<_> = profile.tasks.groups.iter().collect();
    groups.sort_unstable_by_key(|(group, _)| **group);
    let wanted = groups.into_iter().filter(|(group, _)| all || !waits_for_tasks(group));
    let stacks = wanted.filter(|(_, profile)| profile.time.0 >= UNIT).map(|(group, profile)| {
        let mut frames: Vec<Rc<str>> = Vec::new();
        if let Some((relation, chain)) = group.parent {
            frames.extend(folder.frames_of(chain));
            frames.push(format!("[{}]", relation_words(relation)).into());
        }
        frames.extend(folder.frames_of(group.chain));
        frames.push(format!("[{}]", leaf(group)).into());
        Stack { frames, cause: cause(group), weight: profile.time.0 / UNIT, blocking: false }
    });
    stacks.collect()
}

const fn waits_for_tasks(group: &TaskGroup) -> bool {
    matches!(
        group.awaits,
        Some(AwaitKind::Task | AwaitKind::Gather | AwaitKind::TaskGroup | AwaitKind::Wait)
    )
}

const fn relation_words(relation: Relation) -> &'static str {
    match relation {
        Relation::Await => "task",
        relation => relation.name(),
    }
}

const fn leaf(group: &TaskGroup) -> &'static str {
    match (group.state, group.awaits) {
        (TaskState::Running | TaskState::Ready, _) | (_, None) => group.state.name(),
        (_, Some(awaits)) => awaits.name(),
    }
}

/// The cause whose colour a wait has.
const fn cause(group: &TaskGroup) -> Cause {
    match (group.state, group.awaits) {
        (TaskState::Running, _) => Cause::Python,
        (TaskState::Ready, _) => Cause::CpuWait,
        (_, Some(AwaitKind::Sleep)) => Cause::Sleep,
        (_, Some(AwaitKind::Stream | AwaitKind::Socket)) => Cause::Network,
        (_, Some(AwaitKind::Subprocess)) => Cause::Child,
        (_, Some(AwaitKind::Executor)) => Cause::Native,
        (_, Some(AwaitKind::Lock | AwaitKind::Semaphore | AwaitKind::Condition)) => Cause::Lock,
        (_, Some(AwaitKind::Queue | AwaitKind::Event | AwaitKind::Barrier | AwaitKind::Future)) => {
            Cause::Pipe
        }
        _ => Cause::Parked,
    }
}
