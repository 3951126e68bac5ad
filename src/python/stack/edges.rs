//! Which call leads where: tells stacks that can be from mixtures of two moments.
//!
//! A mixture shows where its two parts meet: a caller at an instruction from which its callee was
//! never seen to be called. An edge is known once it was read twice alike. One that contradicts
//! what is known (its caller's instruction leads elsewhere, or its callee is called from
//! elsewhere) may be a mixture that was read twice alike by chance; it must prove itself: two
//! readings of a call that is real mostly agree, two of a mixture hardly ever.

use rustc_hash::{FxHashMap, FxHashSet};

use super::RawFrame;
use crate::model::Address;

/// Edges that are kept; beyond that all are forgotten and learnt again.
const MOST: usize = 1 << 17;
/// How often an edge that contradicts what is known must have been read twice alike.
const PROOFS: u32 = 3;
/// Of so many readings of such an edge, one at least must have been twice alike.
const ONE_OF: u32 = 4;

/// A caller's code and instruction.
type Site = (Address, u64);

/// How often an edge was met that is not known yet.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    seen: u32,
    agreed: u32,
}

/// The edges of one process.
#[derive(Debug, Default)]
pub struct Edges {
    known: FxHashSet<(Site, Address)>,
    sites: FxHashSet<Site>,
    callees: FxHashSet<Address>,
    doubtful: FxHashMap<(Site, Address), Tally>,
}

impl Edges {
    /// Forgets all: code objects have been replaced.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether all edges of a stack are known, but for those that `last` has at the same place,
    /// which was believed. Both are innermost first.
    pub(super) fn are_known(&self, last: &[RawFrame], frames: &[RawFrame]) -> bool {
        new_edges(last, frames).all(|edge| self.known.contains(&edge))
    }

    /// Learns from a stack whose inner frames were read twice, and `agreed` or not; tells whether
    /// it is to be believed.
    pub(super) fn learn(&mut self, last: &[RawFrame], frames: &[RawFrame], agreed: bool) -> bool {
        let mut believed = agreed;
        for edge in new_edges(last, frames) {
            if !self.known.contains(&edge) {
                believed &= self.weigh(edge, agreed);
            }
        }
        believed
    }

    /// Learns of an edge that is not known; tells whether it is now.
    fn weigh(&mut self, edge: (Site, Address), agreed: bool) -> bool {
        if self.known.len() + self.doubtful.len() > MOST {
            self.clear();
        }
        let (site, callee) = edge;
        let tally = self.doubtful.entry(edge).or_default();
        tally.seen += 1;
        tally.agreed += u32::from(agreed);
        let proven = tally.agreed >= PROOFS && tally.agreed >= tally.seen / ONE_OF;
        let contradicts = self.sites.contains(&site) || self.callees.contains(&callee);
        if !(proven || agreed && !contradicts) {
            return false;
        }
        self.doubtful.remove(&edge);
        self.known.insert(edge);
        self.sites.insert(site);
        self.callees.insert(callee);
        true
    }
}

/// The edges of `frames` from the first place on, seen from the outermost frame, at which it is not
/// like `last`.
fn new_edges<'a>(
    last: &[RawFrame],
    frames: &'a [RawFrame],
) -> impl Iterator<Item = (Site, Address)> + 'a {
    let alike = last.iter().rev().zip(frames.iter().rev());
    let alike = alike.take_while(|(a, b)| a.code == b.code && a.instruction == b.instruction);
    // The innermost frame's instruction is no part of any edge.
    let first = frames.len() - alike.count();
    let changed = frames.get(..(first + 1).min(frames.len())).unwrap_or_default();
    changed.windows(2).filter_map(|pair| match pair {
        [callee, caller] => Some(((caller.code, caller.instruction), callee.code)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Edges, RawFrame, new_edges};
    use crate::model::Address;

    /// A stack of codes and instructions, innermost first.
    fn stack(frames: &[(u64, u64)]) -> Vec<RawFrame> {
        let frame = |&(code, instruction)| RawFrame {
            address: Address(0),
            code: Address(code),
            instruction,
        };
        frames.iter().map(frame).collect()
    }

    #[test]
    fn only_what_differs_is_looked_at() {
        let last = stack(&[(3, 9), (2, 5), (1, 4)]);
        let edges = |frames: &[(u64, u64)]| new_edges(&last, &stack(frames)).count();
        assert_eq!(edges(&[(3, 9), (2, 5), (1, 4)]), 0);
        assert_eq!(edges(&[(3, 8), (2, 5), (1, 4)]), 1);
        assert_eq!(edges(&[(7, 9), (2, 5), (1, 4)]), 1);
        assert_eq!(edges(&[(4, 0), (3, 9), (2, 5), (1, 4)]), 1);
        assert_eq!(edges(&[(3, 9), (2, 6), (1, 4)]), 2);
        assert_eq!(edges(&[(1, 4)]), 0);
        assert_eq!(edges(&[]), 0);
    }

    #[test]
    fn a_mixture_is_never_known_and_a_second_callee_soon() {
        let mut edges = Edges::default();
        let (a, b) = (stack(&[(10, 0), (1, 4)]), stack(&[(20, 0), (2, 4)]));
        assert!(!edges.learn(&[], &a, false), "two readings that differ prove nothing");
        assert!(!edges.are_known(&[], &a));
        assert!(edges.learn(&[], &a, true) && edges.learn(&[], &b, true));
        assert!(edges.are_known(&[], &a));
        let mixture = stack(&[(20, 0), (1, 4)]);
        for round in 0..1000 {
            assert!(!edges.learn(&[], &mixture, round % 20 == 0));
        }
        let second = stack(&[(11, 0), (1, 4)]);
        assert!(!edges.learn(&[], &second, true));
        assert!(!edges.learn(&[], &second, true));
        assert!(edges.learn(&[], &second, true) && edges.are_known(&[], &second));
    }
}
