//! Small recordings for tests.

use crate::model::{
    Activity, Attachment, Cause, CpuDelta, Frame, Function, LoopEvidence, LoopKind, Nanos, Sample,
    StackId, State, StateId, Step, Tables, Tag, ThreadId, ThreadInfo, ThreadSample,
};

use super::{
    Block, BlockBuilder, Meta, Profile, Quality, Recording, RecordingWriter, Replay, Usage,
    read_timeline,
};

/// A thread at a sample: its state, and the step of its loop as key, start in ms, exactness.
pub(crate) type At = (ThreadId, StateId, Option<(u64, u64, bool)>);

/// A recording in the making. Times are milliseconds from its origin.
pub(crate) struct Trace {
    pub(crate) tables: Tables,
    pub(crate) builder: BlockBuilder,
    pub(crate) blocks: Vec<Block>,
    pub(crate) profile: Profile,
    cut_at: u64,
    last: u64,
}

/// A time of a [`Trace`].
pub(crate) fn ms(time: u64) -> Nanos {
    Nanos(5 * Nanos::SECOND.0 + time * Nanos::MILLISECOND.0)
}

/// A recording's file.
pub(crate) fn file(profile: &Profile, blocks: &[Block]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = RecordingWriter::create(&mut file, &profile.meta).unwrap();
    blocks.iter().for_each(|block| writer.append(block).unwrap());
    writer.finish().unwrap();
    file
}

/// The same, read again in the order of time.
pub(crate) fn timeline(profile: &Profile, blocks: &[Block]) -> (Recording, Replay) {
    read_timeline(std::io::Cursor::new(file(profile, blocks))).unwrap()
}

impl Trace {
    pub(crate) fn new(threshold: u64) -> Self {
        let meta = Meta {
            recorder: "0.1.0".to_owned(),
            pid: 42,
            command: vec!["python3".to_owned(), "app.py".to_owned()],
            threshold: Nanos(threshold * Nanos::MILLISECOND.0),
            origin: ms(0),
            ..Meta::default()
        };
        Self {
            tables: Tables::default(),
            builder: BlockBuilder::new(),
            blocks: Vec::new(),
            profile: Profile::new(meta),
            cut_at: 0,
            last: 0,
        }
    }

    pub(crate) fn thread(&mut self, name: &str) -> ThreadId {
        let id = ThreadId::from(self.tables.threads.len());
        let tid = 100 + id.0.cast_signed();
        let main = id.0 == 0;
        let name = name.into();
        self.tables.threads.push(ThreadInfo {
            tid,
            name,
            python: true,
            main,
            interpreter: 0,
            daemon: Some(false),
        });
        id
    }

    /// A state with a stack of (function, file, line), outermost first.
    pub(crate) fn state(&mut self, stack: &[(&str, &str, u32)], cause: Cause) -> StateId {
        let tables = &mut self.tables;
        let mut id = StackId::EMPTY;
        for &(name, file, line) in stack {
            let function = tables.functions.intern(Function {
                name: name.into(),
                qualified: true,
                module: file.trim_end_matches(".py").into(),
                file: file.into(),
                first_line: 1,
            });
            let frame = tables.frames.intern(Frame { function, line });
            id = tables.push_frame(id, frame);
        }
        let tag = cause.tag().unwrap_or(Tag::IdleWaiting);
        tables.states.intern(State { stack: id, tag, cause, descriptor: None, note: None })
    }

    /// Samples threads at a time; each ran for a millisecond, and the first has the GIL.
    pub(crate) fn sample(&mut self, time: u64, threads: &[At]) {
        let holder = |index| if index == 0 { Attachment::Holder } else { Attachment::Detached };
        let sampled = threads.iter().enumerate().map(|(index, &(thread, _, step))| ThreadSample {
            thread,
            stack: StackId::EMPTY,
            activity: Activity::Running,
            attachment: holder(index),
            collecting: false,
            cpu: CpuDelta { ran: Nanos::MILLISECOND, ..CpuDelta::default() },
            event_loop: step.map(|(key, started, exact)| LoopEvidence {
                kind: LoopKind::Asyncio,
                epoll: None,
                step: Some(Step { key, started: ms(started), earliest: ms(started), exact }),
                tasks: None,
            }),
            since: ms(time),
            awaits: None,
            gil_holder: None,
        });
        let sample = Sample { time: ms(time), threads: sampled.collect(), ..Sample::default() };
        let states: Vec<_> = threads.iter().map(|&(_, state, _)| state).collect();
        self.builder.push(&sample, &states);
        self.last = time;
    }

    fn spent(&mut self) -> (Quality, Usage) {
        let samples = self.builder.samples() as u64;
        let elapsed = Nanos((self.last - self.cut_at) * Nanos::MILLISECOND.0);
        self.cut_at = self.last;
        let cpu = Nanos(samples * Nanos::MILLISECOND.0);
        let quality = Quality { samples, elapsed, ..Quality::default() };
        (quality, Usage { cpu, queued: Nanos(0), resident: 4096 })
    }

    pub(crate) fn cut(&mut self) {
        let (quality, usage) = self.spent();
        let block = self.builder.cut(&self.tables, quality, usage);
        self.profile.absorb(&block).unwrap();
        self.blocks.push(block);
    }

    pub(crate) fn finish(mut self) -> (Profile, Vec<Block>) {
        let (quality, usage) = self.spent();
        let block = self.builder.finish(&self.tables, quality, usage);
        self.profile.absorb(&block).unwrap();
        self.blocks.push(block);
        self.profile.finish();
        (self.profile, self.blocks)
    }
}
