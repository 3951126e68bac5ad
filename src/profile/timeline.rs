//! A recording in the order of time: read once for what only the whole of it tells, then again block
//! by block, so that what is kept does not grow with its length.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::model::{Nanos, StateId, Tag, ThreadId};

use super::absorb::times;
use super::aggregate::{Profile, Row};
use super::block::{Block, Lane, Run};
use super::meta::Usage;
use super::reader::{Blocks, Frames, Recording, RecordingError, read_and_see};

/// How many of a recording's intervals a sample may stand for. After a longer pause of the sampler
/// nobody knows what the threads did.
const LONGEST: u64 = 10;

/// What is read twice: a file, or bytes.
trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// The second reading of a recording.
pub struct Replay {
    source: Box<dyn Source>,
    marks: Marks,
    /// How many blocks the first reading counted: a file that grows meanwhile has more.
    blocks: u64,
}

/// What is known of a step of an event loop once it has ended, maybe in a later block than its
/// samples. Only of steps that there is something to say of, so of long ones.
type Marks = FxHashMap<(ThreadId, u32), Mark>;

#[derive(Default)]
struct Mark {
    blocking: bool,
    task: Option<Rc<str>>,
}

/// A block of the recording.
#[derive(Debug)]
pub struct Passage<'a> {
    /// When its samples were taken, since the recording's start.
    pub times: &'a [Nanos],
    /// Until when its last sample stands.
    pub end: Nanos,
    /// What the target used meanwhile.
    pub usage: Usage,
    /// What its threads did, by thread, and of each in the order of time.
    pub pieces: Vec<Piece<'a>>,
}

/// One thread in one state at samples that follow each other.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The thread, the state, the number of samples, and whether they blocked an event loop.
    pub row: Row<'a>,
    /// The place of its first sample in [`Passage::times`].
    pub first: usize,
    /// When its samples were taken, since the recording's start.
    pub times: &'a [Nanos],
    /// Until when its last sample stands: up to the next one, be the thread in it or not, unless
    /// the sampler paused.
    pub end: Nanos,
    /// The task whose step its event loop was in, where it is known.
    pub task: Option<&'a Rc<str>>,
}

impl Piece<'_> {
    /// When it began, since the recording's start.
    #[must_use]
    pub fn start(&self) -> Nanos {
        self.times.first().copied().unwrap_or(self.end)
    }

    /// How long it was.
    #[must_use]
    pub fn length(&self) -> Nanos {
        self.end.since(self.start())
    }

    /// Its tag, steps considered.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        self.row.tag()
    }
}

/// Reads a recording as [`read_recording`](super::read_recording) does, and prepares its second
/// reading.
///
/// # Errors
/// When not even its beginning can be read.
pub fn read_timeline(
    mut source: impl Read + Seek + 'static,
) -> Result<(Recording, Replay), RecordingError> {
    let mut marks = Marks::default();
    let mut names: BTreeSet<Rc<str>> = BTreeSet::new();
    let mut blocks = 0;
    let recording = read_and_see(&mut source, &mut |profile, block| {
        blocks += 1;
        mark_steps(&mut marks, &mut names, profile, block);
    })?;
    // Steps that no block ends, as a cut recording has them.
    for (thread, profile) in recording.profile.threads.iter().enumerate() {
        let episodes = profile.event_loop.iter().flat_map(|it| &it.episodes);
        for episode in episodes {
            marks.entry((ThreadId::from(thread), episode.step.step)).or_default().blocking = true;
        }
    }
    Ok((recording, Replay { source: Box::new(source), marks, blocks }))
}

fn mark_steps(marks: &mut Marks, names: &mut BTreeSet<Rc<str>>, profile: &Profile, block: &Block) {
    for end in &block.steps {
        let blocking = end.blocks(profile.meta.threshold, profile.meta.interval());
        let task = end.task.as_ref().map(|task| match names.get(&*task.name) {
            Some(known) => Rc::clone(known),
            None => {
                let name = Rc::<str>::from(&*task.name);
                names.insert(Rc::clone(&name));
                name
            }
        });
        if blocking || task.is_some() {
            marks.insert((end.thread, end.step), Mark { blocking, task });
        }
    }
}

