//! One snapshot of all loops and tasks, in the making.

use rustc_hash::{FxHashMap, FxHashSet};

use super::chain::Chain;
use super::failed::Prospect;
use super::find::{self, Listed};
use super::kinds::Kind;
use super::moment::Moment;
use super::task::RawTask;
use crate::model::{
    Address, AwaitKind, Awaiter, Plight, Relation, StackId, Task, TaskState, Tasks,
};
use crate::python::interpreter::PythonThread;
use crate::python::object::Invalid;
use crate::target::Memory;

/// Loops that are told of.
const MOST_LOOPS: usize = 1 << 10;
/// Tasks that are asked whether they have a failed one at hand.
const MOST_ASKED: usize = 1 << 12;
/// Jobs in executors that are told of.
const MOST_JOBS: usize = 1 << 12;
/// Await chains whose frames are searched for queues.
const MOST_SEARCHED: usize = 1 << 10;

/// The tasks that wait for one task, by their addresses.
type Awaiters = Vec<(Address, Relation)>;

/// A snapshot in the making.
pub(super) struct Snapshot<'a, M> {
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
    pub(super) fn new(moment: Moment<'a, M>) -> Self {
        Self {
            moment,
            tasks: Tasks::default(),
            loops: FxHashMap::default(),
            by_address: FxHashMap::default(),
            running: FxHashMap::default(),
            searched: FxHashSet::default(),
        }
    }

    pub(super) fn take(
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
        self.tasks.missed = listed.foreign;
        let mut awaiters = self.read_all(&listed.tasks);
        awaiters.extend(self.read_ended(ended));
        self.connect(awaiters);
        self.excuse_failed(&listed.tasks);
        self.tell_jobs(threads);
        Ok(self.tasks)
    }

    /// Takes back that nobody asks for the exception of a failed task where somebody is about to.
    fn excuse_failed(&mut self, listed: &[Address]) {
        let failed = |task: &Task| matches!(task.plight, Some(Plight::Unretrieved { .. }));
        let tasks = self.tasks.tasks.iter().filter(|task| failed(task));
        let mut prospects: FxHashMap<Address, Prospect> =
            tasks.map(|task| (task.address, Prospect::default())).collect();
        if prospects.is_empty() {
            return;
        }
        let (mut buffer, mut chain) = (Vec::new(), Chain::default());
        for address in listed.iter().take(MOST_ASKED) {
            let moment = &mut self.moment;
            let read = RawTask::read(moment.reader, moment.layout, *address, &mut buffer).ok();
            let Some(raw) = read.filter(|raw| raw.pending) else { continue };
            if moment.chain(raw.coroutine, &mut chain).is_ok() {
                moment.find_failed(&chain, raw.waits_for, &mut prospects);
            }
        }
        for task in &mut self.tasks.tasks {
            let Some(prospect) = prospects.get(&task.address) else { continue };
            match &mut task.plight {
                _ if prospect.certain => task.plight = None,
                Some(Plight::Unretrieved { at_hand, .. }) => *at_hand = prospect.possible,
                _ => {}
            }
        }
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
        let new = self.searched.len() < MOST_SEARCHED && !self.searched.contains(&task.chain);
        if raw.pending && new {
            self.searched.insert(task.chain);
            let takes = moment.queues(chain, task.chain, &mut self.tasks.queues);
            self.tasks.workers.extend(takes.then_some(task.chain));
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
