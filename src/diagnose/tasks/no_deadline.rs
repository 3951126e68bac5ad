//! `no-deadline`: tasks that wait for the network, and no time limit would ever end it.

use crate::model::{AwaitKind, TaskState, Tasks};

/// The tasks, by their indices, that wait for a peer with no time limit of their own or of those
/// that wait for them.
///
/// One moment does not tell for how long: a server's tasks that wait for the next request look the
/// same, and whether that is meant is for the caller to say.
#[must_use]
pub fn without_deadline(tasks: &Tasks) -> Vec<u32> {
    let network = |kind| matches!(kind, AwaitKind::Stream | AwaitKind::Socket);
    let indices = (0..).zip(&tasks.tasks).filter(|(_, task)| {
        task.state == TaskState::Waiting
            && task.awaits.as_ref().is_some_and(|awaits| network(awaits.kind))
    });
    indices.map(|(index, _)| index).filter(|index| tasks.deadline(*index).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::without_deadline;
    use crate::diagnose::tasks::fixture::Fixture;
    use crate::model::{Address, AwaitKind, Nanos, Relation};

    #[test]
    fn a_limit_of_its_own_or_of_its_parent_counts() {
        let mut fixture = Fixture::default();
        let bare = fixture.waiting("bare", AwaitKind::Stream, Address(1));
        let limited = fixture.waiting("limited", AwaitKind::Stream, Address(1));
        fixture.task(limited).deadline = Some(Nanos(7));
        let parent = fixture.waiting("parent", AwaitKind::TaskGroup, Address(1));
        fixture.task(parent).deadline = Some(Nanos(7));
        let child = fixture.waiting("child", AwaitKind::Socket, Address(1));
        fixture.awaits(parent, child, Relation::TaskGroup);
        fixture.waiting("sleeper", AwaitKind::Sleep, Address(1));
        assert_eq!(without_deadline(&fixture.tasks), [bare]);
    }
}