impl Replay {
    /// Shows the recording to `visit`, block by block. `profile` is that of the first reading.
    ///
    /// # Errors
    /// What `visit` says; and when the recording cannot be read again, or is not the same any more.
    pub fn run(
        &mut self,
        profile: &Profile,
        visit: &mut dyn FnMut(&Passage<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let changed = || io::Error::other("the recording changed while it was read: export again");
        self.source.rewind()?;
        let (mut frames, _) = Frames::begin(&mut self.source).map_err(|_| changed())?;
        let mut blocks = Blocks::of(&mut frames);
        let show = Show { profile, marks: &self.marks, interval: profile.mean_interval() };
        // The last sample of a block stands up to the first of the next.
        let mut held = None;
        for _ in 0..self.blocks {
            let block = blocks.next().ok().flatten().ok_or_else(changed)?;
            // One without samples, as the last may be, has none to say until when.
            let next = (!block.intervals.is_empty()).then_some(block.start);
            if let Some(before) = held.replace(block) {
                show.block(&before, next, visit)?;
            }
        }
        held.map_or(Ok(()), |last| show.block(&last, None, visit))
    }
}

impl Profile {
    /// The time from one sample to the next, on average.
    #[must_use]
    pub fn mean_interval(&self) -> Nanos {
        match self.quality.elapsed.0.checked_div(self.quality.samples) {
            Some(mean) if mean > 0 => Nanos(mean),
            _ => self.meta.interval(),
        }
    }
}

/// Turns blocks into passages.
struct Show<'a> {
    profile: &'a Profile,
    marks: &'a Marks,
    interval: Nanos,
}

