//! Which call leads where: tells stacks that can be from mixtures of two moments.
//!
//! A mixture shows where its two parts meet: a caller at an instruction from which its callee was
//! never seen to be called. An edge is known once both its frames were read twice alike. One that
//! contradicts what is known (its caller's instruction leads elsewhere, or its callee is called by
//! others) may be a mixture that was read twice alike by chance; it must prove itself: two
//! readings of a call that is real mostly agree, two of a mixture hardly ever. So must one whose
//! caller's code does not have the callee's name, as most calls do and most mixtures do not. That the
//! outermost function was called by nobody is an edge too, or else the inner part of a stack would
//! pass for all of it.

use rustc_hash::{FxHashMap, FxHashSet};

use super::RawFrame;
use crate::model::Address;

/// Edges that are kept; beyond that all are forgotten and learnt again.
const MOST: usize = 1 << 17;
/// What it takes to know an edge: to have been read twice alike counts one.
const PROOFS: u32 = 4;
/// The same for an edge that contradicts what is known.
const PROOFS_AGAINST: u32 = 12;
/// The same for an edge whose caller does not name its callee.
const PROOFS_UNNAMED: u32 = 32;
/// What a reading counts that was alike as a whole.
const WHOLE: u32 = PROOFS;
/// Of so many readings of an edge that is against the odds one must have been twice alike.
const ONE_OF: u32 = 4;

/// A caller's code and instruction.
type Site = (Address, u64);

/// How often an edge was met that is not known yet.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    seen: u32,
    alike: u32,
    proofs: u32,
}

/// The edges of one process.
#[derive(Debug, Default)]
pub struct Edges {
    known: FxHashSet<(Site, Address)>,
    /// Their sites, their callees, and the functions that they link.
    sites: FxHashSet<Site>,
    callees: FxHashSet<Address>,
    links: FxHashSet<(Address, Address)>,
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

    /// Learns from a stack; `agreed` says of each of its frames whether it was read twice alike, and
    /// behind the last one whether that may be the outermost; `whole` says that all was alike, and the thread's head; `names` says whether the code of a caller names a
    /// callee. Tells whether all its edges are known now.
    pub(super) fn learn(
        &mut self,
        last: &[RawFrame],
        frames: &[RawFrame],
        agreed: impl Fn(usize) -> bool,
        whole: bool,
        names: impl Fn(Address, Address) -> bool,
    ) -> bool {
        let mut all_known = true;
        for (callee, edge) in new_edges(last, frames).enumerate() {
            if !self.known.contains(&edge) {
                let agreed = agreed(callee) && agreed(callee + 1);
                all_known &= self.weigh(edge, agreed, whole, &names);
            }
        }
        all_known
    }

    /// Learns of an edge that is not known; tells whether it is now.
    fn weigh(
        &mut self,
        edge: (Site, Address),
        agreed: bool,
        whole: bool,
        names: impl Fn(Address, Address) -> bool,
    ) -> bool {
        if self.known.len() + self.doubtful.len() > MOST {
            self.clear();
        }
        let (site, callee) = edge;
        let tally = self.doubtful.entry(edge).or_default();
        tally.seen += 1;
        tally.alike += u32::from(agreed);
        tally.proofs += match (agreed, whole) {
            (true, true) => WHOLE,
            (true, false) => 1,
            (false, _) => 0,
        };
        let contradicts = !self.links.contains(&(site.0, callee))
            && (self.sites.contains(&site) || self.callees.contains(&callee));
        // Without contradiction the share does not matter: in a storm of calls it is low for all.
        let (proofs, share) =
            if contradicts { (PROOFS_AGAINST, tally.seen / ONE_OF) } else { (PROOFS, 0) };
        let proven = agreed && tally.proofs >= proofs && tally.alike >= share;
        if !proven || !(tally.proofs >= PROOFS_UNNAMED || names(site.0, callee)) {
            return false;
        }
        self.doubtful.remove(&edge);
        self.sites.insert(site);
        self.callees.insert(callee);
        self.links.insert((site.0, callee));
        self.known.insert(edge);
        true
    }
}

/// The edges of `frames`, the innermost first, up to the place from which on outwards it is like
/// `last`.
fn new_edges<'a>(
    last: &[RawFrame],
    frames: &'a [RawFrame],
) -> impl Iterator<Item = (Site, Address)> + 'a {
    let alike = last.iter().rev().zip(frames.iter().rev());
    let alike = alike.take_while(|(a, b)| a.code == b.code && a.instruction == b.instruction);
    // The innermost frame's instruction is no part of any edge.
    let changed = frames.len() - alike.count();
    let nobody = (Address::NULL, 0);
    let callers = frames.iter().skip(1).map(|caller| (caller.code, caller.instruction));
    let callers = callers.chain(std::iter::once(nobody));
    callers.zip(frames.iter().map(|callee| callee.code)).take(changed)
}

#[cfg(test)]
mod tests {
    use super::{Edges, PROOFS, RawFrame, new_edges};
    use crate::model::Address;

    const NAMED: fn(Address, Address) -> bool = |_, _| true;

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
        assert_eq!(edges(&[(1, 5)]), 1, "the outermost has an edge too");
        assert_eq!(edges(&[]), 0);
    }

    #[test]
    fn a_mixture_is_never_known_and_a_second_callee_soon() {
        let mut edges = Edges::default();
        let outer = [(5, 7), (0, 3)];
        let whole = |inner: [(u64, u64); 2]| stack(&[inner, outer].concat());
        let (a, b) = (whole([(10, 0), (1, 4)]), whole([(20, 0), (2, 4)]));
        assert!(
            !edges.learn(&[], &a, |_| false, false, NAMED),
            "two readings that differ prove nothing"
        );
        for _ in 1..PROOFS {
            assert!(!edges.learn(&[], &a, |_| true, false, NAMED), "a chance is not enough");
        }
        assert!(
            !edges.learn(&[], &a, |frame| frame > 0, false, NAMED),
            "the innermost is not proven"
        );
        assert!(edges.learn(&[], &a, |frame| frame < 2, false, NAMED), "the rest was");
        let learn =
            |edges: &mut Edges, stack: &[RawFrame]| edges.learn(&[], stack, |_| true, true, NAMED);
        assert!((0..3).any(|_| learn(&mut edges, &b)) && edges.are_known(&[], &a));
        let mixture = whole([(20, 0), (1, 4)]);
        for round in 0..1000 {
            assert!(!edges.learn(&[], &mixture, |_| round % 20 == 0, true, NAMED));
        }
        let second = whole([(11, 0), (1, 4)]);
        assert!(!learn(&mut edges, &second));
        assert!((0..3).any(|_| learn(&mut edges, &second)) && edges.are_known(&[], &second));
        let inner_part = stack(&[(10, 0), (1, 4)]);
        assert!(!edges.are_known(&[], &inner_part));
    }
    #[test]
    fn a_call_that_is_not_named_takes_longer_to_believe() {
        let mut edges = Edges::default();
        let frames = stack(&[(10, 0), (1, 4)]);
        let mut learn = || edges.learn(&[], &frames, |_| true, true, |_, callee| callee.0 != 10);
        let rounds = (0..100).take_while(|_| !learn()).count();
        assert_eq!(rounds, (super::PROOFS_UNNAMED / super::WHOLE) as usize - 1);
    }
}
