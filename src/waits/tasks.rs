//! Deadlocks of tasks: those that wait for each other, or for locks that they hold, in a circle.

use rustc_hash::FxHashMap;

use crate::model::{Address, AwaitKind, Task, TaskCircle, TaskState, Tasks};

/// A wait of one task for another, through a lock or not.
type Edge = (u32, Option<Address>);

/// The deadlocks among tasks: one for each group of tasks that wait for each other, by its
/// shortest path back to the group's first task.
#[must_use]
pub fn task_deadlocks(tasks: &Tasks) -> Vec<TaskCircle> {
    let edges = edges(tasks);
    let mut groups = groups(&edges);
    groups.sort_unstable();
    groups
        .iter()
        .filter_map(|group| {
            let members = circle(&edges, *group.iter().min()?)?;
            let limited =
                |(index, _): &Edge| tasks.get(*index).is_some_and(|task| task.deadline.is_some());
            Some(TaskCircle { expires: members.iter().any(limited), members })
        })
        .collect()
}

fn is_stuck(task: &Task) -> bool {
    matches!(task.state, TaskState::Waiting | TaskState::Cancelling) && task.awaits.is_some()
}

/// For each task, by index, those that it waits for.
fn edges(tasks: &Tasks) -> Vec<Vec<Edge>> {
    let mut holders: FxHashMap<Address, Vec<u32>> = FxHashMap::default();
    for (index, task) in (0..).zip(&tasks.tasks) {
        for lock in &task.holds {
            holders.entry(*lock).or_default().push(index);
        }
    }
    let awaited = tasks.awaited();
    let edges = tasks.tasks.iter().zip(awaited).map(|(task, awaited)| {
        let Some(awaits) = task.awaits.as_ref().filter(|_| is_stuck(task)) else {
            return Vec::new();
        };
        match awaits.kind {
            // Others may release a semaphore, and any of the awaited ends a wait.
            AwaitKind::Lock => {
                let holders = holders.get(&awaits.object).map_or(&[][..], |list| list);
                holders.iter().map(|holder| (*holder, Some(awaits.object))).collect()
            }
            AwaitKind::Task | AwaitKind::Gather | AwaitKind::TaskGroup => {
                awaited.into_iter().map(|index| (index, None)).collect()
            }
            _ => Vec::new(),
        }
    });
    edges.collect()
}

/// The groups of tasks of which each reaches every other (Tarjan's strongly connected components,
/// without recursion: a chain may be as long as there are tasks).
fn groups(edges: &[Vec<Edge>]) -> Vec<Vec<u32>> {
    const UNSEEN: u32 = u32::MAX;
    let mut order = vec![UNSEEN; edges.len()];
    let mut lowest = vec![UNSEEN; edges.len()];
    let mut open = vec![false; edges.len()];
    let (mut stack, mut found, mut next) = (Vec::new(), Vec::new(), 0);
    for root in 0..edges.len() {
        if order.get(root) != Some(&UNSEEN) {
            continue;
        }
        let mut path = vec![(root, 0)];
        while let Some((task, edge)) = path.last_mut() {
            let task = *task;
            if *edge == 0 {
                order[task] = next;
                lowest[task] = next;
                next += 1;
                stack.push(task as u32);
                open[task] = true;
            }
            let target = edges[task].get(*edge).map(|(target, _)| *target as usize);
            *edge += 1;
            match target {
                Some(target) if order[target] == UNSEEN => path.push((target, 0)),
                Some(target) if open[target] => lowest[task] = lowest[task].min(order[target]),
                Some(_) => {}
                None => {
                    path.pop();
                    if let Some((parent, _)) = path.last() {
                        lowest[*parent] = lowest[*parent].min(lowest[task]);
                    }
                    if lowest[task] == order[task] {
                        let from = stack.iter().rposition(|it| *it == task as u32).unwrap_or(0);
                        let group = stack.split_off(from);
                        group.iter().for_each(|member| open[*member as usize] = false);
                        let itself = edges[task].iter().any(|(it, _)| *it as usize == task);
                        if group.len() > 1 || itself {
                            found.push(group);
                        }
                    }
                }
            }
        }
    }
    found
}

