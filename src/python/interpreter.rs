//! Interpreters, their threads and their GILs.

use std::collections::{HashMap, HashSet};

use super::gil::Gil;
use super::layout::{AttachState, FrameRoot, Layout, LayoutError, Version};
use super::locate::Runtime;
use super::object::word;
use super::object::{Invalid, Reader};
use super::tid::PthreadTid;
use crate::model::{Address, Tid};
use crate::target::{Memory, Span};

/// Interpreters of one process that are followed.
const MOST_INTERPRETERS: usize = 256;
/// Threads of one process that are followed.
const MOST_THREADS: usize = 1 << 14;

/// What `threading` knows of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownThread {
    /// Its name.
    pub name: String,
    /// Whether Python ends without waiting for it.
    pub daemon: Option<bool>,
}

/// The Python of one process.
#[derive(Debug)]
pub struct Interpreter<M> {
    memory: M,
    layout: Layout,
    pub(super) runtime: Address,
    pthread_tid: PthreadTid,
}

/// A thread state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PythonThread {
    /// Where it lies.
    pub address: Address,
    /// The native thread.
    pub tid: Tid,
    /// `pthread_self()`, which `threading.get_ident()` returns.
    pub ident: u64,
    /// The interpreter's number, 0 for the main one.
    pub interpreter: u32,
    /// The interpreter's GIL; `None` where none is in force.
    pub gil: Option<Gil>,
    /// The word that is 1 while its garbage collector is at work.
    pub collecting: Option<Address>,
}

/// The beginning of a thread state, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadHead {
    /// The innermost frame.
    pub(super) frame: u64,
    /// The `_PyCFrame` that points to it (3.11, 3.12); else 0.
    pub(super) holder: u64,
    /// The innermost chunk of the data stack.
    pub(super) chunk: u64,
    /// Free-threaded: 0 detached, 1 attached, 2 suspended.
    pub attach_state: Option<u32>,
    /// 3.15+: the thread is asking for the GIL.
    pub requests_gil: bool,
    /// Whether it has the GIL.
    pub holds_gil: bool,
    /// Whether its interpreter collects garbage.
    pub collecting: bool,
}

/// The heads of the lists of interpreters and thread states. A new one is put in front, so that these
/// words tell when there is one.
#[derive(Debug)]
pub struct Watch {
    spans: Vec<Span>,
    seen: Vec<u8>,
    now: Vec<u8>,
}

impl ThreadHead {
    /// How many bytes of a thread state are looked at.
    pub(super) fn len(layout: &Layout) -> usize {
        let at = &layout.at.thread;
        let last = [Some(at.frame), at.datastack_chunk, at.state, at.gil_requested];
        last.into_iter().flatten().max().unwrap_or(0) as usize + 8
    }

    pub(super) fn parse(layout: &Layout, bytes: &[u8]) -> Self {
        let at = &layout.at.thread;
        let word = |offset| word(bytes, offset).unwrap_or(0);
        Self {
            frame: word(at.frame),
            holder: 0,
            chunk: at.datastack_chunk.map_or(0, word),
            attach_state: match layout.attach_state {
                AttachState::Gil => None,
                AttachState::Field(offset) => Some(word(offset) as u32),
            },
            requests_gil: at.gil_requested.is_some_and(|offset| word(offset) as u32 == 1),
            holds_gil: false,
            collecting: false,
        }
    }
}

impl<M: Memory> Interpreter<M> {
    /// The Python at `runtime`.
    ///
    /// # Errors
    /// When its version is not known.
    pub fn new(memory: M, runtime: &Runtime) -> Result<Self, LayoutError> {
        let layout = Layout::of(runtime.version, &memory, runtime.address)?;
        Ok(Self { memory, layout, runtime: runtime.address, pthread_tid: PthreadTid::default() })
    }

