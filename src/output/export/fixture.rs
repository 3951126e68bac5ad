//! A recording for the tests of the formats, and what is to be found in each.

use std::io::{self, Write};

use crate::model::{Cause, State, note};
use crate::output::StackOptions;
use crate::profile::fixture::{Trace, timeline};
use crate::profile::{Block, Profile, Replay};

/// A function that writes a format.
pub(super) type Exporter =
    fn(&mut dyn Write, &Profile, &mut Replay, &StackOptions) -> io::Result<()>;

/// What a fixture is: the profile as it was counted, and the blocks of its file.
pub(super) type Made = (Profile, Vec<Block>);

/// Two seconds at 100 Hz in eight blocks. `main` computes for a second, in the last 100 ms collecting
/// garbage, then fetches. `loop` is in a step from 300 to 800 ms, in which it sleeps, parked
/// otherwise. `waits` wants the GIL for the first second, then a lock. `pool` is parked.
pub(super) fn recording() -> Made {
    let mut trace = Trace::new(100);
    let (main, looping) = (trace.thread("main"), trace.thread("loop"));
    let (waits, pool) = (trace.thread("waits"), trace.thread("pool"));
    let outer = ("main", "app.py", 3);
    let work = trace.state(&[outer, ("work", "app.py", 7)], Cause::Python);
    let fetch = trace.state(&[outer, ("fetch", "app.py", 9)], Cause::Network);
    let nap = trace.state(&[("nap", "app.py", 12)], Cause::Sleep);
    let select = trace.state(&[("select", "loop.py", 2)], Cause::Parked);
    let gil = trace.state(&[("count", "app.py", 20)], Cause::Gil);
    let lock = trace.state(&[("enter", "app.py", 22)], Cause::Lock);
    let get = trace.state(&[("get", "queue.py", 5)], Cause::Parked);
    let note = trace.tables.labels.intern(note::COLLECTING.into());
    let collects = State { note: Some(note), ..*trace.tables.states.get(work).unwrap() };
    let collects = trace.tables.states.intern(collects);
    for time in (0..2000).step_by(10) {
        let at_main = match time {
            0..900 => work,
            900..1000 => collects,
            _ => fetch,
        };
        let in_step = (300..800).contains(&time);
        let at_loop = if in_step { nap } else { select };
        trace.sample(
            time,
            &[
                (main, at_main, None),
                (looping, at_loop, in_step.then_some((1, 300, true))),
                (waits, if time < 1000 { gil } else { lock }, None),
                (pool, get, None),
            ],
        );
        if time % 250 == 240 {
            trace.cut();
        }
    }
    trace.finish()
}

/// The seconds that a thread of [`recording`] spent with a cause, given as a frame.
pub(super) fn seconds(thread: &str, cause: &str) -> f64 {
    match (thread, cause) {
        ("main", "[python]" | "[network]") | ("waits", "[gil]" | "[lock]") => 1.0,
        ("loop", "[sleep]") => 0.5,
        ("loop", "[parked]") => 1.5,
        ("pool", "[parked]") => 2.0,
        _ => 0.0,
    }
}

/// Names that would do harm where they are not made inert.
pub(super) fn hostile() -> Made {
    let mut trace = Trace::new(100);
    let long = "x".repeat(10_000);
    let bad = "<script>alert('1')</script>;\"\\\n\r\t\u{1b}[31m\u{202e}\u{2028}\0]]>";
    let (thread, other) = (trace.thread(bad), trace.thread(&long));
    let state = trace.state(&[(bad, bad, 1), (&long, &long, 2)], Cause::Python);
    for time in (0..100).step_by(10) {
        trace.sample(time, &[(thread, state, None), (other, state, None)]);
    }
    let (mut profile, blocks) = trace.finish();
    profile.meta.command = vec![bad.to_owned(), long];
    (profile, blocks)
}

/// What an exporter writes of a recording.
pub(super) fn export(exporter: Exporter, made: &Made, options: &StackOptions) -> Vec<u8> {
    let (recording, mut replay) = timeline(&made.0, &made.1);
    let mut out = Vec::new();
    exporter(&mut out, &recording.profile, &mut replay, options).unwrap();
    out
}

/// Asserts that nothing of [`hostile`] got through as it was: no control character but the lines'
/// own ends, nothing that turns text around, no text without bounds.
pub(super) fn assert_inert(file: &[u8]) {
    let text = String::from_utf8_lossy(file);
    for escaped in ["\\u001b", "\\u0000", "\\n", "\\r", "\\t"] {
        assert!(!text.contains(escaped), "{escaped} is a character of the target");
    }
    assert!(!text.contains(['\u{1b}', '\0', '\u{202e}', '\u{2028}', '\r']), "{text}");
    assert!(text.contains("\\u{1b}"), "spelt");
    assert!(!text.contains(&"x".repeat(2000)), "cut");
}

pub(super) fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 0.011, "{found} is not {expected}");
}
