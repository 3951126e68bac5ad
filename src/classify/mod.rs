//! Evidence to tag and cause. Invariant: pure functions of a thread's sample and the catalogue.

mod judge;
mod judgement;
mod wait;

use std::borrow::Cow;

use crate::catalog::{Catalog, Matcher, Query};
use rustc_hash::FxHashMap;

use crate::model::{
    Activity, Cause, LabelId, LockKind, StackId, State, Tables, Tag, ThreadSample, Wait, WaitKind,
    note,
};

use self::judge::judge;
use self::judgement::Judgement;

/// The name of a system call's number on the target's machine.
pub type SyscallName = fn(i64) -> Option<&'static str>;

/// Judges the samples of the threads of one process.
#[derive(Debug)]
pub struct Classifier<'c> {
    matcher: Matcher<'c>,
    syscall_name: SyscallName,
    /// What threads with a stack were last known to wait for in a futex: a short wait is over before
    /// anybody can look at it.
    awaited: FxHashMap<StackId, LockKind>,
}

impl<'c> Classifier<'c> {
    /// A classifier that asks `catalog` for what the evidence cannot tell, and `syscall_name` for
    /// the names by which the catalogue calls system calls.
    #[must_use]
    pub fn new(catalog: &'c Catalog, syscall_name: SyscallName) -> Self {
        Self { matcher: Matcher::new(catalog), syscall_name, awaited: FxHashMap::default() }
    }

    /// What a thread did at a sample. `tables` must be the same at each call; they may have grown.
    pub fn classify(&mut self, sample: &ThreadSample, tables: &mut Tables) -> State {
        let syscall = match sample.activity {
            Activity::Blocked(Wait { kind: WaitKind::NativeSleep, .. }) => Some(NATIVE_SLEEP),
            Activity::Blocked(wait) => (self.syscall_name)(wait.syscall),
            _ => None,
        };
        let mut judgement = judge(sample, syscall, tables);
        if judgement.cause == Cause::Lock && judgement.may_park && self.awaits_item(sample) {
            judgement = Judgement::of(Cause::Parked).noted(note::QUEUE_CONSUMER);
        }
        let in_step = sample.event_loop.is_some_and(|event_loop| event_loop.step.is_some());
        let query = |cause| Query { stack: sample.stack, in_step, syscall, cause };
        let parked = judgement.may_park.then(|| self.matcher.find(tables, query(Cause::Parked)));
        let (cause, probe) = match parked.flatten() {
            Some(probe) => (Cause::Parked, Some(probe)),
            None => (judgement.cause, self.matcher.find(tables, query(judgement.cause))),
        };
        let note = match (judgement.note, probe) {
            // That nobody can run, or that nothing of this code runs, weighs more than where it is.
            (Some(note), _) if [note::HOLDS_GIL, note::COLLECTING].contains(&&*note) => Some(note),
            (_, Some(probe)) => Some(Cow::Owned(probe.id.clone())),
            (note, None) => note,
        };
        State {
            stack: sample.stack,
            tag: tag(cause, judgement.idle),
            cause,
            descriptor: judgement.descriptor,
            note: note.map(|text| label(tables, &text)),
        }
    }
}

/// What the catalogue calls a sleep of C code, whatever the system call.
const NATIVE_SLEEP: &str = "usleep";

/// The most stacks whose waits are remembered.
const MOST_AWAITED: usize = 1 << 14;

impl Classifier<'_> {
    /// Whether a thread waits for an item of a queue that is written in C, of which no frame tells.
    fn awaits_item(&mut self, sample: &ThreadSample) -> bool {
        if let Some(kind) = sample.awaits {
            if self.awaited.len() >= MOST_AWAITED {
                self.awaited.clear();
            }
            self.awaited.insert(sample.stack, kind);
        }
        self.awaited.get(&sample.stack) == Some(&LockKind::SimpleQueue)
    }
}

fn tag(cause: Cause, idle: bool) -> Tag {
    let unknown = if idle { Tag::IdleWaiting } else { Tag::Running };
    cause.tag().unwrap_or(unknown)
}

