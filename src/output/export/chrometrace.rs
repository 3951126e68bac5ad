//! The trace event format, which `chrome://tracing` and Perfetto's page open.
//!
//! <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>. Each thread has
//! an event for each time in which its tag and cause were the same; times are microseconds since the
//! recording's start.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::Serialize;

use crate::model::{Cause, Nanos, Tables, Tag};
use crate::output::StackOptions;
use crate::output::frames::thread_name;
use crate::profile::{Profile, Replay};

use super::runs::{Run, each_run};
use super::{exporter, process_title, tid_of, top_frame, whole};

/// An event: `X` for a time, `M` for the name of a thread or process.
#[derive(Serialize)]
struct Event<'a, A> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    ph: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    pid: i32,
    tid: i32,
    args: A,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Details {
    tag: &'static str,
    samples: u64,
    /// The innermost frame of most of the samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
}

/// The list of events, one a line.
struct Events<'a> {
    out: &'a mut dyn Write,
    pid: i32,
    any: bool,
}

impl Events<'_> {
    fn write(&mut self, event: &impl Serialize) -> io::Result<()> {
        self.out.write_all(if self.any { b",\n" } else { b"\n" })?;
        self.any = true;
        Ok(serde_json::to_writer(&mut *self.out, event)?)
    }

    fn name(&mut self, what: &str, tid: i32, name: &str) -> io::Result<()> {
        let (pid, args) = (self.pid, Name { name });
        self.write(&Event { name: what, cat: None, ph: "M", ts: None, dur: None, pid, tid, args })
    }

    fn run(
        &mut self,
        tables: &Tables,
        options: &StackOptions,
        run: &Run<(Tag, Cause)>,
    ) -> io::Result<()> {
        let (tag, cause) = run.key;
        let state = run.main_state().and_then(|state| tables.states.get(state));
        let top = state.and_then(|state| top_frame(tables, options, state.stack));
        self.write(&Event {
            name: cause.name(),
            cat: Some(tag.name()),
            ph: "X",
            ts: Some(micros(run.start)),
            dur: Some(micros(run.length())),
            pid: self.pid,
            tid: tid_of(tables, run.thread),
            args: Details {
                tag: tag.name(),
                samples: run.samples,
                at: top.as_ref().and_then(|top| top.spot()),
                function: top.map(|top| top.name),
            },
        })
    }
}

fn micros(time: Nanos) -> f64 {
    time.0 as f64 / 1e3
}

/// Writes a recording as trace events.
///
/// # Errors
/// When the recording cannot be read again, or `out` cannot be written.
pub fn chrometrace(
    out: &mut dyn Write,
    profile: &Profile,
    replay: &mut Replay,
    options: &StackOptions,
) -> io::Result<()> {
    let (tables, options) = (&profile.tables, whole(options));
    let exporter = serde_json::to_string(&exporter())?;
    write!(
        out,
        r#"{{"displayTimeUnit":"ms","otherData":{{"exporter":{exporter}}},"traceEvents":["#
    )?;
    let mut events = Events { out, pid: profile.meta.pid, any: false };
    events.name("process_name", 0, &process_title(&profile.meta))?;
    let mut named = BTreeSet::new();
    each_run(
        (profile, replay, &options),
        &|piece| Some((piece.tag(), piece.row.state.cause)),
        &mut |run| {
            if named.insert(run.thread) {
                let name = thread_name(tables, run.thread);
                events.name("thread_name", tid_of(tables, run.thread), &name)?;
            }
            events.run(tables, &options, run)
        },
    )?;
    writeln!(events.out, "\n]}}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::chrometrace;
    use crate::output::StackOptions;
    use crate::output::export::fixture::{
        assert_inert, assert_near, export, hostile, recording, seconds,
    };

    fn events() -> Vec<Value> {
        let file = export(chrometrace, &recording(), &StackOptions::default());
        let file: Value = serde_json::from_slice(&file).unwrap();
        file["traceEvents"].as_array().unwrap().clone()
    }

    #[test]
    fn threads_and_the_process_are_named() {
        let names: Vec<_> = events()
            .iter()
            .filter(|event| event["ph"] == "M")
            .map(|event| event["args"]["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names[0], "python3 app.py");
        for name in ["main", "loop", "waits", "pool"] {
            assert!(names.contains(&name.to_owned()), "{names:?}");
        }
        assert!(events().iter().all(|event| event["pid"] == 42 && event["tid"].is_i64()));
    }

    #[test]
    fn the_sums_are_those_of_the_profile() {
        for (thread, tid) in [("main", 100), ("loop", 101), ("waits", 102), ("pool", 103)] {
            for cause in ["python", "network", "sleep", "parked", "gil", "lock"] {
                let of = |event: &&Value| event["tid"] == tid && event["name"] == cause;
                let lengths = events().iter().filter(of).map(|it| it["dur"].as_f64()).sum();
                let lengths: Option<f64> = lengths;
                assert_near(lengths.unwrap() / 1e6, seconds(thread, &format!("[{cause}]")));
            }
        }
    }

    #[test]
    fn a_run_is_one_event_across_blocks() {
        let events = events();
        let main: Vec<_> =
            events.iter().filter(|event| event["tid"] == 100 && event["ph"] == "X").collect();
        assert_eq!(main.len(), 2, "also while it collects garbage");
        assert_eq!(main[0]["args"]["function"], "work");
        assert_eq!(main[0]["args"]["at"], "app.py:7");
        assert_eq!(main[0]["args"]["samples"], 100);
        let nap = events.iter().find(|event| event["name"] == "sleep").unwrap();
        assert_eq!((&nap["cat"], &nap["args"]["tag"]), (&nap["args"]["tag"], &nap["cat"]));
        assert_eq!(nap["cat"], "event-loop-blocking");
        assert_near(nap["ts"].as_f64().unwrap() / 1e6, 0.3);
    }

    #[test]
    fn hostile_names_are_inert() {
        let file = export(chrometrace, &hostile(), &StackOptions::default());
        assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), 7, "the lines' own ends");
        assert_inert(&file);
        serde_json::from_slice::<Value>(&file).unwrap();
    }
}
