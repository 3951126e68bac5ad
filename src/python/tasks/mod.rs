//! asyncio from outside: every running loop, all its tasks, what they await and who awaits them.

mod awaited;
mod chain;
mod codes;
mod current;
mod find;
mod jobs;
mod kinds;
mod loop_info;
mod moment;
mod peers;
mod plight;
mod queues;
mod scopes;
mod suspended;
mod task;
mod told;

pub use self::current::{CurrentTask, CurrentTasks};

use rustc_hash::{FxHashMap, FxHashSet};

use self::chain::Chain;
use self::find::Listed;
use self::kinds::Kind;
use self::moment::Moment;
use self::task::RawTask;
use super::interpreter::{Interpreter, PythonThread};
use super::layout::{AsyncioLayout, LayoutError, TaskList};
use super::object::{Invalid, Reader};
use crate::model::{
    Address, AwaitKind, Awaiter, Plight, Relation, StackId, Tables, Task, TaskState, Tasks,
};
use crate::target::{Lines, Memory, PageCache, Process};

/// Attempts to read lists of tasks that change meanwhile.
const ATTEMPTS: usize = 5;
/// Loops that are told of.
const MOST_LOOPS: usize = 1 << 10;
/// Jobs in executors that are told of.
const MOST_JOBS: usize = 1 << 12;
/// Await chains whose frames are searched for queues.
const MOST_SEARCHED: usize = 1 << 10;

/// The asyncio of one process.
#[derive(Debug, Clone)]
pub struct Asyncio {
    layout: AsyncioLayout,
}

impl Asyncio {
    /// Finds out how the asyncio of a process is laid out: by the tables, and since 3.14 by what it
    /// publishes itself in the section `.AsyncioDebug` of the program or of its extension module.
    ///
    /// # Errors
    /// When the version is not known, or what is published makes no sense.
    pub fn find<M: Memory>(
        process: &Process,
        python: &Interpreter<M>,
    ) -> Result<Self, LayoutError> {
        let reader = python.reader();
        let version = reader.layout.version;
        let layout = AsyncioLayout::of(version, reader.memory, python.runtime, None)?;
        let layout = match layout.task_list {
            TaskList::Sets => layout,
            TaskList::Linked { .. } => {
                let debug = published(process);
                AsyncioLayout::of(version, reader.memory, python.runtime, debug)?
            }
        };
        Ok(Self { layout })
    }

    /// The layout.
    pub fn layout(&self) -> &AsyncioLayout {
        &self.layout
    }

    /// The loop that a thread runs; null when it runs none.
    ///
    /// # Errors
    /// When the memory changes under the reader.
    pub fn running_loop<M: Memory>(
        &self,
        python: &Interpreter<M>,
        thread: &PythonThread,
    ) -> Result<Address, Invalid> {
        find::running_loop(python.reader(), &self.layout, thread.address)
    }

    /// The descriptor of the socket behind an object that a task waits for; `None` where none is
    /// found.
    pub fn descriptor<M: Memory>(&self, python: &Interpreter<M>, object: Address) -> Option<i32> {
        peers::descriptor(python.reader(), &self.layout, object).ok().flatten()
    }

    /// Whether an object whose method a task waits in keeps a timer of its own.
    pub fn has_timer<M: Memory>(&self, python: &Interpreter<M>, object: Address) -> bool {
        peers::has_timer(python.reader(), object).unwrap_or(false)
    }

    /// All loops and tasks. `ended` are tasks that were there before and may have failed since.
    /// `threads` are the interpreter's thread states, `lines` the room for the
    /// memory that is read; a caller that keeps it saves taking it anew.
    ///
    /// # Errors
    /// When the lists of tasks change at every attempt to read them.
    pub fn tasks<M: Memory>(
        &self,
        python: &Interpreter<M>,
        threads: &[PythonThread],
        tables: &mut Tables,
        lines: &mut Lines,
        ended: &[Address],
    ) -> Result<Tasks, Invalid> {
        let Reader { memory, layout } = python.reader();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let pages = PageCache::new(memory, lines);
            let reader = Reader { memory: &pages, layout };
            let moment = Moment::new(reader, &self.layout, tables);
            match Snapshot::new(moment).take(&python.interpreters()?, threads, ended) {
                Err(_) if attempt < ATTEMPTS => {}
                taken => {
                    lines.shrink();
                    return taken;
                }
            }
        }
    }
}

