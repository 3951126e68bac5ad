//! A JSON object a line for each time in which a thread did the same, for scripts.
//!
//! | key | value |
//! |---|---|
//! | `t` | when it began: seconds since the recording's start |
//! | `seconds` | how long it was |
//! | `samples` | how many samples saw it |
//! | `thread`, `tid` | the thread's name and native number |
//! | `tag`, `cause` | as reports have them |
//! | `collecting` | `true` while garbage was collected; else left out |
//! | `blocking` | whether it belongs to a step that blocked the thread's event loop |
//! | `task` | the task that the step belongs to; left out where it is not known |
//! | `stack` | `function`, `file` and `line` of each frame, outermost first |
//!
//! Lines come in the order in which these times ended. A frame has no `file` or `line` where there
//! is none.

use std::io::{self, Write};

use serde::Serialize;

use crate::output::StackOptions;
use crate::output::escape::sanitise;
use crate::output::frames::{Place, WIDEST, is_collecting, place, push_frames, thread_name};
use crate::profile::{Profile, Replay};

use super::{tid_of, whole};

use super::runs::each_run;

#[derive(Serialize)]
struct Line {
    t: f64,
    seconds: f64,
    samples: u64,
    thread: String,
    tid: i32,
    tag: &'static str,
    cause: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    collecting: bool,
    blocking: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    stack: Vec<Frame>,
}

#[derive(Serialize)]
struct Frame {
    function: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

impl From<Place> for Frame {
    fn from(Place { name, file, line }: Place) -> Self {
        Self { function: name, file, line }
    }
}

/// Writes a recording as lines of JSON.
///
/// # Errors
/// When the recording cannot be read again, or `out` cannot be written.
pub fn jsonl(
    out: &mut dyn Write,
    profile: &Profile,
    replay: &mut Replay,
    options: &StackOptions,
) -> io::Result<()> {
    let (tables, options) = (&profile.tables, whole(options));
    each_run(
        (profile, replay, &options),
        &|piece| Some((piece.row.id, piece.row.blocking, piece.task.cloned())),
        &mut |run| {
            let (id, blocking, task) = &run.key;
            let (Some(state), Some(tag)) = (tables.states.get(*id), profile.tag_of(*id, *blocking))
            else {
                return Ok(());
            };
            let mut frames = Vec::new();
            push_frames(tables, state.stack, &mut frames);
            let frames = frames.into_iter().rev();
            let line = Line {
                t: run.start.seconds(),
                seconds: run.length().seconds(),
                samples: run.samples,
                thread: thread_name(tables, run.thread),
                tid: tid_of(tables, run.thread),
                tag: tag.name(),
                cause: state.cause.name(),
                collecting: is_collecting(tables, state),
                blocking: *blocking,
                task: task.as_ref().map(|task| sanitise(task, WIDEST)),
                stack: frames.map(|frame| place(tables, &options, frame).into()).collect(),
            };
            serde_json::to_writer(&mut *out, &line)?;
            out.write_all(b"\n")
        },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::jsonl;
    use crate::model::StepTask;
    use crate::output::StackOptions;
    use crate::output::export::fixture::{
        assert_inert, assert_near, export, hostile, recording, seconds,
    };

    fn lines(file: &[u8]) -> Vec<Value> {
        let text = std::str::from_utf8(file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_says_all_of_a_run() {
        let lines = lines(&export(jsonl, &recording(), &StackOptions::default()));
        let work = &lines.iter().find(|line| line["cause"] == "python").unwrap();
        assert_eq!((&work["t"], &work["samples"]), (&json!(0.0), &json!(90)));
        assert_near(work["seconds"].as_f64().unwrap(), 0.9);
        assert_eq!((&work["thread"], &work["tid"]), (&json!("main"), &json!(100)));
        assert_eq!((&work["tag"], &work["blocking"]), (&json!("running"), &json!(false)));
        let outer = json!({"function": "main", "file": "app.py", "line": 3});
        let inner = json!({"function": "work", "file": "app.py", "line": 7});
        assert_eq!(work["stack"], json!([outer, inner]));
        assert_eq!(work.get("task").or(work.get("collecting")), None);
        let collects: Vec<_> = lines.iter().filter(|it| it["collecting"] == true).collect();
        assert_eq!((collects.len(), &collects[0]["samples"]), (1, &json!(10)));
    }

    #[test]
    fn the_sums_are_those_of_the_profile() {
        let (profile, blocks) = recording();
        let made = (profile, blocks);
        let lines = lines(&export(jsonl, &made, &StackOptions::default()));
        let samples = lines.iter().map(|line| line["samples"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(samples, made.0.thread_samples());
        for (thread, cause) in [("main", "python"), ("loop", "parked"), ("waits", "gil")] {
            let of = lines.iter().filter(|it| it["thread"] == thread && it["cause"] == cause);
            let found = of.map(|line| line["seconds"].as_f64().unwrap()).sum();
            assert_near(found, seconds(thread, &format!("[{cause}]")));
        }
        for (tag, samples) in made.0.by_tag() {
            let of = lines.iter().filter(|line| line["tag"] == tag.name());
            assert_eq!(of.map(|line| line["samples"].as_u64().unwrap()).sum::<u64>(), samples);
        }
    }

    #[test]
    fn a_step_is_told_with_its_task_whenever_it_ended() {
        let (profile, mut blocks) = recording();
        for end in blocks.iter_mut().flat_map(|block| &mut block.steps) {
            end.task = Some(StepTask { name: "task \u{1b}1".into(), coroutine: None });
        }
        let lines = lines(&export(jsonl, &(profile, blocks), &StackOptions::default()));
        let step: Vec<_> = lines.iter().filter(|line| line["blocking"] == true).collect();
        assert_eq!(step.len(), 1, "one run, though over three blocks");
        assert_eq!(
            (&step[0]["samples"], &step[0]["tag"]),
            (&json!(50), &json!("event-loop-blocking"))
        );
        assert_eq!(step[0]["task"], r"task \u{1b}1");
    }

    #[test]
    fn hostile_names_are_inert() {
        let file = export(jsonl, &hostile(), &StackOptions::default());
        assert_inert(&file);
        assert_eq!(lines(&file).len(), 2);
    }
}