impl Show<'_> {
    fn block(
        &self,
        block: &Block,
        next: Option<Nanos>,
        visit: &mut dyn FnMut(&Passage<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let origin = self.profile.meta.origin;
        let times: Vec<_> = times(block).into_iter().map(|time| time.since(origin)).collect();
        let ends = self.ends(&times, next.map(|next| next.since(origin)));
        let end = ends.last().copied().unwrap_or(block.start.since(origin));
        let mut pieces = Vec::new();
        for lane in &block.lanes {
            self.lane(lane, (&times, &ends), &mut pieces);
        }
        visit(&Passage { times: &times, end, usage: block.usage, pieces })
    }

    /// Until when each sample stands.
    fn ends(&self, times: &[Nanos], next: Option<Nanos>) -> Vec<Nanos> {
        let longest = self.interval.0.saturating_mul(LONGEST);
        let after = times.iter().skip(1).copied().map(Some).chain([next]);
        let end = |(&time, after): (&Nanos, Option<Nanos>)| {
            let length = after.map_or(self.interval, |after| after.since(time));
            Nanos(time.0.saturating_add(length.0.min(longest)))
        };
        times.iter().zip(after).map(end).collect()
    }

    fn lane<'b>(
        &'b self,
        lane: &Lane,
        (times, ends): (&'b [Nanos], &[Nanos]),
        pieces: &mut Vec<Piece<'b>>,
    ) {
        let mut place = 0_usize;
        for run in &lane.runs {
            let first = place;
            place = place.saturating_add(run.samples as usize);
            let (Some(state), Some(times), Some(ends)) =
                (run.state, times.get(first..place), ends.get(first..place))
            else {
                continue;
            };
            self.run((lane.thread, state, run), (first, times, ends), pieces);
        }
    }

    /// The pieces of a run: one, unless the sampler paused within it.
    fn run<'b>(
        &'b self,
        (thread, id, run): (ThreadId, StateId, &Run),
        (first, times, ends): (usize, &'b [Nanos], &[Nanos]),
        pieces: &mut Vec<Piece<'b>>,
    ) {
        let Some(state) = self.profile.tables.states.get(id) else { return };
        let mark = self.marks.get(&(thread, run.step)).filter(|_| run.step != 0);
        let blocking = mark.is_some_and(|mark| mark.blocking);
        let mut start = 0;
        for (index, &end) in ends.iter().enumerate() {
            let stop = index + 1;
            if times.get(stop).is_some_and(|&next| next <= end) {
                continue;
            }
            let Some(times) = times.get(start..stop) else { return };
            let row = Row { thread, id, state, blocking, samples: times.len() as u64 };
            let task = mark.and_then(|mark| mark.task.as_ref());
            pieces.push(Piece { row, first: first + start, times, end, task });
            start = stop;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{self, Cursor, Read, Seek};

    use super::read_timeline;
    use crate::model::{Cause, Nanos, Tag};
    use crate::profile::fixture::{Trace, file, timeline};
    use crate::profile::{Block, Profile, RecordingWriter};

    const MS: u64 = 1_000_000;

    /// Three blocks of two threads; the loop of the second is blocked from 30 to 170 ms, which spans
    /// the first cut, and the sampler pauses for a second within the last.
    fn trace() -> (Profile, Vec<Block>) {
        let mut trace = Trace::new(100);
        let main = trace.thread("main");
        let looping = trace.thread("loop");
        let work = trace.state(&[("main", "app.py", 3)], Cause::Python);
        let sleep = trace.state(&[("nap", "app.py", 12)], Cause::Sleep);
        for tick in 0..300 {
            let step = (3..17).contains(&tick).then_some((7, 30, true));
            let pause = if tick < 250 { 0 } else { 1000 };
            trace.sample(tick * 10 + pause, &[(main, work, None), (looping, sleep, step)]);
            if tick % 10 == 9 && tick < 240 {
                trace.cut();
            }
        }
        trace.finish()
    }

    #[test]
    fn all_samples_are_shown_with_the_tags_of_the_profile() {
        let (live, blocks) = trace();
        let (recording, mut replay) = timeline(&live, &blocks);
        let mut tags: BTreeMap<Tag, u64> = BTreeMap::new();
        let mut shown = 0;
        let mut tally = |passage: &super::Passage<'_>| {
            for piece in &passage.pieces {
                *tags.entry(piece.tag()).or_default() += piece.row.samples;
                assert_eq!(piece.times.len() as u64, piece.row.samples);
                assert_eq!(passage.times[piece.first], piece.start());
            }
            shown += 1;
            Ok(())
        };
        replay.run(&recording.profile, &mut tally).unwrap();
        assert_eq!(shown, blocks.len());
        assert_eq!(tags, live.by_tag());
        assert_eq!(tags[&Tag::EventLoopBlocking], 14, "before and after the cut");
        replay.run(&recording.profile, &mut |_| Ok(())).expect("as often as one likes");
    }

    #[test]
    fn a_sample_stands_up_to_the_next_one_but_not_through_a_pause() {
        let (live, blocks) = trace();
        let (recording, mut replay) = timeline(&live, &blocks);
        let mut pieces = Vec::new();
        let mut keep = |passage: &super::Passage<'_>| {
            let main = passage.pieces.iter().filter(|piece| piece.row.thread.0 == 0);
            pieces.extend(main.map(|piece| (piece.start(), piece.end)));
            Ok(())
        };
        replay.run(&recording.profile, &mut keep).unwrap();
        assert_eq!(pieces[0], (Nanos(0), Nanos(100 * MS)), "up to the next block");
        let mean = live.quality.elapsed.0 / live.quality.samples;
        let gap = pieces.windows(2).find(|pair| pair[0].1 != pair[1].0).unwrap();
        assert_eq!(gap[0].1, Nanos(2490 * MS + 10 * mean));
        assert_eq!(gap[1].0, Nanos(3500 * MS));
        assert_eq!(pieces.last().unwrap().1, Nanos(3990 * MS + mean));
    }

    #[test]
    fn a_cut_recording_is_shown_up_to_the_cut() {
        let (live, blocks) = trace();
        let mut bytes = Vec::new();
        let mut writer = RecordingWriter::create(&mut bytes, &live.meta).unwrap();
        blocks[..2].iter().for_each(|block| writer.append(block).unwrap());
        bytes.extend([1, 2, 3]);
        let (recording, mut replay) = read_timeline(Cursor::new(bytes)).unwrap();
        assert!(!recording.complete);
        let mut samples = 0;
        let mut tally = |passage: &super::Passage<'_>| {
            samples += passage.pieces.iter().map(|piece| piece.row.samples).sum::<u64>();
            Ok(())
        };
        replay.run(&recording.profile, &mut tally).unwrap();
        assert_eq!(samples, recording.profile.thread_samples());
    }

    /// A file that is another one when it is read again.
    struct Swapped(Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Swapped {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Seek for Swapped {
        fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
            self.0 = Cursor::new(std::mem::take(&mut self.1));
            self.0.seek(to)
        }
    }

    #[test]
    fn a_file_that_has_changed_is_no_harm() {
        let (live, blocks) = trace();
        let mut small = Trace::new(100);
        let thread = small.thread("main");
        let state = small.state(&[("main", "app.py", 3)], Cause::Python);
        (0..3).for_each(|tick| small.sample(tick * 10, &[(thread, state, None)]));
        let (small, few) = small.finish();

        // Ids of the other file lead nowhere, or to something else: nothing is shown for them.
        let swapped = Swapped(Cursor::new(file(&small, &few)), file(&live, &blocks));
        let (recording, mut replay) = read_timeline(swapped).unwrap();
        let mut pieces = 0;
        let mut tally = |passage: &super::Passage<'_>| {
            pieces += passage.pieces.len();
            Ok(())
        };
        replay.run(&recording.profile, &mut tally).unwrap();
        assert!(pieces > 0);

        let swapped = Swapped(Cursor::new(file(&live, &blocks)), file(&small, &few));
        let (recording, mut replay) = read_timeline(swapped).unwrap();
        let error = replay.run(&recording.profile, &mut |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("changed"), "{error}");
    }

    #[test]
    fn what_the_visitor_says_ends_the_replay() {
        let (live, blocks) = trace();
        let (recording, mut replay) = timeline(&live, &blocks);
        let mut calls = 0;
        let mut refuse = |_: &super::Passage<'_>| {
            calls += 1;
            Err(std::io::ErrorKind::BrokenPipe.into())
        };
        let error = replay.run(&recording.profile, &mut refuse).unwrap_err();
        assert_eq!((error.kind(), calls), (std::io::ErrorKind::BrokenPipe, 1));
    }
}