/// Where asyncio publishes its offsets.
fn published(process: &Process) -> Option<Address> {
    let maps = process.maps().ok()?;
    let mut seen = None;
    maps.iter()
        .filter(|mapping| {
            let name = mapping.path.as_deref().and_then(|path| path.file_name()?.to_str());
            let likely = name.is_some_and(|name| {
                ["_asyncio", "python", "libpython"].iter().any(|prefix| name.starts_with(prefix))
            });
            let new = seen != mapping.path;
            seen.clone_from(&mapping.path);
            likely && new
        })
        .find_map(|mapping| process.elf(mapping).ok()?.section(".AsyncioDebug"))
        .map(|section| section.address)
}

/// The tasks that wait for one task, by their addresses.
type Awaiters = Vec<(Address, Relation)>;

/// A snapshot in the making.
struct Snapshot<'a, M> {
    moment: Moment<'a, M>,
    tasks: Tasks,
    /// Indices by address.
    loops: FxHashMap<Address, u32>,
    by_address: FxHashMap<Address, u32>,
    /// The thread of each loop that runs a task, by the task.
    running: FxHashMap<Address, PythonThread>,
    /// The await chains whose queues were looked for.
    searched: FxHashSet<StackId>,
}

impl<'a, M: Memory> Snapshot<'a, M> {
    fn new(moment: Moment<'a, M>) -> Self {
        Self {
            moment,
            tasks: Tasks::default(),
            loops: FxHashMap::default(),
            by_address: FxHashMap::default(),
            running: FxHashMap::default(),
            searched: FxHashSet::default(),
        }
    }

    fn take(
        mut self,
        interpreters: &[(Address, u32)],
        threads: &[PythonThread],
        ended: &[Address],
    ) -> Result<Tasks, Invalid> {
        let mut listed = Listed::default();
        for &(interpreter, number) in interpreters {
            let own = || threads.iter().filter(move |thread| thread.interpreter == number);
            // A thread that is being made or ends is no reason to fail.
            let _ = self.running_loops(interpreter, own());
            self.moment.list(interpreter, own().map(|thread| thread.address), &mut listed)?;
        }
        listed.sort();
        self.tasks.truncated = listed.truncated;
        let mut awaiters = self.read_all(&listed.tasks);
        awaiters.extend(self.read_ended(ended));
        self.connect(awaiters);
        self.tell_jobs(threads);
        Ok(self.tasks)
    }

    /// Says of the tasks that wait for an executor what has become of their jobs.
    fn tell_jobs(&mut self, threads: &[PythonThread]) {
        let awaits = self.tasks.tasks.iter_mut().filter_map(|task| task.awaits.as_mut());
        let mut jobs = awaits
            .filter(|awaits| awaits.kind == AwaitKind::Executor && !awaits.object.is_null())
            .take(MOST_JOBS)
            .peekable();
        if jobs.peek().is_none() {
            return;
        }
        let running = self.moment.running_jobs(threads);
        for awaits in jobs {
            awaits.job = self.moment.job(awaits.object, &running);
        }
    }

