//! Reads recordings, also those that were cut or damaged.

use std::io::{self, BufReader, Read};

use serde::de::DeserializeOwned;

use crate::model::{Nanos, Surroundings, TaskLook, WaitNotes};

use super::aggregate::Profile;
use super::block::Block;
use super::check::AbsorbError;
use super::history::History;
use super::meta::Meta;
use super::recording::{End, Kind, MAGIC, MAX_MESSAGE, MAX_PAYLOAD, VERSION, checksum};
use super::stretches::Stretches;

/// A recording that was read.
#[derive(Debug)]
pub struct Recording {
    /// What it holds, counted; [`Profile::finish`] was called.
    pub profile: Profile,
    /// Whether it was brought to its end and is whole.
    pub complete: bool,
    /// What a user should know about it: where it was cut or damaged.
    pub note: Option<String>,
}

/// Why a recording cannot be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file is empty.
    #[error("the file is empty: nothing was recorded; record it again")]
    Empty,
    /// The file is something else.
    #[error("the file is not a pyconc recording; give a file that `pyconc record` wrote")]
    NotARecording,
    /// The file's format is newer than this program.
    #[error(
        "the recording has format {found}, this pyconc reads formats up to {known}; update pyconc"
    )]
    TooNew {
        /// The file's format.
        found: u8,
        /// The newest format that can be read.
        known: u8,
    },
    /// It was made before the first release, in a format that is not read any more.
    #[error("the recording has format {found}, from before the first release; record it again")]
    TooOld {
        /// The file's format.
        found: u8,
    },
    /// The file ends before its first sample.
    #[error("the recording was cut before its first sample; record it again")]
    Cut,
    /// The file's beginning makes no sense.
    #[error("the recording's first bytes are damaged ({0}); copy it again from where it was made")]
    Damaged(&'static str),
    /// The file cannot be read.
    #[error("the recording cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Why reading stopped at a frame.
enum Stop {
    /// The file ends, between two frames or within one.
    Cut,
    Damaged(&'static str),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a recording up to its end, or to where it was cut or damaged.
///
/// # Errors
/// When not even its beginning can be read.
pub fn read_recording(reader: impl Read) -> Result<Recording, RecordingError> {
    read_and_see(reader, &mut |_, _| ())
}

/// The same, with each block shown once it is counted.
pub(super) fn read_and_see(
    reader: impl Read,
    see: &mut dyn FnMut(&Profile, &Block),
) -> Result<Recording, RecordingError> {
    let (mut frames, meta) = Frames::begin(reader)?;
    let mut profile = Profile::new(meta);
    let outcome = read_blocks(&mut frames, &mut |block| {
        profile.absorb(&block)?;
        see(&profile, &block);
        Ok(())
    });
    let note = outcome.err().map(|reason| lost(&reason, &profile));
    profile.finish();
    Ok(Recording { profile, complete: note.is_none(), note })
}

/// The same, and what it held stretch by stretch.
///
/// # Errors
/// When not even its beginning can be read.
pub fn read_stretches(reader: impl Read) -> Result<(Recording, Stretches), RecordingError> {
    let mut stretches = Stretches::default();
    let recording = read_and_see(reader, &mut |profile, block| {
        stretches.add(&profile.meta, &profile.tables, block);
    })?;
    Ok((recording, stretches))
}

/// A recording as two: what its first seconds held, and what the others did.
///
/// # Errors
/// When not even its beginning can be read.
pub fn read_halves(reader: impl Read, first: Nanos) -> Result<[Profile; 2], RecordingError> {
    let (mut frames, meta) = Frames::begin(reader)?;
    let (mut earlier, mut later) = (Profile::new(meta.clone()), Profile::new(meta));
    let mut began = false;
    // What is lost at its end was told when it was read as a whole.
    let _ = read_blocks(&mut frames, &mut |block| {
        earlier.learn(&block)?;
        later.learn(&block)?;
        if block.start.since(earlier.meta.origin) < first {
            earlier.count_block(&block);
        } else {
            if !began {
                later.meta.origin = block.start;
                began = true;
            }
            later.count_block(&block);
        }
        Ok(())
    });
    earlier.finish();
    later.finish();
    Ok([earlier, later])
}

/// The same, but with all of its blocks kept, so that any stretch of it can be counted by itself; and
/// what a user should know about it.
///
/// # Errors
/// When not even its beginning can be read.
pub fn read_history(reader: impl Read) -> Result<(History, Option<String>), RecordingError> {
    let (mut frames, meta) = Frames::begin(reader)?;
    let mut history = History::new(meta, usize::MAX);
    let outcome = read_blocks(&mut frames, &mut |block| history.push(block));
    let note = outcome.err().map(|reason| lost(&reason, history.whole()));
    Ok((history, note))
}

/// What a cut or damaged recording lacks.
fn lost(reason: &str, profile: &Profile) -> String {
    let seconds = profile.quality.elapsed.seconds();
    format!("{reason}: what follows its first {seconds:.1} s is lost")
}

/// A message after the first one.
enum Next {
    Block(Box<Block>),
    /// Those of the block that follows.
    Waits(WaitNotes),
    /// The same of tasks.
    Looks(Vec<TaskLook>),
    /// The same of what surrounds the target.
    Surroundings(Surroundings),
    End,
}

/// Counts the blocks up to the end; the error says, for a user, why there was none.
fn read_blocks(
    frames: &mut Frames<impl Read>,
    count: &mut dyn FnMut(Block) -> Result<(), AbsorbError>,
) -> Result<(), String> {
    let mut blocks = Blocks::of(frames);
    while let Some(block) = blocks.next()? {
        count(block).map_err(|error| damaged(&error))?;
    }
    Ok(())
}

fn damaged(what: &dyn std::fmt::Display) -> String {
    format!("the recording is damaged ({what})")
}

/// The blocks of a file, one after the other.
pub(super) struct Blocks<'a, R> {
    frames: &'a mut Frames<R>,
    read: u64,
}

impl<'a, R: Read> Blocks<'a, R> {
    /// The blocks of a file whose beginning was read.
    pub(super) const fn of(frames: &'a mut Frames<R>) -> Self {
        Self { frames, read: 0 }
    }

    /// The next block with all that was seen during it; none at the end. The error says, for a
    /// user, why the end was not reached.
    pub(super) fn next(&mut self) -> Result<Option<Block>, String> {
        let mut waits = WaitNotes::default();
        let mut looks = Vec::new();
        let mut surroundings = None;
        loop {
            match self.message() {
                Ok(Next::Block(block)) => {
                    self.read += 1;
                    return Ok(Some(Block { waits, looks, surroundings, ..*block }));
                }
                Ok(Next::Waits(of_next)) => waits = of_next,
                Ok(Next::Looks(of_next)) => looks = of_next,
                Ok(Next::Surroundings(of_next)) => surroundings = Some(of_next),
                Ok(Next::End) => return Ok(None),
                Err(Stop::Cut) => return Err("the recording was cut".to_owned()),
                Err(Stop::Damaged(what)) => return Err(damaged(&what)),
                Err(Stop::Io(error)) => {
                    return Err(format!("the recording cannot be read ({error})"));
                }
            }
        }
    }

    fn message(&mut self) -> Result<Next, Stop> {
        let (kind, message) = self.frames.next()?;
        match kind {
            Kind::Block => Ok(Next::Block(Box::new(parse(&message)?))),
            Kind::Waits => Ok(Next::Waits(parse(&message)?)),
            Kind::Tasks => Ok(Next::Looks(parse(&message)?)),
            Kind::Surroundings => Ok(Next::Surroundings(parse(&message)?)),
            Kind::End if parse::<End>(&message)?.blocks == self.read => Ok(Next::End),
            Kind::End => Err(Stop::Damaged("blocks are missing")),
            Kind::Meta => Err(Stop::Damaged("a second recording follows")),
        }
    }
}

/// The frames of a file.
pub(super) struct Frames<R> {
    reader: BufReader<R>,
    payload: Vec<u8>,
}

impl<R: Read> Frames<R> {
    /// The frames after the first one, and what that says of the recording.
    pub(super) fn begin(reader: R) -> Result<(Self, Meta), RecordingError> {
        let mut frames = Self { reader: BufReader::new(reader), payload: Vec::new() };
        frames.header()?;
        let meta = frames.next().and_then(|(kind, message)| match kind {
            Kind::Meta => parse(&message),
            _ => Err(Stop::Damaged("its description is missing")),
        });
        match meta {
            Ok(meta) => Ok((frames, meta)),
            Err(Stop::Cut) => Err(RecordingError::Cut),
            Err(Stop::Damaged(what)) => Err(RecordingError::Damaged(what)),
            Err(Stop::Io(error)) => Err(error.into()),
        }
    }

    fn header(&mut self) -> Result<(), RecordingError> {
        let mut header = Vec::with_capacity(MAGIC.len() + 1);
        self.reader.by_ref().take(MAGIC.len() as u64 + 1).read_to_end(&mut header)?;
        if header.is_empty() {
            return Err(RecordingError::Empty);
        }
        match header.strip_prefix(MAGIC) {
            None if MAGIC.starts_with(&header) => Err(RecordingError::Cut),
            None => Err(RecordingError::NotARecording),
            Some([]) => Err(RecordingError::Cut),
            Some([0]) => Err(RecordingError::Damaged("it has no version")),
            Some(&[found]) if found < VERSION => Err(RecordingError::TooOld { found }),
            Some(&[found]) if found > VERSION => {
                Err(RecordingError::TooNew { found, known: VERSION })
            }
            Some(_) => Ok(()),
        }
    }

    /// The next frame's kind and message.
    fn next(&mut self) -> Result<(Kind, Vec<u8>), Stop> {
        let length = u32::from_le_bytes(self.bytes()?) as usize;
        let [byte] = self.bytes()?;
        let crc = u32::from_le_bytes(self.bytes()?);
        let kind = Kind::of(byte).ok_or(Stop::Damaged("a frame of no known kind"))?;
        if length > MAX_PAYLOAD {
            return Err(Stop::Damaged("a frame of impossible length"));
        }
        self.payload.clear();
        // Takes memory for what is there, not for what the file claims.
        self.reader.by_ref().take(length as u64).read_to_end(&mut self.payload)?;
        if self.payload.len() < length {
            return Err(Stop::Cut);
        }
        if checksum(byte, &self.payload) != crc {
            return Err(Stop::Damaged("a checksum does not match"));
        }
        Ok((kind, decompress(&self.payload)?))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Stop::Cut,
            _ => Stop::Io(error),
        })?;
        Ok(bytes)
    }
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>, Stop> {
    let broken = |_| Stop::Damaged("a frame cannot be decompressed");
    let mut message = Vec::new();
    let decoder = zstd::stream::Decoder::with_buffer(payload).map_err(broken)?;
    decoder.take(MAX_MESSAGE as u64 + 1).read_to_end(&mut message).map_err(broken)?;
    if message.len() > MAX_MESSAGE {
        return Err(Stop::Damaged("a frame of impossible size"));
    }
    Ok(message)
}

fn parse<T: DeserializeOwned>(message: &[u8]) -> Result<T, Stop> {
    match postcard::take_from_bytes(message) {
        Ok((value, [])) => Ok(value),
        _ => Err(Stop::Damaged("a frame cannot be understood")),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PAYLOAD, Recording, RecordingError, VERSION, read_recording};
    use crate::model::{
        Cause, Deadlock, FrameId, LockKind, LockOwner, LockWait, Nanos, Tag, ThreadId, WaitNotes,
    };
    use crate::profile::fixture::Trace;
    use crate::profile::{Block, Profile, RecordingWriter, is_recording};

    /// Three blocks of two threads; the loop of the second is blocked from 30 to 170 ms, which
    /// spans the first cut.
    fn trace() -> (Profile, Vec<Block>) {
        let mut trace = Trace::new(100);
        let main = trace.thread("main");
        let looping = trace.thread("loop");
        let work = trace.state(&[("main", "app.py", 3)], Cause::Python);
        let sleep = trace.state(&[("main", "app.py", 9), ("nap", "app.py", 12)], Cause::Sleep);
        for tick in 0..30 {
            let step = (3..17).contains(&tick).then_some((7, 30, true));
            trace.sample(tick * 10, &[(main, work, None), (looping, sleep, step)]);
            if tick % 10 == 9 {
                trace.cut();
            }
        }
        trace.finish()
    }

    fn written(blocks: &[Block], profile: &Profile) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = RecordingWriter::create(&mut file, &profile.meta).unwrap();
        for block in blocks {
            writer.append(block).unwrap();
        }
        writer.finish().unwrap();
        writer.finish().unwrap();
        file
    }

    /// What was seen of locks at one look: a thread that waits for itself.
    fn waits() -> WaitNotes {
        let owner = LockOwner { thread: Some(ThreadId(0)), site: Some(FrameId(0)), certain: true };
        let wait = LockWait {
            thread: ThreadId(0),
            kind: LockKind::Lock,
            object: 0x7f00,
            name: "lock".into(),
            site: Some(FrameId(0)),
            since: Nanos(1),
            timed: false,
            settled: true,
            owners: vec![owner],
        };
        let deadlocks = vec![Deadlock { ring: vec![wait], victims: Vec::new(), certain: true }];
        WaitNotes { looks: 1, deadlocks, ..WaitNotes::default() }
    }

    #[test]
    fn what_was_seen_of_locks_is_read_with_its_block() {
        let (live, mut blocks) = trace();
        assert_eq!(written(&blocks, &live), {
            blocks[1].waits = WaitNotes::default();
            written(&blocks, &live)
        });
        blocks[0].waits = waits();
        blocks[1].waits = waits();
        let profile = read_recording(&written(&blocks, &live)[..]).unwrap().profile;
        assert_eq!(profile.locks.looks, 2);
        assert_eq!(profile.deadlocks.len(), 1, "the same one, seen twice");
        assert_eq!(profile.deadlocks[0].deadlock, waits().deadlocks[0]);

        blocks[1].waits.deadlocks[0].ring[0].thread = ThreadId(99);
        let note = read_recording(&written(&blocks, &live)[..]).unwrap().note.unwrap();
        assert!(note.contains("there is no thread 99"), "{note}");
    }

    #[test]
    fn files_from_before_the_first_release_are_refused() {
        let (live, blocks) = trace();
        let mut file = written(&blocks, &live);
        file[7] = 1;
        let error = read_recording(&file[..]).unwrap_err();
        assert!(matches!(error, RecordingError::TooOld { found: 1 }), "{error}");
    }

    #[test]
    fn what_is_read_is_what_was_counted_live() {
        let (live, blocks) = trace();
        let file = written(&blocks, &live);
        assert!(is_recording(&file) && !is_recording(b"PYCONC") && !is_recording(b""));

        let Recording { profile, complete, note } = read_recording(&file[..]).unwrap();
        assert!(complete);
        assert_eq!(note, None);
        assert_eq!(profile.meta, live.meta);
        assert_eq!(profile.quality, live.quality);
        assert_eq!(profile.by_tag(), live.by_tag());
        assert_eq!(profile.by_tag()[&Tag::EventLoopBlocking], 14);
        assert_eq!(profile.by_cause(), live.by_cause());
        assert_eq!(profile.tables.threads, live.tables.threads);
        assert_eq!(profile.spans.iter().count(), live.spans.iter().count());
    }

    #[test]
    fn a_file_cut_at_any_byte_opens_up_to_there() {
        let (live, blocks) = trace();
        let file = written(&blocks, &live);
        let mut samples = 0;
        for length in 0..file.len() {
            match read_recording(&file[..length]) {
                Ok(recording) => {
                    assert!(!recording.complete, "cut at {length}");
                    assert!(recording.note.unwrap().contains("was cut"), "cut at {length}");
                    assert!(recording.profile.open_steps.is_empty());
                    let now = recording.profile.thread_samples();
                    assert!(now >= samples, "cut at {length}");
                    samples = now;
                }
                Err(RecordingError::Empty) => assert_eq!(length, 0),
                Err(RecordingError::Cut) => assert_eq!(samples, 0, "cut at {length}"),
                Err(error) => panic!("cut at {length}: {error}"),
            }
        }
        assert_eq!(samples, live.thread_samples(), "all blocks are whole before the end");
    }

    #[test]
    fn a_step_without_an_end_counts_as_long_as_it_was_seen() {
        let (live, blocks) = trace();
        let mut file = Vec::new();
        let mut writer = RecordingWriter::create(&mut file, &live.meta).unwrap();
        writer.append(&blocks[0]).unwrap();
        let recording = read_recording(&file[..]).unwrap();
        let event_loop = recording.profile.threads[1].event_loop.as_ref().unwrap();
        assert_eq!(event_loop.steps.count(), 1);
        assert_eq!(event_loop.steps.max().0 / 1_000_000, 60, "seen from 30 to 90 ms");
        assert!(event_loop.episodes.is_empty());
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let (live, blocks) = trace();
        let file = written(&blocks, &live);
        for bit in 0..file.len() * 8 {
            let mut file = file.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            if let Ok(recording) = read_recording(&file[..]) {
                assert!(!recording.complete, "bit {bit}");
                assert!(recording.note.is_some(), "bit {bit}");
                assert!(recording.profile.thread_samples() <= live.thread_samples());
            }
        }
    }

    #[test]
    fn damage_in_the_middle_leaves_what_came_before() {
        let (live, blocks) = trace();
        let before = written(&blocks[..1], &live).len();
        let mut file = written(&blocks, &live);
        file[before + 20] ^= 0xff;
        let recording = read_recording(&file[..]).unwrap();
        assert_eq!(recording.profile.thread_samples(), 20);
        assert!(recording.note.unwrap().contains("checksum"));
    }

    #[test]
    fn a_missing_block_is_found() {
        let (live, blocks) = trace();
        let (two, three) = (written(&blocks[..2], &live), written(&blocks, &live));
        let unended = |blocks: &[Block]| {
            let mut file = Vec::new();
            let mut writer = RecordingWriter::create(&mut file, &live.meta).unwrap();
            blocks.iter().for_each(|block| writer.append(block).unwrap());
            file.len()
        };
        let end = &three[unended(&blocks)..];
        let file = [&two[..unended(&blocks[..2])], end].concat();
        let recording = read_recording(&file[..]).unwrap();
        assert!(recording.note.unwrap().contains("blocks are missing"));
    }

    #[test]
    fn foreign_files_are_named_for_what_they_are() {
        let read = |bytes: &[u8]| read_recording(bytes).unwrap_err();
        assert!(matches!(read(b""), RecordingError::Empty));
        assert!(matches!(read(b"{\"schema\": 1}"), RecordingError::NotARecording));
        assert!(matches!(read(b"x"), RecordingError::NotARecording));
        assert!(matches!(read(b"PYCONC\0"), RecordingError::Cut));
        assert!(matches!(read(b"PYCONC\0\0"), RecordingError::Damaged(_)));
        let newer = [b"PYCONC\0".as_slice(), &[VERSION + 1]].concat();
        let found = VERSION + 1;
        assert!(matches!(read(&newer), RecordingError::TooNew { found: f, .. } if f == found));
    }

    #[test]
    fn a_claimed_length_takes_no_memory() {
        for length in [MAX_PAYLOAD as u32, u32::MAX] {
            let header = [b"PYCONC\0".as_slice(), &[VERSION], &length.to_le_bytes(), b"M1234"];
            let error = read_recording(&header.concat()[..]).unwrap_err();
            assert!(matches!(error, RecordingError::Cut | RecordingError::Damaged(_)));
        }
    }

    #[test]
    fn blocks_that_contradict_themselves_end_the_reading() {
        let (live, mut blocks) = trace();
        blocks[1].lanes[1].thread = ThreadId(99);
        let recording = read_recording(&written(&blocks, &live)[..]).unwrap();
        assert!(!recording.complete);
        assert_eq!(
            recording.note.unwrap(),
            "the recording is damaged (there is no thread 99, only 2): what follows its first 0.1 s is lost"
        );
        assert_eq!(recording.profile.thread_samples(), 20);
    }
}
