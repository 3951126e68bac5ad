//! Knots in a graph of who waits for whom. The parties are threads today; tasks fit as well.

use std::hash::Hash;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use rustc_hash::FxHashMap;

/// What a party of the graph is: something small that can be told from others.
pub(super) trait Party: Copy + Ord + Hash {}

impl<T: Copy + Ord + Hash> Party for T {}

/// A party that waits, and those who could end its wait; none of them when all have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency<P> {
    pub party: P,
    pub on: Vec<P>,
}

/// Parties that wait for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Knot<P> {
    /// Each waits for the next, the last for the first; one alone waits for itself or for nobody
    /// who is left.
    pub ring: Vec<P>,
    /// Those who wait for the ring.
    pub victims: Vec<P>,
}

/// The knots among `dependencies`, in the order of their first parties.
pub(super) fn knots<P: Party>(dependencies: &[Dependency<P>]) -> Vec<Knot<P>> {
    let stuck = stuck(dependencies);
    let mut graph = DiGraphMap::<P, ()>::new();
    for (&party, on) in &stuck {
        graph.add_node(party);
        for &other in *on {
            graph.add_edge(party, other, ());
        }
    }
    let mut knots: Vec<_> = tarjan_scc(&graph)
        .into_iter()
        .filter(|parties| match parties[..] {
            [one] => graph.contains_edge(one, one) || graph.neighbors(one).next().is_none(),
            _ => true,
        })
        .map(|parties| Knot { ring: ring(&stuck, parties), victims: Vec::new() })
        .collect();
    knots.sort_by_key(|knot| knot.ring.first().copied());
    add_victims(&stuck, &mut knots);
    knots
}

/// Those who wait for ever, each with those whom it waits for: what is left when everybody is taken
/// out whose wait somebody could end.
fn stuck<P: Party>(dependencies: &[Dependency<P>]) -> FxHashMap<P, &[P]> {
    let mut stuck: FxHashMap<P, &[P]> =
        dependencies.iter().map(|it| (it.party, it.on.as_slice())).collect();
    loop {
        let free: Vec<P> = stuck
            .iter()
            .filter(|(_, on)| on.iter().any(|other| !stuck.contains_key(other)))
            .map(|(party, _)| *party)
            .collect();
        if free.is_empty() {
            return stuck;
        }
        for party in free {
            stuck.remove(&party);
        }
    }
}

/// A ring through the first of `parties`, or one that it leads to.
fn ring<P: Party>(stuck: &FxHashMap<P, &[P]>, mut parties: Vec<P>) -> Vec<P> {
    parties.sort_unstable();
    let mut path: Vec<P> = Vec::new();
    let mut next = parties.first().copied();
    while let Some(party) = next {
        if let Some(start) = path.iter().position(|seen| *seen == party) {
            path.drain(..start);
            break;
        }
        path.push(party);
        let on = stuck.get(&party).copied().unwrap_or_default();
        next = on.iter().copied().find(|other| parties.contains(other));
    }
    let least = path.iter().enumerate().min_by_key(|(_, party)| **party);
    let least = least.map_or(0, |(index, _)| index);
    path.rotate_left(least);
    path
}

/// Gives everybody who is stuck outside the rings to the first ring that it leads to.
fn add_victims<P: Party>(stuck: &FxHashMap<P, &[P]>, knots: &mut [Knot<P>]) {
    let mut outside: Vec<P> = stuck
        .keys()
        .copied()
        .filter(|party| !knots.iter().any(|knot| knot.ring.contains(party)))
        .collect();
    outside.sort_unstable();
    for party in outside {
        let mut at = party;
        // A path longer than there are parties goes round.
        for _ in 0..=stuck.len() {
            if let Some(knot) = knots.iter_mut().find(|knot| knot.ring.contains(&at)) {
                knot.victims.push(party);
                break;
            }
            match stuck.get(&at).and_then(|on| on.first()) {
                Some(next) => at = *next,
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dependency, Knot, knots};

    fn found(dependencies: &[(u32, &[u32])]) -> Vec<(Vec<u32>, Vec<u32>)> {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|(party, on)| Dependency { party: *party, on: on.to_vec() })
            .collect();
        knots(&dependencies).into_iter().map(|Knot { ring, victims }| (ring, victims)).collect()
    }

    #[test]
    fn rings_of_all_lengths_are_found_with_those_who_wait_for_them() {
        assert_eq!(found(&[(1, &[1])]), [(vec![1], vec![])]);
        assert_eq!(found(&[(2, &[1]), (1, &[2])]), [(vec![1, 2], vec![])]);
        let three: &[(u32, &[u32])] = &[(5, &[3]), (3, &[9]), (9, &[5]), (4, &[9]), (6, &[4])];
        assert_eq!(found(three), [(vec![3, 9, 5], vec![4, 6])]);
        assert_eq!(found(&[(1, &[1]), (2, &[3]), (3, &[2])]).len(), 2);
    }

    #[test]
    fn who_waits_for_nobody_left_waits_for_ever() {
        assert_eq!(found(&[(1, &[]), (2, &[1])]), [(vec![1], vec![2])]);
    }

    #[test]
    fn whoever_somebody_can_free_is_not_stuck() {
        assert!(found(&[(1, &[2])]).is_empty(), "2 does not wait");
        assert!(found(&[(1, &[2]), (2, &[1, 3])]).is_empty(), "3 could free 2");
        // Two workers of one executor, both at jobs that wait for the executor.
        assert_eq!(found(&[(1, &[1, 2]), (2, &[1, 2])]), [(vec![1], vec![2])]);
        assert!(found(&[]).is_empty());
    }
}
