//! `unclosed-client`: connections that the process opened and does not close.

use serde_json::Value;

use crate::diagnose::words::rounded;
use crate::profile::{ConnectionProfile, Series};

use super::growth::growth;
use super::{Case, Finding, Severity, evidence};

/// So many connections that the peer has closed are no pool's: one has mostly ten at most.
const MANY: u32 = 20;
/// For how many seconds they must be seen.
const LASTING: f64 = 3.0;

pub(super) fn find(case: &Case) -> Vec<Finding> {
    let mut found: Vec<_> = case.profile.tasks.connections.iter().collect();
    found.sort_by_key(|(peer, _)| *peer);
    found.into_iter().filter_map(|(peer, connections)| finding(peer, connections)).collect()
}

/// What is wrong with the connections to one peer.
enum Leak {
    /// The peer has closed them.
    HalfClosed,
    /// They become more and more.
    Growing,
}

fn finding(peer: &str, connections: &ConnectionProfile) -> Option<Finding> {
    let (open, half_closed) = (last(&connections.open), last(&connections.half_closed));
    let growing = growth(&connections.half_closed);
    let (leak, growth, count) = match growing.or_else(|| lasting(&connections.half_closed)) {
        Some(growth) => (Leak::HalfClosed, growth, half_closed),
        None => (Leak::Growing, growth(&connections.open)?, open),
    };
    let (slope, seconds) = growth;
    Some(Finding {
        id: "unclosed-client",
        name: match leak {
            Leak::HalfClosed => format!(
                "{count} connections to {peer} that it has closed, and this process has not"
            ),
            Leak::Growing => {
                format!("{slope:.1} more connections a second to {peer}, and none is closed")
            }
        },
        severity: Severity::Warning,
        share: 1.0,
        seconds: rounded(seconds),
        count: count.into(),
        site: None,
        source: None,
        thread: None,
        task: None,
        evidence: evidence([
            ("share_of", "looks at the connections".into()),
            ("count_of", "connections at the last look".into()),
            ("peer", peer.into()),
            ("open", open.into()),
            ("half_closed", half_closed.into()),
            ("connections_a_second", if slope > 0.0 { rounded(slope).into() } else { Value::Null }),
        ]),
        advice: match leak {
            Leak::HalfClosed => {
                "Whoever opened them has forgotten them, and each keeps a descriptor \
                until there are none left. Close the client or the response (async with, with, \
                await client.aclose()), and use one client for all requests instead of one each."
            }
            Leak::Growing => {
                "Use one client (session, pool) for all requests and close it at the end \
                (async with, with). A client for each request that is never closed keeps its \
                connection. It can also mean that a pool without a limit is still filling: give it \
                one."
            }
        }
        .to_owned(),
    })
}

/// Many of them all the time: how fast they grow, which is not at all, and for how long.
fn lasting(series: &Series) -> Option<(f64, f64)> {
    let points = series.points();
    let seconds = points.last()?.0.since(points.first()?.0).seconds();
    let many = points.iter().all(|(_, number)| *number >= MANY);
    (many && seconds >= LASTING).then_some((0.0, seconds))
}

fn last(series: &Series) -> u32 {
    series.points().last().map_or(0, |(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::finding;
    use crate::model::Nanos;
    use crate::profile::ConnectionProfile;

    /// The name of the finding on connections of which so many are open, and half closed.
    fn found(counts: &[(u32, u32)]) -> Option<String> {
        let mut profile = ConnectionProfile::default();
        for (second, (open, half_closed)) in (0..).zip(counts) {
            let time = Nanos(second * Nanos::SECOND.0);
            profile.open.add(time, *open);
            profile.half_closed.add(time, *half_closed);
        }
        finding("10.0.0.7:443", &profile).map(|finding| finding.name)
    }

    #[test]
    fn what_is_not_closed_is_told_and_a_pool_is_not() {
        let closed = found(&[(5, 5), (15, 15), (25, 25), (35, 35), (45, 45)]);
        assert!(closed.unwrap().starts_with("45 connections"));
        assert!(found(&[(30, 30); 5]).unwrap().starts_with("30 connections"));
        let growing = found(&[(10, 0), (20, 0), (30, 0), (40, 0), (50, 0)]);
        assert!(growing.unwrap().starts_with("10.0 more"));
        assert_eq!(found(&[(10, 8); 5]), None, "what is idle in a pool");
        assert_eq!(found(&[(0, 0), (40, 0), (50, 0), (50, 0), (50, 0)]), None, "a pool that fills");
    }
}
