//! Speedscope's own format: a sampled profile per thread, in the order of time.
//!
//! The schema is <https://www.speedscope.app/file-format-schema.json>. Weights are seconds; while a
//! thread was not there, or idle without `--idle`, its stack is empty.

use std::collections::BTreeMap;
use std::io::{self, Write};

use indexmap::IndexSet;
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::model::{Nanos, StateId, ThreadId};
use crate::output::StackOptions;
use crate::output::frames::{Place, Shown, place, shown_frames, thread_name};
use crate::profile::{Profile, Replay};

use super::runs::each_run;
use super::{exporter, process_title};

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    exporter: String,
    shared: Shared,
    profiles: Vec<Sampled<'a>>,
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<Place>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sampled<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    unit: &'static str,
    start_value: f64,
    end_value: f64,
    samples: Vec<&'a [usize]>,
    weights: Vec<f64>,
}

/// What one thread did.
#[derive(Default)]
struct Track {
    start: Nanos,
    end: Nanos,
    /// A stack, by its place among all, none for the empty one; and for how long it was there.
    stretches: Vec<(Option<usize>, Nanos)>,
}

impl Track {
    fn add(&mut self, stack: usize, start: Nanos, end: Nanos) {
        if self.stretches.is_empty() {
            self.start = start;
        } else if start > self.end {
            self.stretches.push((None, start.since(self.end)));
        }
        self.stretches.push((Some(stack), end.since(start)));
        self.end = end;
    }
}

/// All stacks, with frames by their place among all.
#[derive(Default)]
struct Stacks {
    frames: IndexSet<Shown>,
    stacks: IndexSet<Vec<usize>>,
    known: FxHashMap<(StateId, bool), usize>,
}

impl Stacks {
    /// The place of a state's stack.
    fn find(
        &mut self,
        profile: &Profile,
        options: &StackOptions,
        key: (StateId, bool),
    ) -> Option<usize> {
        if let Some(&stack) = self.known.get(&key) {
            return Some(stack);
        }
        let (id, blocking) = key;
        let state = profile.tables.states.get(id)?;
        let shown = shown_frames(&profile.tables, options, (state, blocking));
        let frames = shown.into_iter().rev().map(|frame| self.frames.insert_full(frame).0);
        let stack = self.stacks.insert_full(frames.collect()).0;
        self.known.insert(key, stack);
        Some(stack)
    }

    fn sampled(&self, name: String, track: &Track) -> Sampled<'_> {
        let frames = |stack: Option<usize>| match stack.and_then(|it| self.stacks.get_index(it)) {
            Some(frames) => frames.as_slice(),
            None => &[],
        };
        let samples = track.stretches.iter().map(|(stack, _)| frames(*stack));
        Sampled {
            kind: "sampled",
            name,
            unit: "seconds",
            start_value: track.start.seconds(),
            end_value: track.end.seconds(),
            samples: samples.collect(),
            weights: track.stretches.iter().map(|(_, length)| length.seconds()).collect(),
        }
    }
}

/// Writes a recording for speedscope.
///
/// # Errors
/// When the recording cannot be read again, or `out` cannot be written.
pub fn speedscope(
    out: &mut dyn Write,
    profile: &Profile,
    replay: &mut Replay,
    options: &StackOptions,
) -> io::Result<()> {
    let tables = &profile.tables;
    let mut stacks = Stacks::default();
    let mut tracks: BTreeMap<ThreadId, Track> = BTreeMap::new();
    each_run(
        (profile, replay, options),
        &|piece| Some((piece.row.id, piece.row.blocking)),
        &mut |run| {
            if let Some(stack) = stacks.find(profile, options, run.key) {
                tracks.entry(run.thread).or_default().add(stack, run.start, run.end);
            }
            Ok(())
        },
    )?;
    let sampled = |(&id, track)| stacks.sampled(thread_name(tables, id), track);
    let frames = stacks.frames.iter().map(|&frame| place(tables, options, frame));
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: process_title(&profile.meta),
        exporter: exporter(),
        shared: Shared { frames: frames.collect() },
        profiles: tracks.iter().map(sampled).collect(),
    };
    serde_json::to_writer(out, &file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::speedscope;
    use crate::output::StackOptions;
    use crate::output::export::fixture::{
        assert_inert, assert_near, export, hostile, recording, seconds,
    };

    fn file(options: &StackOptions) -> Value {
        serde_json::from_slice(&export(speedscope, &recording(), options)).unwrap()
    }

    /// The names of the frames of a thread's stacks with their weights.
    fn stacks(file: &Value, thread: &str) -> Vec<(Vec<String>, f64)> {
        let profiles = file["profiles"].as_array().unwrap();
        let profile = profiles.iter().find(|profile| profile["name"] == thread).unwrap();
        let name = |frame: &Value| {
            let frame = &file["shared"]["frames"][frame.as_u64().unwrap() as usize];
            frame["name"].as_str().unwrap().to_owned()
        };
        let samples = profile["samples"].as_array().unwrap().iter();
        let samples = samples.map(|stack| stack.as_array().unwrap().iter().map(name).collect());
        let weights = profile["weights"].as_array().unwrap().iter();
        samples.zip(weights.map(|weight| weight.as_f64().unwrap())).collect()
    }

    #[test]
    fn a_file_is_as_the_schema_has_it() {
        let schema = include_str!("../../../tests/schemas/speedscope.json");
        let schema = serde_json::from_str(schema).unwrap();
        for options in
            [StackOptions::default(), StackOptions { causes: true, ..Default::default() }]
        {
            jsonschema::validate(&schema, &file(&options)).unwrap();
        }
    }

    #[test]
    fn stacks_are_in_the_order_of_time_and_weigh_their_seconds() {
        let file = file(&StackOptions::default());
        let main = stacks(&file, "main");
        assert_eq!(main.len(), 3);
        assert_eq!(main[0].0, ["main", "work"]);
        assert_eq!(main[1].0, ["main", "work", "[garbage collection]"]);
        assert_eq!(main[2].0, ["main", "fetch"]);
        assert_near(main[0].1, 0.9);
        assert_near(main[2].1, 1.0);
        let frames = file["shared"]["frames"].as_array().unwrap();
        let work = frames.iter().find(|frame| frame["name"] == "work").unwrap();
        assert_eq!((&work["file"], &work["line"]), (&"app.py".into(), &7.into()));
        assert!(file["profiles"].as_array().unwrap().iter().all(|it| it["name"] != "pool"));
    }

    #[test]
    fn the_sums_are_those_of_the_profile() {
        let options = StackOptions { idle: true, causes: true, ..Default::default() };
        let file = file(&options);
        for (thread, cause) in [("main", "[python]"), ("loop", "[sleep]"), ("pool", "[parked]")] {
            let of_cause = stacks(&file, thread)
                .into_iter()
                .filter(|(frames, _)| frames.last().is_some_and(|last| last == cause));
            assert_near(of_cause.map(|(_, weight)| weight).sum(), seconds(thread, cause));
        }
        let blocked = stacks(&file, "loop")
            .into_iter()
            .filter(|(frames, _)| frames.iter().any(|it| it == "[event-loop-blocking]"));
        assert_near(blocked.map(|(_, weight)| weight).sum(), 0.5);
    }

    #[test]
    fn hostile_names_are_inert() {
        let file = export(speedscope, &hostile(), &StackOptions::default());
        assert_inert(&file);
        let file: Value = serde_json::from_slice(&file).unwrap();
        assert!(file["shared"]["frames"][0]["name"].as_str().unwrap().contains("<script>"));
    }
}