    /// A reader of its objects.
    pub fn reader(&self) -> Reader<'_, M> {
        Reader { memory: &self.memory, layout: &self.layout }
    }

    /// Its layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its version to the last digit, from `sys.hexversion` where the file did not tell.
    pub fn version(&self) -> Version {
        let version = self.layout.version;
        if version.micro.is_some() {
            return version;
        }
        let micro = self.module("sys").ok().flatten().and_then(|sys| {
            let reader = self.reader();
            let hex = reader.dict_item(sys, "hexversion").ok()??;
            Version::from_hex(u32::try_from(reader.integer(hex).ok()?).ok()?).micro
        });
        Version { micro, ..version }
    }

    /// All thread states of all interpreters, the newest first. `tids` are the native threads that
    /// exist, which the older versions need to tell a thread state's; a state whose thread has not
    /// begun to run may have 0.
    ///
    /// # Errors
    /// When the lists cannot be read; a list that changes under the reader may come out short.
    pub fn threads(&mut self, tids: &[Tid]) -> Result<Vec<PythonThread>, Invalid> {
        let mut found = self.states()?;
        if self.layout.at.thread.native_id.is_none() {
            let idents: Vec<u64> = found.iter().map(|thread| thread.ident).collect();
            let native = self.pthread_tid.resolve(&self.memory, &idents, tids);
            found.iter_mut().zip(native).for_each(|(thread, tid)| thread.tid = tid);
        }
        found.retain(|thread| thread.tid == 0 || tids.contains(&thread.tid));
        Ok(found)
    }

    /// The idents of all threads that have a thread state.
    ///
    /// # Errors
    /// As [`Self::threads`].
    pub fn idents(&self) -> Result<Vec<u64>, Invalid> {
        Ok(self.states()?.into_iter().map(|state| state.ident).collect())
    }

    /// All thread states; the older versions do not have their native ids.
    fn states(&self) -> Result<Vec<PythonThread>, Invalid> {
        let mut found = Vec::new();
        for (interpreter, number) in self.interpreters()? {
            let gil = self.gil(interpreter)?;
            let collecting = self.collecting(interpreter);
            let at = &self.layout.at;
            let mut next =
                self.reader().pointer(interpreter.offset(at.interpreter.threads_head))?;
            for _ in 0..MOST_THREADS {
                if next.is_null() || found.len() >= MOST_THREADS {
                    break;
                }
                let reader = self.reader();
                let ident = reader.word(next.offset(at.thread.pthread))?;
                let tid = match at.thread.native_id {
                    Some(offset) => reader.word(next.offset(offset))? as Tid,
                    None => 0,
                };
                let interpreter = number;
                found.push(PythonThread {
                    address: next,
                    tid,
                    ident,
                    interpreter,
                    gil,
                    collecting,
                });
                next = reader.pointer(next.offset(at.thread.next))?;
            }
        }
        Ok(found)
    }

    /// Whether a thread state is in some function.
    pub fn has_frame(&self, thread: &PythonThread) -> bool {
        let reader = self.reader();
        let root = reader.pointer(thread.address.offset(self.layout.at.thread.frame));
        let frame = match (root, self.layout.frame_root) {
            (Ok(holder), FrameRoot::CFrame(offset)) if !holder.is_null() => {
                reader.pointer(holder.offset(offset))
            }
            (root, _) => root,
        };
        frame.is_ok_and(|frame| !frame.is_null())
    }

    /// Begins to watch for new interpreters and thread states.
    ///
    /// # Errors
    /// When the interpreters cannot be read.
    pub fn watch(&self) -> Result<Watch, Invalid> {
        let at = &self.layout.at;
        let first = self.runtime.offset(at.runtime.interpreters_head);
        let interpreters = self.interpreters()?.into_iter();
        let threads =
            interpreters.map(|(interpreter, _)| interpreter.offset(at.interpreter.threads_head));
        let heads = std::iter::once(first).chain(threads);
        let spans: Vec<_> = heads.map(|address| Span { address, len: 8 }).collect();
        let mut watch = Watch { seen: vec![0; spans.len() * 8], spans, now: Vec::new() };
        self.memory.read(&watch.spans, &mut watch.seen)?;
        Ok(watch)
    }

    /// Whether there may be other interpreters or thread states than when `watch` began.
    pub fn has_changed(&self, watch: &mut Watch) -> bool {
        watch.now.resize(watch.seen.len(), 0);
        self.memory.read(&watch.spans, &mut watch.now).is_err() || watch.now != watch.seen
    }

    /// What `threading` knows of the threads with these `idents`.
    pub fn known_threads(&self, mut idents: HashSet<u64>) -> HashMap<u64, KnownThread> {
        let reader = self.reader();
        let active = self
            .module("threading")
            .ok()
            .flatten()
            .and_then(|namespace| reader.dict_item(namespace, "_active").ok()?)
            .and_then(|active| reader.dict(active).ok());
        let known = |(ident, thread): (Address, Address)| {
            let ident = u64::try_from(reader.integer(ident).ok()?).ok()?;
            // Each once: what claims to be the dict may have any number of entries.
            let true = idents.remove(&ident) else { return None };
            let [name, daemon] = reader.some_attributes(thread, ["_name", "_daemonic"]).ok()?;
            let name = reader.text(name?).ok()?;
            // A bool is an int.
            let daemon = daemon.and_then(|daemon| reader.integer(daemon).ok());
            Some((ident, KnownThread { name, daemon: daemon.map(|it| it != 0) }))
        };
        active.unwrap_or_default().into_iter().filter_map(known).collect()
    }

    /// The interpreters with their numbers.
    pub(super) fn interpreters(&self) -> Result<Vec<(Address, u32)>, Invalid> {
        let (reader, at) = (self.reader(), &self.layout.at);
        let mut found = Vec::new();
        let mut next = reader.pointer(self.runtime.offset(at.runtime.interpreters_head))?;
        while !next.is_null() && found.len() < MOST_INTERPRETERS {
            found.push((next, reader.word(next.offset(at.interpreter.id))? as u32));
            next = reader.pointer(next.offset(at.interpreter.next))?;
        }
        if found.is_empty() {
            return Err(Invalid::Not("list of interpreters (Python starts or has ended)"));
        }
        Ok(found)
    }

    /// The GIL of an interpreter.
    fn gil(&self, interpreter: Address) -> Result<Option<Gil>, Invalid> {
        let (reader, at) = (self.reader(), &self.layout.at);
        let address = match (at.runtime.gil, at.interpreter.gil) {
            (Some(offset), _) => self.runtime.offset(offset),
            (None, Some(offset)) => reader.pointer(interpreter.offset(offset))?,
            (None, None) => Address::NULL,
        };
        let enabled = match at.gil.enabled {
            Some(offset) => reader.int32(address.offset(offset))? != 0,
            None => true,
        };
        let at = &at.gil;
        let gil = Gil {
            address,
            size: at.size,
            last_holder: at.last_holder,
            locked: at.locked,
            cond: at.cond,
        };
        Ok((enabled && !address.is_null()).then_some(gil))
    }

    /// Where an interpreter says that it collects garbage.
    fn collecting(&self, interpreter: Address) -> Option<Address> {
        let at = &self.layout.at;
        let of_runtime = at.runtime.collector.map(|offset| self.runtime.offset(offset));
        let own = at.interpreter.collector.map(|offset| interpreter.offset(offset));
        Some(of_runtime.or(own)?.offset(at.collector.collecting))
    }

    /// The namespace of a module of the main interpreter.
    fn module(&self, name: &str) -> Result<Option<Address>, Invalid> {
        let (main, _) = self
            .interpreters()?
            .into_iter()
            .find(|(_, number)| *number == 0)
            .ok_or(Invalid::Not("main interpreter"))?;
        self.reader().module_of(main, name)
    }
}
