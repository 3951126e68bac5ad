//! How many tasks there are of each coroutine, and for whom.

use rustc_hash::FxHashMap;

use crate::model::{FunctionId, Relation, Tables, Tasks};

/// The tasks of one coroutine that one kind of task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FanOut {
    /// The coroutine, the outermost function of their chains.
    pub coroutine: FunctionId,
    /// The coroutine of the task that waits for them, and how; `None` when nobody does.
    pub parent: Option<(FunctionId, Relation)>,
    /// How many tasks there are.
    pub tasks: u32,
    /// The most that one task waits for.
    pub widest: u32,
}

/// Counts the tasks of each coroutine and parent, the most numerous first.
#[must_use]
pub fn fan_out(tasks: &Tasks, tables: &Tables) -> Vec<FanOut> {
    let coroutine = |index: u32| {
        let outermost = tables.frames_of(tasks.get(index)?.chain).last()?;
        tables.frames.get(outermost).map(|frame| frame.function)
    };
    // By coroutine and parent: the tasks of each task that waits, or of nobody.
    let mut counts: FxHashMap<_, FxHashMap<Option<u32>, u32>> = FxHashMap::default();
    for (index, task) in (0..).zip(&tasks.tasks) {
        let Some(own) = coroutine(index) else { continue };
        let parent = task.awaited_by.first();
        let kind = parent.and_then(|it| Some((coroutine(it.task)?, it.relation)));
        let family = counts.entry((own, kind)).or_default();
        *family.entry(parent.map(|it| it.task)).or_default() += 1;
    }
    let mut found: Vec<FanOut> = counts
        .into_iter()
        .map(|((coroutine, parent), families)| FanOut {
            coroutine,
            parent,
            tasks: families.values().sum(),
            widest: families.values().copied().max().unwrap_or(0),
        })
        .collect();
    found.sort_by_key(|it| (std::cmp::Reverse(it.tasks), it.coroutine, it.parent));
    found
}

#[cfg(test)]
mod tests {
    use super::{FanOut, fan_out};
    use crate::diagnose::tasks::fixture::Fixture;
    use crate::model::{Address, AwaitKind, Relation};

    #[test]
    fn tasks_are_counted_by_coroutine_and_parent() {
        let mut fixture = Fixture::default();
        let parents: Vec<u32> =
            (0..2).map(|_| fixture.waiting("crawl", AwaitKind::Gather, Address(1))).collect();
        for child in 0..30 {
            let index = fixture.waiting("fetch", AwaitKind::Stream, Address(1));
            fixture.awaits(parents[usize::from(child < 10)], index, Relation::Gather);
        }
        fixture.waiting("fetch", AwaitKind::Stream, Address(1));
        let found = fan_out(&fixture.tasks, &fixture.tables);
        let (crawl, fetch) = (fixture.function("crawl"), fixture.function("fetch"));
        let expected = [(fetch, Some((crawl, Relation::Gather)), 30, 20), (crawl, None, 2, 2)];
        for (seen, (coroutine, parent, tasks, widest)) in found.iter().zip(expected) {
            assert_eq!(*seen, FanOut { coroutine, parent, tasks, widest });
        }
        assert_eq!(found.len(), 3);
    }
}
