//! The tasks of a loop as a tree by who awaits whom, in which identical siblings are one.

use std::hash::{BuildHasher, BuildHasherDefault};

use rustc_hash::{FxHashMap, FxHasher};

use crate::model::{Job, Relation, Task, Tasks};

/// Levels that are shown below a root; what is deeper begins a tree of its own.
const DEEPEST: usize = 40;

/// What a node stands for, besides a task and what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mark {
    /// A task.
    Task,
    /// A task that waits, through others, for itself: it stands further up on this path.
    Cycle,
    /// A task that others wait for too, and that is shown there.
    Elsewhere,
}

/// Siblings that are alike, and what they wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// The first of them, by its index.
    pub task: u32,
    /// How many they are.
    pub count: usize,
    /// How the parent waits for them.
    pub relation: Option<Relation>,
    pub mark: Mark,
    pub children: Vec<Node>,
    /// What they have in common.
    key: u64,
}

/// Builds the trees of one loop.
struct Builder<'a> {
    tasks: &'a Tasks,
    awaited: &'a [Vec<u32>],
    /// Tasks that are like no other, sorted by their indices.
    singular: &'a [u32],
    placed: Vec<bool>,
    path: Vec<u32>,
}

/// The trees of the tasks of each loop, and of those without one, which come last. Those of
/// `singular` (sorted) are shown one by one.
pub(super) fn trees(tasks: &Tasks, singular: &[u32]) -> Vec<Vec<Node>> {
    let awaited = tasks.awaited();
    let placed = vec![false; tasks.tasks.len()];
    let mut builder = Builder { tasks, awaited: &awaited, singular, placed, path: Vec::new() };
    let mut roots: Vec<Vec<Node>> = vec![Vec::new(); tasks.loops.len() + 1];
    let indices = || (0..).zip(&tasks.tasks);
    let is_root = |task: &Task| task.awaited_by.is_empty();
    // What is only awaited in a circle, or too deep to be shown, is nobody's child.
    for (index, task) in indices().filter(|(_, task)| is_root(task)).chain(indices()) {
        if let Some(node) = builder.place(index) {
            let own = task.event_loop.map_or(tasks.loops.len(), |index| index as usize);
            if let Some(list) = roots.get_mut(own) {
                list.push(node);
            }
        }
    }
    roots.into_iter().map(merge).collect()
}

impl Builder<'_> {
    /// The node of a task that has no place yet.
    fn place(&mut self, index: u32) -> Option<Node> {
        let placed = self.placed.get_mut(index as usize)?;
        if std::mem::replace(placed, true) {
            return None;
        }
        self.path.push(index);
        let awaited = self.awaited.get(index as usize).map_or(&[][..], |list| list);
        let children = if self.path.len() > DEEPEST {
            Vec::new()
        } else {
            awaited.iter().filter_map(|child| self.child(index, *child)).collect()
        };
        self.path.pop();
        Some(self.node(index, Mark::Task, None, merge(children)))
    }

    fn child(&mut self, parent: u32, index: u32) -> Option<Node> {
        let awaiters = &self.tasks.get(index)?.awaited_by;
        let relation = awaiters.iter().find(|awaiter| awaiter.task == parent)?.relation;
        if self.path.contains(&index) {
            return Some(self.node(index, Mark::Cycle, Some(relation), Vec::new()));
        }
        match self.place(index) {
            Some(node) => Some(self.node(index, Mark::Task, Some(relation), node.children)),
            None => Some(self.node(index, Mark::Elsewhere, Some(relation), Vec::new())),
        }
    }

    fn node(
        &self,
        index: u32,
        mark: Mark,
        relation: Option<Relation>,
        children: Vec<Node>,
    ) -> Node {
        let shape = self.tasks.get(index).map(|task| {
            let awaits = task.awaits.as_ref();
            let awaits = awaits.map(|it| (it.kind, &it.type_name, it.job.map(Job::name)));
            let cancelled = task.cancel_requests > 0;
            (task.state, task.chain, awaits, cancelled, task.deadline.is_some())
        });
        // A reference is to one task, and no other is like it.
        let alone = mark != Mark::Task || self.singular.binary_search(&index).is_ok();
        let which = alone.then_some(index);
        let below: Vec<(u64, usize)> =
            children.iter().map(|child| (child.key, child.count)).collect();
        let hasher = BuildHasherDefault::<FxHasher>::default();
        let key = hasher.hash_one((mark, which, relation, shape, below));
        Node { task: index, count: 1, relation, mark, children, key }
    }
}

/// Makes one of those that are alike, in the order of their first.
fn merge(nodes: Vec<Node>) -> Vec<Node> {
    let mut places: FxHashMap<u64, usize> = FxHashMap::default();
    let mut merged: Vec<Node> = Vec::new();
    for node in nodes {
        let place = *places.entry(node.key).or_insert(merged.len());
        match merged.get_mut(place) {
            Some(known) => known.count += node.count,
            None => merged.push(node),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::{Mark, trees};
    use crate::model::{Address, Awaiter, Relation, StackId, Task, TaskState, Tasks};

    /// Tasks by what they do and by who awaits them.
    fn tasks(list: &[(u32, &[u32])]) -> Tasks {
        let task = |(index, (chain, awaited_by)): (usize, &(u32, &[u32]))| Task {
            address: Address(index as u64 + 1),
            name: format!("t{index}").into(),
            state: TaskState::Waiting,
            event_loop: None,
            chain: StackId(*chain),
            awaits: None,
            awaited_by: awaited_by
                .iter()
                .map(|&task| Awaiter { task, relation: Relation::Await })
                .collect(),
            cancel_requests: 0,
            deadline: None,
            holds: Vec::new(),
            plight: None,
        };
        Tasks { tasks: list.iter().enumerate().map(task).collect(), ..Tasks::default() }
    }

    #[test]
    fn identical_siblings_are_one() {
        // Two parents alike with two children alike each, and one with another child.
        let snapshot = tasks(&[
            (1, &[]),
            (2, &[0]),
            (2, &[0]),
            (1, &[]),
            (2, &[3]),
            (2, &[3]),
            (1, &[]),
            (3, &[6]),
        ]);
        let trees = trees(&snapshot, &[]);
        let [roots] = &trees[..] else { panic!("one list") };
        let counts: Vec<_> = roots.iter().map(|node| (node.task, node.count)).collect();
        assert_eq!(counts, [(0, 2), (6, 1)]);
        assert_eq!(roots[0].children[0].count, 2);
    }

    #[test]
    fn a_cycle_is_marked_where_it_closes() {
        let snapshot = tasks(&[(1, &[1]), (2, &[0]), (3, &[]), (4, &[2, 0])]);
        let trees = trees(&snapshot, &[]);
        let roots = &trees[0];
        assert_eq!(roots.len(), 2);
        // The root waits for the task that the circle waits for too: it is shown once.
        assert_eq!((roots[0].task, roots[0].children[0].task), (2, 3));
        let cycle = &roots[1];
        assert_eq!(cycle.children[0].children[0].mark, Mark::Cycle);
        assert_eq!(cycle.children[1].mark, Mark::Elsewhere);
    }

    #[test]
    fn a_deep_chain_ends() {
        let parents: Vec<[u32; 1]> =
            (0..100_000).map(|index: u32| [index.wrapping_sub(1)]).collect();
        let list: Vec<(u32, &[u32])> = parents
            .iter()
            .enumerate()
            .map(|(index, parent)| (1, if index == 0 { &[][..] } else { &parent[..] }))
            .collect();
        assert!(!trees(&tasks(&list), &[])[0].is_empty());
    }
}
