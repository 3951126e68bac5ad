//! The flame graph of a snapshot: a tree of functions, each as wide as its samples.

use rustc_hash::FxHashMap;

use crate::model::{Cause, FunctionId};
use crate::profile::Profile;

/// A function where it was called from.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// What it is called.
    pub(super) name: String,
    /// Its file and first line.
    pub(super) place: String,
    /// Thread samples in it, or in what it called.
    pub(super) samples: u64,
    /// Those by cause, in the order of [`Cause::ALL`].
    pub(super) causes: [u64; Cause::ALL.len()],
    /// What it called, widest first.
    pub(super) children: Vec<usize>,
}

impl Node {
    /// What it is mostly at.
    pub(super) fn mostly(&self) -> Cause {
        let most = self.causes.iter().zip(Cause::ALL).max_by_key(|(samples, _)| **samples);
        most.map_or(Cause::Unknown, |(_, cause)| cause)
    }
}

/// A tree; its first node is the root, which stands for all.
#[derive(Debug, Clone, Default)]
pub(super) struct Flame {
    pub(super) nodes: Vec<Node>,
}

/// The most nodes: what is beyond is narrower than any screen shows.
const MOST: usize = 1 << 16;
/// The most frames of a stack.
const DEEPEST: usize = 512;

/// A node that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) node: usize,
    pub(super) depth: u16,
    pub(super) left: u16,
    pub(super) width: u16,
}

impl Flame {
    /// The calls of all threads that are not parked; `inverted` begins with what was at the top of
    /// the stacks.
    pub(super) fn of(profile: &Profile, inverted: bool) -> Self {
        let tables = &profile.tables;
        let root = Node { name: "all".to_owned(), ..Node::default() };
        let mut flame = Self { nodes: vec![root] };
        let mut known: FxHashMap<(usize, FunctionId), usize> = FxHashMap::default();
        for row in profile.rows().filter(|row| row.state.cause != Cause::Parked) {
            let frames = tables.frames_of(row.state.stack).filter_map(|id| tables.frames.get(id));
            let mut path: Vec<FunctionId> = frames.map(|frame| frame.function).collect();
            if !inverted {
                path.reverse();
            }
            let mut at = 0;
            flame.add(at, row.samples, row.state.cause);
            for function in path.into_iter().take(DEEPEST) {
                let next = known.get(&(at, function)).copied().or_else(|| {
                    let new = flame.grow(at, profile, function)?;
                    known.insert((at, function), new);
                    Some(new)
                });
                let Some(next) = next else { break };
                at = next;
                flame.add(at, row.samples, row.state.cause);
            }
        }
        flame.sort();
        flame
    }

    fn add(&mut self, node: usize, samples: u64, cause: Cause) {
        let Some(node) = self.nodes.get_mut(node) else { return };
        node.samples += samples;
        if let Some(sum) = node.causes.get_mut(cause as usize) {
            *sum += samples;
        }
    }

    fn grow(&mut self, parent: usize, profile: &Profile, function: FunctionId) -> Option<usize> {
        if self.nodes.len() >= MOST {
            return None;
        }
        let function = profile.tables.functions.get(function)?;
        let new = self.nodes.len();
        self.nodes.push(Node {
            name: function.name.to_string(),
            place: format!("{}:{}", function.file, function.first_line),
            ..Node::default()
        });
        self.nodes.get_mut(parent)?.children.push(new);
        Some(new)
    }

    fn sort(&mut self) {
        let weights: Vec<u64> = self.nodes.iter().map(|node| node.samples).collect();
        let weight = |node: usize| weights.get(node).copied().unwrap_or_default();
        for node in &mut self.nodes {
            node.children.sort_by_key(|child| (std::cmp::Reverse(weight(*child)), *child));
        }
    }

    /// The nodes below `zoomed` that fit a screen of so many columns and rows, from the top; `zoomed`
    /// itself first.
    pub(super) fn bars(&self, zoomed: usize, columns: u16, rows: u16) -> Vec<Bar> {
        let mut found = Vec::new();
        let mut level = vec![Bar { node: zoomed, depth: 0, left: 0, width: columns }];
        for _ in 0..rows {
            let mut next = Vec::new();
            for bar in level {
                found.push(bar);
                let Some(node) = self.nodes.get(bar.node) else { continue };
                let mut sum = 0;
                let scale = f64::from(bar.width) / node.samples.max(1) as f64;
                let end = |sum: u64| bar.left + (sum as f64 * scale).round() as u16;
                for &child in &node.children {
                    let samples = self.nodes.get(child).map_or(0, |node| node.samples);
                    let (left, right) = (end(sum), end(sum + samples));
                    sum += samples;
                    if right > left {
                        let depth = bar.depth + 1;
                        next.push(Bar { node: child, depth, left, width: right - left });
                    }
                }
            }
            level = next;
            if level.is_empty() {
                break;
            }
        }
        found
    }

    /// The node with the same names from the root on as `path`, as far as there is one.
    pub(super) fn follow(&self, path: &[String]) -> usize {
        let mut at = 0;
        for name in path {
            let children = self.nodes.get(at).map(|node| node.children.as_slice());
            let is_it = |child: &&usize| self.nodes.get(**child).is_some_and(|it| it.name == *name);
            let Some(&next) = children.unwrap_or_default().iter().find(is_it) else { return at };
            at = next;
        }
        at
    }

    /// The names from the root to a node.
    pub(super) fn path(&self, node: usize) -> Vec<String> {
        let parent = |node: usize| self.nodes.iter().position(|it| it.children.contains(&node));
        let mut path = Vec::new();
        let mut at = node;
        while let Some(up) = parent(at).filter(|_| path.len() < DEEPEST) {
            path.extend(self.nodes.get(at).map(|node| node.name.clone()));
            at = up;
        }
        path.reverse();
        path
    }
}

#[cfg(test)]
mod tests {
    use super::Flame;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::model::Cause;

    fn fixture() -> Fixture {
        let mut fixture = Fixture::new(1);
        let thread = fixture.thread("main");
        fixture.spend(thread, 60, &Doing::new(Cause::Python, &["a.py:main:1", "a.py:work:2"]));
        fixture.spend(thread, 30, &Doing::new(Cause::Sleep, &["a.py:main:1", "a.py:nap:3"]));
        fixture.spend(thread, 10, &Doing::new(Cause::Parked, &["a.py:main:1"]));
        fixture
    }

    #[test]
    fn widths_are_shares_and_never_overlap() {
        let flame = Flame::of(&fixture().profile, false);
        let bars = flame.bars(0, 90, 10);
        let told: Vec<_> = bars
            .iter()
            .map(|bar| (&*flame.nodes[bar.node].name, bar.depth, bar.left, bar.width))
            .collect();
        assert_eq!(
            told,
            [("all", 0, 0, 90), ("main", 1, 0, 90), ("work", 2, 0, 60), ("nap", 2, 60, 30)]
        );
        assert_eq!(flame.nodes[bars[2].node].mostly(), Cause::Python);
    }

    #[test]
    fn a_path_finds_its_node_again() {
        let flame = Flame::of(&fixture().profile, false);
        let path = ["main", "nap"].map(str::to_owned);
        let node = flame.follow(&path);
        assert_eq!(flame.nodes[node].name, "nap");
        assert_eq!(flame.path(node), path);
        assert_eq!(flame.nodes[flame.follow(&["main".into(), "gone".into()])].name, "main");
        let inverted = Flame::of(&fixture().profile, true);
        assert_eq!(inverted.nodes[inverted.nodes[0].children[0]].name, "work");
    }
}