fn label(tables: &mut Tables, text: &str) -> LabelId {
    tables.labels.find(text).unwrap_or_else(|| tables.labels.intern(text.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::Classifier;
    use crate::model::note;

    use crate::catalog::Catalog;
    use crate::model::{
        Activity, Attachment, Cause, CpuDelta, Descriptor, DescriptorKind, Frame, Function,
        LockKind, LoopEvidence, LoopKind, Nanos, Operation, SocketRole, StackId, State, Step,
        Tables, Tag, ThreadId, ThreadSample, Wait, WaitKind,
    };

    static CATALOG: LazyLock<Catalog> =
        LazyLock::new(|| Catalog::extended(vec![("own.toml".into(), PROBES.into())]).unwrap());

    const FUTEX_NUMBER: i64 = 202;
    const FUTEX: WaitKind = WaitKind::Futex { address: 64, stack_pointer: 32, shared: false };

    const PROBES: &str = r#"
        [[probe]]
        id = "own-worker"
        cause = "parked"
        frames = ["...", "pool:worker"]
        title = "t"
        why = "w"
        advice = "a"
        hit = ["pool:worker"]
        miss = ["pool:worker > app:job"]
        [[probe]]
        id = "own-nap"
        cause = "sleep"
        frames = ["...", "lib:nap"]
        syscall = ["sys7"]
        title = "t"
        why = "w"
        advice = "a"
        hit = ["lib:nap | sys7"]
        miss = ["lib:nap | sys8"]
        [[probe]]
        id = "own-anything"
        frames = ["...", "lib:all"]
        title = "t"
        why = "w"
        advice = "a"
        hit = ["lib:all"]
        miss = ["lib:nap"]
    "#;

    /// A thread of which a test changes what it is about.
    struct Thread {
        frames: &'static [(&'static str, &'static str)],
        activity: Activity,
        attachment: Attachment,
        cpu: CpuDelta,
        event_loop: Option<LoopEvidence>,
        descriptor: Option<DescriptorKind>,
        awaits: Option<LockKind>,
        collecting: bool,
    }

    impl Default for Thread {
        fn default() -> Self {
            Self {
                frames: &[("app", "main")],
                activity: Activity::Running,
                attachment: Attachment::Detached,
                cpu: CpuDelta::default(),
                event_loop: None,
                descriptor: None,
                awaits: None,
                collecting: false,
            }
        }
    }

    /// A state as a test wants it: the tables' ids resolved.
    #[derive(Debug, PartialEq, Eq)]
    struct Seen {
        tag: Tag,
        cause: Cause,
        note: Option<String>,
    }

    fn seen(tag: Tag, cause: Cause, note: impl Into<Option<&'static str>>) -> Seen {
        Seen { tag, cause, note: note.into().map(str::to_owned) }
    }

    impl Thread {
        fn classify_in(&self, tables: &mut Tables) -> State {
            let mut stack = StackId::EMPTY;
            for &(module, name) in self.frames {
                let function = tables.functions.intern(Function {
                    name: name.into(),
                    qualified: true,
                    module: module.into(),
                    file: "".into(),
                    first_line: 1,
                });
                let frame = tables.frames.intern(Frame { function, line: 1 });
                stack = tables.push_frame(stack, frame);
            }
            if let Some(kind) = self.descriptor.clone() {
                tables.descriptors.intern(Descriptor { number: 3, kind });
            }
            let sample = ThreadSample {
                thread: ThreadId(0),
                stack,
                activity: self.activity,
                attachment: self.attachment,
                collecting: self.collecting,
                cpu: self.cpu,
                event_loop: self.event_loop,
                since: Nanos(0),
                awaits: self.awaits,
                gil_holder: None,
            };
            let names = |number| match number {
                7 => Some("sys7"),
                FUTEX_NUMBER => Some("futex"),
                _ => None,
            };
            Classifier::new(&CATALOG, names).classify(&sample, tables)
        }

        fn seen(&self) -> Seen {
            let mut tables = Tables::default();
            let state = self.classify_in(&mut tables);
            let note = state.note.map(|id| tables.labels.get(id).unwrap().to_string());
            Seen { tag: state.tag, cause: state.cause, note }
        }

        fn cause(&self) -> Cause {
            self.seen().cause
        }
    }

    fn blocked(kind: WaitKind) -> Thread {
        let syscall = if kind == FUTEX { FUTEX_NUMBER } else { 7 };
        let wait = Wait { kind, syscall, timed: false, uninterruptible: false };
        Thread { activity: Activity::Blocked(wait), ..Thread::default() }
    }

    fn on_descriptor(operation: Operation, kind: DescriptorKind) -> Thread {
        let descriptor = 0usize.into();
        let thread = blocked(WaitKind::Descriptor { operation, descriptor });
        Thread { descriptor: Some(kind), ..thread }
    }

    fn uninterruptible(thread: Thread) -> Thread {
        let activity = match thread.activity {
            Activity::Blocked(wait) => Activity::Blocked(Wait { uninterruptible: true, ..wait }),
            other => other,
        };
        Thread { activity, ..thread }
    }

    fn on_loop(epoll: Option<i32>, in_step: bool) -> Option<LoopEvidence> {
        let step = Step { key: 1, started: Nanos(0), earliest: Nanos(0), exact: true };
        let kind = LoopKind::Asyncio;
        Some(LoopEvidence { kind, epoll, step: in_step.then_some(step), tasks: None })
    }

    fn cpu(elapsed: u64, ran: u64, queued: u64) -> CpuDelta {
        let [elapsed, ran, queued] = [elapsed, ran, queued].map(|ms| Nanos(ms * 1_000_000));
        CpuDelta { elapsed, ran, queued, switches: 1, repeated: false }
    }

    fn socket(role: SocketRole) -> DescriptorKind {
        DescriptorKind::Socket { role, local: "h:1".into(), peer: "h:2".into() }
    }

    const EVERY_ATTACHMENT: [Attachment; 7] = [
        Attachment::Holder,
        Attachment::Detached,
        Attachment::GilWaiter,
        Attachment::WokenGilWaiter,
        Attachment::Suspended,
        Attachment::Foreign,
        Attachment::Unknown,
    ];

    /// Waits of every kind; those for a descriptor have none that is known.
    fn every_wait() -> Vec<WaitKind> {
        let descriptor = 0usize.into();
        let operations = [
            Operation::Read,
            Operation::Write,
            Operation::Accept,
            Operation::Connect,
            Operation::Lock,
            Operation::Sync,
            Operation::Control,
        ];
        let mut kinds: Vec<_> = operations
            .into_iter()
            .map(|operation| WaitKind::Descriptor { operation, descriptor })
            .collect();
        kinds.extend([FUTEX, WaitKind::Sleep, WaitKind::Child, WaitKind::FileSystem]);
        kinds.extend([WaitKind::PageFault, WaitKind::Signal, WaitKind::Other]);
        kinds.push(WaitKind::Select { epoll: Some(5), watched: None });
        kinds.push(WaitKind::Select { epoll: None, watched: Some(descriptor) });
        kinds
    }

    #[test]
    fn who_waits_for_the_gil_is_never_idle_and_who_sleeps_never_runs() {
        for attachment in EVERY_ATTACHMENT {
            for kind in every_wait() {
                let wants_gil = matches!(
                    attachment,
                    Attachment::GilWaiter | Attachment::WokenGilWaiter | Attachment::Suspended
                );
                let expected = if wants_gil { Tag::GilContended } else { Tag::IdleWaiting };
                // Neither a place that is idle by design nor a step of a loop changes that.
                for event_loop in [None, on_loop(Some(5), false), on_loop(None, true)] {
                    let frames: &[_] = &[("pool", "worker")];
                    let thread = Thread { attachment, event_loop, frames, ..blocked(kind) };
                    assert_eq!(thread.seen().tag, expected, "{attachment:?} {kind:?}");
                }
            }
        }
    }

    #[test]
    fn a_collection_is_told_in_place_of_the_line_that_set_it_off() {
        let frames: &[_] = &[("lib", "all")];
        let collecting = |attachment, activity| {
            let thread =
                Thread { frames, attachment, activity, collecting: true, ..blocked(FUTEX) };
            thread.seen()
        };
        let own = "own-anything";
        let expected = seen(Tag::Running, Cause::Python, note::COLLECTING);
        assert_eq!(collecting(Attachment::Holder, Activity::Running), expected);
        // A finalizer that waits is a wait.
        let waits = blocked(WaitKind::Sleep).activity;
        assert_eq!(
            collecting(Attachment::Detached, waits),
            seen(Tag::IdleWaiting, Cause::Sleep, own)
        );
    }

    #[test]
    fn a_running_thread_is_judged_by_its_attachment() {
        let unknown = "runs, but its state in the interpreter could not be read";
        for (attachment, expected) in [
            (Attachment::Holder, seen(Tag::Running, Cause::Python, None)),
            (Attachment::Detached, seen(Tag::Running, Cause::Native, None)),
            (Attachment::Foreign, seen(Tag::Running, Cause::Native, None)),
            (Attachment::GilWaiter, seen(Tag::GilContended, Cause::Gil, None)),
            (Attachment::WokenGilWaiter, seen(Tag::GilContended, Cause::Gil, None)),
            (Attachment::Suspended, seen(Tag::GilContended, Cause::Gil, note::STOP_THE_WORLD)),
            (Attachment::Unknown, seen(Tag::Running, Cause::Unknown, unknown)),
        ] {
            assert_eq!(Thread { attachment, ..Thread::default() }.seen(), expected);
        }
    }

    #[test]
    fn a_runnable_thread_that_gets_no_cpu_waits_for_one() {
        for (attachment, cpu, expected) in [
            (Attachment::Holder, cpu(10, 0, 9), Cause::CpuWait),
            (Attachment::Detached, cpu(10, 1, 6), Cause::CpuWait),
            // It gets its share of a CPU.
            (Attachment::Detached, cpu(10, 5, 5), Cause::Native),
            (Attachment::Holder, cpu(10, 2, 8), Cause::Python),
            // It was woken just now, or its accounts are not readable.
            (Attachment::Holder, cpu(10, 0, 1), Cause::Python),
            (Attachment::Detached, CpuDelta::default(), Cause::Native),
            // It wants the GIL first of all.
            (Attachment::WokenGilWaiter, cpu(10, 0, 10), Cause::Gil),
        ] {
            let thread = Thread { attachment, cpu, ..Thread::default() };
            assert_eq!(thread.cause(), expected, "{attachment:?} {cpu:?}");
        }
        let waiting = Thread { cpu: cpu(10, 0, 10), ..blocked(WaitKind::Sleep) };
        assert_eq!(waiting.cause(), Cause::Sleep);
    }

    #[test]
    fn a_wait_is_judged_by_its_kind() {
        for (kind, expected) in [
            (FUTEX, seen(Tag::IdleWaiting, Cause::Lock, None)),
            (WaitKind::Sleep, seen(Tag::IdleWaiting, Cause::Sleep, None)),
            (WaitKind::Child, seen(Tag::IdleWaiting, Cause::Child, None)),
            (WaitKind::FileSystem, seen(Tag::IdleWaiting, Cause::Disk, None)),
            (WaitKind::Signal, seen(Tag::IdleWaiting, Cause::Parked, note::AWAITS_SIGNAL)),
            (WaitKind::PageFault, seen(Tag::IdleWaiting, Cause::Unknown, "a page of memory")),
            (WaitKind::Other, seen(Tag::IdleWaiting, Cause::Unknown, "system call sys7")),
        ] {
            assert_eq!(blocked(kind).seen(), expected);
        }
    }

    #[test]
    fn an_unnamed_system_call_is_said_by_its_number() {
        let wait =
            Wait { kind: WaitKind::Other, syscall: 451, timed: false, uninterruptible: false };
        let thread = Thread { activity: Activity::Blocked(wait), ..Thread::default() };
        assert_eq!(thread.seen().note.as_deref(), Some("system call 451"));
    }

    #[test]
    fn what_cannot_be_interrupted_is_a_device() {
        for kind in [WaitKind::PageFault, WaitKind::Other] {
            assert_eq!(uninterruptible(blocked(kind)).cause(), Cause::Disk);
        }
        for kind in [DescriptorKind::Device("d".into()), DescriptorKind::Unknown("r".into())] {
            let thread = on_descriptor(Operation::Read, kind);
            assert_eq!(thread.cause(), Cause::Unknown);
            assert_eq!(uninterruptible(thread).cause(), Cause::Disk);
        }
        assert_eq!(uninterruptible(blocked(WaitKind::Child)).cause(), Cause::Child);
    }

    #[test]
    fn a_descriptor_gives_the_cause_by_its_kind() {
        use Operation::{Accept, Connect, Lock, Read, Sync, Write};
        let unix = |listener| DescriptorKind::UnixSocket { path: "".into(), listener };
        let file = || DescriptorKind::File("f".into());
        for (operation, kind, expected, note) in [
            (Read, socket(SocketRole::Client), Cause::Network, None),
            (Write, socket(SocketRole::Client), Cause::Network, None),
            (Connect, socket(SocketRole::Client), Cause::Network, None),
            (Read, socket(SocketRole::Server), Cause::Parked, Some(note::AWAITS_REQUEST)),
            (Write, socket(SocketRole::Server), Cause::Network, None),
            (Accept, socket(SocketRole::Listener), Cause::Parked, Some(note::AWAITS_CONNECTION)),
            (Accept, unix(true), Cause::Parked, Some(note::AWAITS_CONNECTION)),
            (Read, unix(false), Cause::Pipe, None),
            (Read, DescriptorKind::Pipe, Cause::Pipe, None),
            (Write, DescriptorKind::Pipe, Cause::Pipe, None),
            (Read, DescriptorKind::Event, Cause::Pipe, None),
            (Read, DescriptorKind::Process, Cause::Child, None),
            (Read, DescriptorKind::Timer, Cause::Sleep, None),
            (Read, DescriptorKind::Signal, Cause::Parked, Some(note::AWAITS_SIGNAL)),
            (Read, DescriptorKind::Terminal, Cause::Parked, Some(note::AWAITS_INPUT)),
            (Write, DescriptorKind::Terminal, Cause::Pipe, None),
            (Read, file(), Cause::Disk, None),
            (Lock, file(), Cause::Lock, None),
            (Sync, file(), Cause::Disk, None),
            (Read, DescriptorKind::Epoll, Cause::Unknown, Some("a selector inside another")),
            (Read, DescriptorKind::Device("d".into()), Cause::Unknown, Some("a device")),
            (Read, DescriptorKind::Unknown("why".into()), Cause::Unknown, Some("why")),
        ] {
            let thread = on_descriptor(operation, kind.clone());
            let expected = seen(Tag::IdleWaiting, expected, note);
            assert_eq!(thread.seen(), expected, "{operation:?} {kind:?}");
            let state = thread.classify_in(&mut Tables::default());
            assert_eq!(state.descriptor, Some(0usize.into()), "{kind:?}");
        }
        let missing = Thread { descriptor: None, ..on_descriptor(Read, DescriptorKind::Pipe) };
        assert_eq!(missing.cause(), Cause::Unknown);
    }

    #[test]
    fn a_selector_is_an_event_loops_own_or_not() {
        let select = |epoll, event_loop| Thread {
            event_loop,
            ..blocked(WaitKind::Select { epoll, watched: None })
        };
        let own = seen(Tag::IdleWaiting, Cause::Parked, note::EVENT_LOOP_SELECTOR);
        assert_eq!(select(Some(5), on_loop(Some(5), false)).seen(), own);
        assert_eq!(select(Some(5), on_loop(None, false)).seen(), own);
        for (epoll, event_loop) in [
            (Some(6), on_loop(Some(5), false)),
            (Some(6), on_loop(Some(5), true)),
            (Some(5), on_loop(None, true)),
            (None, on_loop(Some(5), false)),
            (None, on_loop(None, false)),
            (Some(5), None),
            (None, None),
        ] {
            let cause = select(epoll, event_loop).cause();
            assert_eq!(cause, Cause::Unknown, "{epoll:?} {event_loop:?}");
        }
        let watched = WaitKind::Select { epoll: None, watched: Some(0usize.into()) };
        let thread = Thread { descriptor: Some(socket(SocketRole::Client)), ..blocked(watched) };
        assert_eq!(thread.cause(), Cause::Network);
    }

    #[test]
    fn a_sleep_of_c_code_is_no_sleep_of_the_program() {
        let event_loop = on_loop(Some(5), true);
        let seen_as = |kind| Thread { event_loop, ..blocked(kind) }.seen();
        let expected = |note| seen(Tag::IdleWaiting, Cause::Sleep, note);
        assert_eq!(seen_as(WaitKind::NativeSleep), expected("native-sleep-on-loop"));
        assert_eq!(seen_as(WaitKind::Sleep), expected("time-sleep-on-loop"));
    }

    #[test]
    fn nothing_is_idle_by_design_inside_a_step_of_an_event_loop() {
        let event_loop = on_loop(Some(5), true);
        for (kind, expected) in [
            (socket(SocketRole::Server), Cause::Network),
            (socket(SocketRole::Listener), Cause::Network),
            (DescriptorKind::Terminal, Cause::Pipe),
            (DescriptorKind::Signal, Cause::Unknown),
        ] {
            let thread = Thread { event_loop, ..on_descriptor(Operation::Read, kind) };
            assert_eq!(thread.cause(), expected);
        }
        let worker = Thread { frames: &[("pool", "worker")], event_loop, ..blocked(FUTEX) };
        assert_eq!(worker.seen(), seen(Tag::IdleWaiting, Cause::Lock, "thread-lock-on-loop"));
    }

    #[test]
    fn who_waits_with_the_gil_keeps_his_cause_and_is_noted() {
        let attachment = Attachment::Holder;
        let expected = seen(Tag::IdleWaiting, Cause::Sleep, note::HOLDS_GIL);
        assert_eq!(Thread { attachment, ..blocked(WaitKind::Sleep) }.seen(), expected);
        let frames: &[_] = &[("lib", "nap")];
        assert_eq!(Thread { attachment, frames, ..blocked(WaitKind::Sleep) }.seen(), expected);
        // Others wait for it, so that it is not idle by design.
        let frames: &[_] = &[("pool", "worker")];
        let expected = seen(Tag::IdleWaiting, Cause::Lock, note::HOLDS_GIL);
        assert_eq!(Thread { attachment, frames, ..blocked(FUTEX) }.seen(), expected);
        let select = WaitKind::Select { epoll: Some(5), watched: None };
        let event_loop = on_loop(Some(5), false);
        let expected = seen(Tag::IdleWaiting, Cause::Parked, note::EVENT_LOOP_SELECTOR);
        assert_eq!(Thread { attachment, event_loop, ..blocked(select) }.seen(), expected);
    }

    #[test]
    fn a_thread_that_python_does_not_know_is_parked_when_it_waits() {
        let attachment = Attachment::Foreign;
        let expected = seen(Tag::IdleWaiting, Cause::Parked, note::NOT_PYTHON);
        assert_eq!(Thread { attachment, ..blocked(FUTEX) }.seen(), expected);
    }

    #[test]
    fn a_futex_is_no_lock_when_the_gil_could_not_be_read() {
        let attachment = Attachment::Unknown;
        assert_eq!(Thread { attachment, ..blocked(FUTEX) }.cause(), Cause::Unknown);
        assert_eq!(Thread { attachment, ..blocked(WaitKind::Sleep) }.cause(), Cause::Sleep);
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_unknown_with_its_reason() {
        let stopped = Thread { activity: Activity::Stopped, ..Thread::default() };
        let reason = "stopped by a signal or a debugger";
        assert_eq!(stopped.seen(), seen(Tag::IdleWaiting, Cause::Unknown, reason));
        for (attachment, tag) in
            [(Attachment::Detached, Tag::IdleWaiting), (Attachment::Holder, Tag::Running)]
        {
            let activity = Activity::Unreadable("not permitted");
            let thread = Thread { activity, attachment, ..Thread::default() };
            assert_eq!(thread.seen(), seen(tag, Cause::Unknown, "not permitted"));
        }
    }

    #[test]
    fn the_catalogue_parks_a_wait_but_never_work() {
        let frames: &[_] = &[("app", "main"), ("pool", "worker")];
        for kind in [FUTEX, WaitKind::Child, WaitKind::Select { epoll: Some(5), watched: None }] {
            let expected = seen(Tag::IdleWaiting, Cause::Parked, "own-worker");
            assert_eq!(Thread { frames, ..blocked(kind) }.seen(), expected);
        }
        for (thread, cause) in [
            (Thread { frames, ..Thread::default() }, Cause::Native),
            (Thread { frames, ..blocked(WaitKind::FileSystem) }, Cause::Disk),
            (Thread { frames, attachment: Attachment::GilWaiter, ..blocked(FUTEX) }, Cause::Gil),
            (Thread { frames: &[("pool", "worker"), ("app", "f")], ..blocked(FUTEX) }, Cause::Lock),
        ] {
            assert_eq!((thread.cause(), thread.seen().note), (cause, None));
        }
    }

    #[test]
    fn the_catalogue_says_more_about_a_cause_and_never_changes_it() {
        let nap = |thread| Thread { frames: &[("lib", "nap")], ..thread };
        let note = |thread: Thread| (thread.cause(), thread.seen().note);
        assert_eq!(note(nap(blocked(WaitKind::Sleep))), (Cause::Sleep, Some("own-nap".into())));
        assert_eq!(note(nap(blocked(FUTEX))), (Cause::Lock, None));
        assert_eq!(note(nap(Thread::default())), (Cause::Native, None));

        let all = |thread| Thread { frames: &[("lib", "all")], ..thread };
        let anything = Some("own-anything".to_owned());
        assert_eq!(note(all(blocked(FUTEX))), (Cause::Lock, anything.clone()));
        assert_eq!(note(all(Thread::default())), (Cause::Native, anything.clone()));
        let select = WaitKind::Select { epoll: None, watched: None };
        assert_eq!(note(all(blocked(select))), (Cause::Unknown, anything));
    }

    #[test]
    fn the_note_of_a_loops_selector_is_a_probe() {
        let catalog = Catalog::builtin().unwrap();
        let probe = catalog.probe(note::EVENT_LOOP_SELECTOR).unwrap();
        assert_eq!(probe.cause, Some(Cause::Parked));
    }
}