    /// The loops that run, and the task that each runs.
    fn running_loops<'t>(
        &mut self,
        interpreter: Address,
        threads: impl Iterator<Item = &'t PythonThread>,
    ) -> Result<(), Invalid> {
        let (reader, layout) = (self.moment.reader, self.moment.layout);
        let dict = find::current_tasks(reader, layout, interpreter)?;
        for thread in threads {
            let Ok(running) = find::running_loop(reader, layout, thread.address) else { continue };
            if running.is_null() {
                continue;
            }
            let Some(index) = self.event_loop(running) else { continue };
            if let Some(info) = self.tasks.loops.get_mut(index as usize) {
                info.tid = Some(thread.tid);
            }
            let current = find::current_task(reader, layout, thread.address, running, dict);
            if let Some(task) = current.ok().filter(|task| !task.is_null()) {
                self.running.insert(task, *thread);
            }
        }
        Ok(())
    }

    /// The index of a loop.
    fn event_loop(&mut self, address: Address) -> Option<u32> {
        if let Some(known) = self.loops.get(&address) {
            return Some(*known);
        }
        if self.loops.len() >= MOST_LOOPS {
            return None;
        }
        let info = self.moment.loop_info(address).ok()?;
        let index = u32::try_from(self.tasks.loops.len()).ok()?;
        self.tasks.loops.push(info);
        self.loops.insert(address, index);
        Some(index)
    }

    /// Reads the tasks themselves, with their chains, and who waits for each.
    fn read_all(&mut self, listed: &[Address]) -> Vec<Awaiters> {
        let mut awaiters = Vec::with_capacity(listed.len());
        self.tasks.tasks.reserve_exact(listed.len());
        self.by_address.reserve(listed.len());
        let (mut buffer, mut chain) = (Vec::new(), Chain::default());
        for address in listed {
            match self.read_one(*address, &mut buffer, &mut chain) {
                Ok((task, its)) => {
                    let index = u32::try_from(self.tasks.tasks.len()).unwrap_or(u32::MAX);
                    self.by_address.insert(*address, index);
                    self.tasks.tasks.push(task);
                    awaiters.push(its);
                }
                Err(_) => self.tasks.missed += 1,
            }
        }
        awaiters
    }

    /// Reads tasks that were there before: what is a task still and has failed is one of them,
    /// whether asyncio lists it or not (since 3.14 it does not).
    fn read_ended(&mut self, ended: &[Address]) -> Vec<Awaiters> {
        let (mut buffer, mut chain) = (Vec::new(), Chain::default());
        let mut awaiters = Vec::new();
        for address in ended {
            if self.by_address.contains_key(address) {
                continue;
            }
            let read = self.read_one(*address, &mut buffer, &mut chain).ok();
            let failed = |task: &Task| matches!(task.plight, Some(Plight::Unretrieved { .. }));
            if let Some((task, its)) = read.filter(|(task, _)| failed(task)) {
                self.tasks.tasks.push(task);
                awaiters.push(its);
            }
        }
        awaiters
    }

    fn read_one(
        &mut self,
        address: Address,
        buffer: &mut Vec<u8>,
        chain: &mut Chain,
    ) -> Result<(Task, Awaiters), Invalid> {
        let moment = &mut self.moment;
        if moment.kind(address)? != Kind::Task {
            return Err(Invalid::Not("task"));
        }
        let raw = RawTask::read(moment.reader, moment.layout, address, buffer)?;
        let name = moment.task_name(&raw)?;
        let thread = self.running.get(&address).copied();
        let state = moment.state_of(&raw, thread.is_some());
        let mut task = Task {
            address,
            name: name.into(),
            state,
            event_loop: None,
            chain: StackId::EMPTY,
            awaits: None,
            awaited_by: Vec::new(),
            cancel_requests: raw.cancel_requests.max(u32::from(raw.must_cancel)),
            deadline: None,
            holds: Vec::new(),
            plight: moment.unretrieved(&raw),
        };
        if raw.pending {
            moment.chain(raw.coroutine, chain)?;
            let scopes = moment.scopes(chain);
            task.deadline = scopes.deadline;
            task.holds = scopes.holds;
            let outermost = chain.links.first().map(|link| link.at.frame);
            let running = thread
                .zip(outermost)
                .and_then(|(thread, outermost)| moment.running_stack(&thread, outermost));
            task.chain = running.unwrap_or_else(|| moment.stack_of(chain));
            let waits = thread.is_none() && !raw.waits_for.is_null();
            if waits && !moment.is_done(raw.waits_for) {
                task.awaits = moment.awaited(chain, raw.waits_for);
            }
        }
        if task.plight.is_some() {
            task.chain = moment.definition(raw.coroutine).unwrap_or(StackId::EMPTY);
        }
        if raw.pending && self.searched.len() < MOST_SEARCHED && self.searched.insert(task.chain) {
            moment.queues(chain, task.chain, &mut self.tasks.queues);
        }
        // Now, while what lies around the task is at hand.
        let awaiters = moment.awaiters(&raw);
        if awaiters.is_empty() && matches!(state, TaskState::Waiting | TaskState::Cancelling) {
            task.plight = moment.plight(&raw, chain);
        }
        task.event_loop = self.event_loop(raw.event_loop);
        Ok((task, awaiters))
    }

    /// Connects tasks with those that wait for them, and loops with the tasks that they run.
    fn connect(&mut self, awaiters: Vec<Awaiters>) {
        for (task, awaiters) in self.tasks.tasks.iter_mut().zip(awaiters) {
            let awaiters = awaiters.into_iter().filter_map(|(task, relation)| {
                Some(Awaiter { task: *self.by_address.get(&task)?, relation })
            });
            task.awaited_by = awaiters.collect();
        }
        for task in self.running.keys() {
            let Some(index) = self.by_address.get(task) else { continue };
            let its_loop = self.tasks.get(*index).and_then(|task| task.event_loop);
            if let Some(info) = its_loop.and_then(|at| self.tasks.loops.get_mut(at as usize)) {
                info.current = Some(*index);
            }
        }
    }
}

impl<M: Memory> Moment<'_, M> {
    fn state_of(&mut self, task: &RawTask, runs: bool) -> TaskState {
        if !task.pending {
            TaskState::Done
        } else if runs {
            TaskState::Running
        } else if task.must_cancel || task.cancel_requests > 0 {
            TaskState::Cancelling
        } else if task.waits_for.is_null() || self.is_done(task.waits_for) {
            TaskState::Ready
        } else {
            TaskState::Waiting
        }
    }
}