/// The shortest way from a task back to itself.
fn circle(edges: &[Vec<Edge>], first: u32) -> Option<Vec<Edge>> {
    // By the task that is reached: from which one, and through what lock.
    let mut came: FxHashMap<u32, Edge> = FxHashMap::default();
    let mut queue = std::collections::VecDeque::from([first]);
    while let Some(task) = queue.pop_front() {
        for (target, lock) in edges.get(task as usize)? {
            if !came.contains_key(target) {
                came.insert(*target, (task, *lock));
                queue.push_back(*target);
            }
        }
        if came.contains_key(&first) {
            break;
        }
    }
    let mut members = Vec::new();
    let mut at = first;
    loop {
        let (from, lock) = *came.get(&at)?;
        members.push((from, lock));
        at = from;
        if at == first {
            break;
        }
    }
    members.reverse();
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::task_deadlocks as deadlocks;
    use crate::model::{Address, AwaitKind, Relation};
    use crate::waits::task_fixture::Fixture;

    #[test]
    fn locks_taken_in_two_orders_are_found() {
        let (a, b) = (Address(10), Address(20));
        let mut fixture = Fixture::default();
        let first = fixture.waiting("t1", AwaitKind::Lock, b);
        let second = fixture.waiting("t2", AwaitKind::Lock, a);
        let victim = fixture.waiting("t3", AwaitKind::Lock, a);
        fixture.task(first).holds.push(a);
        fixture.task(second).holds.push(b);
        fixture.task(victim).holds.push(Address(30));
        let found = deadlocks(&fixture.tasks);
        assert_eq!(found.len(), 1, "the victim is no member: {found:?}");
        assert_eq!(found[0].members, [(first, Some(b)), (second, Some(a))]);
        assert!(!found[0].expires);
    }

    #[test]
    fn tasks_and_locks_close_a_circle() {
        let lock = Address(10);
        let mut fixture = Fixture::default();
        let parent = fixture.waiting("parent", AwaitKind::TaskGroup, Address(1));
        let child = fixture.waiting("child", AwaitKind::Lock, lock);
        fixture.task(parent).holds.push(lock);
        fixture.awaits(parent, child, Relation::TaskGroup);
        let found = deadlocks(&fixture.tasks);
        assert_eq!(found[0].members, [(parent, None), (child, Some(lock))]);
        fixture.task(child).deadline = Some(crate::model::Nanos(5));
        assert!(deadlocks(&fixture.tasks)[0].expires);
    }

    #[test]
    fn a_task_that_takes_its_own_lock_again_is_found() {
        let mut fixture = Fixture::default();
        let task = fixture.waiting("again", AwaitKind::Lock, Address(10));
        fixture.task(task).holds.push(Address(10));
        assert_eq!(deadlocks(&fixture.tasks)[0].members, [(task, Some(Address(10)))]);
    }

    #[test]
    fn healthy_waits_are_none() {
        let mut fixture = Fixture::default();
        let lock = Address(10);
        let holder = fixture.waiting("holder", AwaitKind::Sleep, Address(1));
        fixture.task(holder).holds.push(lock);
        for index in 0..100_000 {
            let waiter = fixture.waiting("waiter", AwaitKind::Task, Address(2));
            fixture.awaits(waiter, waiter.saturating_sub(1), Relation::Await);
            if index % 1000 == 0 {
                fixture.waiting("contender", AwaitKind::Lock, lock);
            }
        }
        assert!(deadlocks(&fixture.tasks).is_empty());
    }

    #[test]
    fn a_semaphore_or_a_wait_for_the_first_may_end_otherwise() {
        for kind in [AwaitKind::Semaphore, AwaitKind::Wait] {
            let mut fixture = Fixture::default();
            let task = fixture.waiting("t", kind, Address(10));
            fixture.task(task).holds.push(Address(10));
            fixture.awaits(task, task, Relation::Wait);
            assert!(deadlocks(&fixture.tasks).is_empty(), "{kind:?}");
        }
    }
}
