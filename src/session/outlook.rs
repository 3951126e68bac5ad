//! Looks at what surrounds the target, in a thread of its own: sampling never waits for it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rustc_hash::FxHashMap;

use crate::model::{Cause, FrameId, Origin, StackId, Surroundings, Tables};
use crate::profile::Profile;
use crate::sampler::SurroundingsSampler;
use crate::target::Process;

/// Lines of source text that a recording keeps: the heaviest.
const MOST_LINES: usize = 200;

/// Lines of the target's code: file and number.
type Lines = Vec<(Box<str>, u32)>;

/// Looks at what surrounds the target: after 1, 2, 4, 8, … blocks, so that little is lost when the
/// target ends, and at the end.
pub(super) struct Outlook {
    ask: Option<Sender<Lines>>,
    seen: Receiver<Option<Surroundings>>,
    thread: Option<JoinHandle<()>>,
    blocks: u64,
    /// Whether an answer is still to come.
    asked: bool,
}

impl Outlook {
    /// Counts what is used from now on.
    pub(super) fn new(process: &Process) -> Self {
        let (ask, asked) = channel::<Lines>();
        let (tell, seen) = channel();
        let process = process.clone();
        let look = move || {
            let sampler = SurroundingsSampler::new(&process);
            while let Ok(lines) = asked.recv() {
                let lines: Vec<_> = lines.iter().map(|(file, line)| (&**file, *line)).collect();
                if tell.send(sampler.sample(&lines)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("surroundings".to_owned()).spawn(look).ok();
        Self { ask: Some(ask), seen, thread, blocks: 0, asked: false }
    }

    /// What was seen since the last call, at the end of a block, of a recording so far; asks for the next
    /// look when it is time, and waits for it when the recording `ends`.
    pub(super) fn follow(&mut self, profile: &Profile, ends: bool) -> Option<Surroundings> {
        self.blocks += 1;
        let seen = self.seen.try_recv().ok();
        self.asked &= seen.is_none();
        let found = seen.flatten();
        if ends || (self.blocks.is_power_of_two() && !self.asked) {
            self.asked = self.ask.as_ref().is_some_and(|ask| ask.send(lines(profile)).is_ok());
        }
        if !ends {
            return found;
        }
        self.ask = None;
        // What it saw when the target lived is better than nothing.
        let last = self.seen.iter().flatten().last();
        if let Some(thread) = self.thread.take() {
            // What it has to say it has said.
            let _ = thread.join();
        }
        last.or(found)
    }
}

fn lines(profile: &Profile) -> Lines {
    let tables = &profile.tables;
    let lines = heaviest(profile).into_iter().filter_map(|frame| {
        let frame = tables.frames.get(frame)?;
        Some((tables.functions.get(frame.function)?.file.clone(), frame.line))
    });
    lines.collect()
}

/// The lines of the program's own code that most samples, and most tasks, were in.
fn heaviest(profile: &Profile) -> Vec<FrameId> {
    let tables = &profile.tables;
    let mut weights: FxHashMap<FrameId, u64> = FxHashMap::default();
    let mut add = |stack: StackId, weight: u64| {
        for frame in tables.frames_of(stack).filter(|frame| is_users(tables, *frame)) {
            *weights.entry(frame).or_default() += weight;
        }
    };
    for row in profile.rows().filter(|row| row.state.cause != Cause::Parked) {
        add(row.state.stack, row.samples);
    }
    for (group, seen) in &profile.tasks.groups {
        add(group.chain, seen.tasks);
    }
    let mut heaviest: Vec<_> = weights.into_iter().collect();
    heaviest.sort_unstable_by_key(|&(frame, weight)| (std::cmp::Reverse(weight), frame));
    heaviest.into_iter().map(|(frame, _)| frame).take(MOST_LINES).collect()
}

fn is_users(tables: &Tables, frame: FrameId) -> bool {
    let frame = tables.frames.get(frame);
    let function = frame.and_then(|frame| tables.functions.get(frame.function));
    function.is_some_and(|function| Origin::of(function) == Origin::User)
}
