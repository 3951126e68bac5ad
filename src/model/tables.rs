//! Interned tables: a sample is made of integers, the tables say what they mean.

use std::hash::Hash;
use std::marker::PhantomData;

use indexmap::{Equivalent, IndexSet};
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::cause::{Cause, Tag};
use super::ids::{DescriptorId, FrameId, FunctionId, LabelId, StackId, StateId, ThreadId, Tid};

/// A table that only grows and holds each value once.
#[derive(Debug, Clone)]
pub struct Table<Id, T> {
    items: IndexSet<T, FxBuildHasher>,
    id: PhantomData<Id>,
}

impl<Id, T> Default for Table<Id, T> {
    fn default() -> Self {
        Self { items: IndexSet::default(), id: PhantomData }
    }
}

impl<Id: From<usize> + Into<usize> + Copy, T: Hash + Eq> Table<Id, T> {
    /// The id of `item`, which is added when it is new.
    pub fn intern(&mut self, item: T) -> Id {
        Id::from(self.items.insert_full(item).0)
    }

    /// The id of a value that is already there.
    pub fn find<Q: ?Sized + Hash + Equivalent<T>>(&self, item: &Q) -> Option<Id> {
        self.items.get_index_of(item).map(Id::from)
    }

    /// The value of an id; `None` when a foreign id was handed in.
    pub fn get(&self, id: Id) -> Option<&T> {
        self.items.get_index(id.into())
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The values from index `start` on, oldest first: what was added since the table had that length.
    pub fn since(&self, start: usize) -> impl Iterator<Item = &T> {
        self.items.iter().skip(start)
    }

    /// All ids with their values, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.items.iter().enumerate().map(|(index, item)| (Id::from(index), item))
    }
}

/// A Python function: one code object of the target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Function {
    /// `co_qualname`, or `co_name` where the interpreter has no other (3.10 and older).
    pub name: Box<str>,
    /// Whether `name` is a qualified name.
    pub qualified: bool,
    /// The module as an import would name it, derived from the file; the file's stem when
    /// that is all there is.
    pub module: Box<str>,
    /// `co_filename`.
    pub file: Box<str>,
    /// `co_firstlineno`.
    pub first_line: u32,
}

/// A line of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    /// The function.
    pub function: FunctionId,
    /// The line, 1-based; 0 when the code has none there.
    pub line: u32,
}

/// A frame and the stack of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StackNode {
    /// The caller's stack.
    pub caller: StackId,
    /// The innermost frame.
    pub frame: FrameId,
}

/// Which end of a connection a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SocketRole {
    /// Waits for connections.
    Listener,
    /// Was accepted: its local port is one that somebody on this host listens on.
    Server,
    /// Connected, or connects, to the peer.
    Client,
    /// An internet socket whose addresses could not be told in time: the host has so many that
    /// they cannot be listed for each new one.
    Unlisted,
}

/// What a descriptor leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DescriptorKind {
    /// An internet socket (TCP or UDP).
    Socket {
        /// Which end it is.
        role: SocketRole,
        /// `host:port` of this end.
        local: Box<str>,
        /// `host:port` of the other end; empty for a listener.
        peer: Box<str>,
    },
    /// A unix socket, with its path where it has one; `listener` when it waits for connections.
    UnixSocket {
        /// The path, or empty.
        path: Box<str>,
        /// Whether it waits for connections.
        listener: bool,
    },
    /// A pipe or a fifo.
    Pipe,
    /// An eventfd.
    Event,
    /// An epoll instance.
    Epoll,
    /// A timerfd.
    Timer,
    /// A signalfd.
    Signal,
    /// A process (`pidfd_open`).
    Process,
    /// A terminal.
    Terminal,
    /// A regular file or folder, by its path.
    File(Box<str>),
    /// Another device, by its path.
    Device(Box<str>),
    /// Could not be told; the text is the reason.
    Unknown(Box<str>),
}

/// A descriptor of the target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Descriptor {
    /// The number.
    pub number: i32,
    /// What it leads to.
    pub kind: DescriptorKind,
}

impl Descriptor {
    /// The name of what is at its other end: a peer's address, or a path; `None` when it has none.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        let name = match &self.kind {
            DescriptorKind::Socket { peer, .. } => peer,
            DescriptorKind::UnixSocket { path, .. } => path,
            DescriptorKind::File(path) | DescriptorKind::Device(path) => path,
            _ => return None,
        };
        Some(&**name).filter(|name| !name.is_empty())
    }
}

/// What a thread did at a sample, judged. A recording's samples are ids of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// The Python stack.
    pub stack: StackId,
    /// The tag as long as no event-loop step that is too long says otherwise; never
    /// [`Tag::EventLoopBlocking`], which is joined from the steps when a recording is read.
    pub tag: Tag,
    /// The cause.
    pub cause: Cause,
    /// The descriptor waited for.
    pub descriptor: Option<DescriptorId>,
    /// The probe that decided, or the reason of an `unknown`.
    pub note: Option<LabelId>,
}

/// What is known of a thread; may change while it lives, except for `tid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadInfo {
    /// The native thread id.
    pub tid: Tid,
    /// The name that Python gives it, or else the kernel.
    pub name: Box<str>,
    /// Whether it has a Python thread state.
    pub python: bool,
    /// Whether it is the process's first thread.
    pub main: bool,
    /// The number of its interpreter, 0 for the main one.
    pub interpreter: u32,
    /// Whether it is a daemon, which Python does not wait for at its end; none where `threading`
    /// does not know the thread, or could not be read.
    pub daemon: Option<bool>,
}

/// All tables of one recording.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Functions.
    pub functions: Table<FunctionId, Function>,
    /// Frames.
    pub frames: Table<FrameId, Frame>,
    /// Stacks but the empty one; use [`Tables::push_frame`] and [`Tables::frames_of`].
    pub stacks: Table<StackIndex, StackNode>,
    /// Descriptors.
    pub descriptors: Table<DescriptorId, Descriptor>,
    /// Probes' names and reasons.
    pub labels: Table<LabelId, Box<str>>,
    /// States.
    pub states: Table<StateId, State>,
    /// Threads, by [`ThreadId`].
    pub threads: Vec<ThreadInfo>,
}

/// The place of a stack in its table: one below its [`StackId`], whose 0 is the empty stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackIndex(usize);

impl From<usize> for StackIndex {
    fn from(index: usize) -> Self {
        Self(index)
    }
}

impl From<StackIndex> for usize {
    fn from(index: StackIndex) -> Self {
        index.0
    }
}

impl Tables {
    /// The stack of `caller` with one more frame on it.
    pub fn push_frame(&mut self, caller: StackId, frame: FrameId) -> StackId {
        StackId::from(self.stacks.intern(StackNode { caller, frame }).0 + 1)
    }

    /// The innermost frame of a stack and its caller's stack; `None` for the empty stack.
    #[must_use]
    pub fn stack_node(&self, stack: StackId) -> Option<StackNode> {
        let index = usize::from(stack).checked_sub(1)?;
        // A caller is always older than what it calls, so that no file can make a walk endless.
        self.stacks.get(StackIndex(index)).copied().filter(|node| node.caller < stack)
    }

    /// The frames of a stack, innermost first.
    pub fn frames_of(&self, stack: StackId) -> impl Iterator<Item = FrameId> + '_ {
        let mut next = stack;
        std::iter::from_fn(move || {
            let node = self.stack_node(next)?;
            next = node.caller;
            Some(node.frame)
        })
    }

    /// The functions and lines of a stack, innermost first.
    pub fn lines_of(&self, stack: StackId) -> impl Iterator<Item = (&Function, u32)> + '_ {
        self.frames_of(stack).filter_map(|id| {
            let frame = self.frames.get(id)?;
            Some((self.functions.get(frame.function)?, frame.line))
        })
    }

    /// The note of a state: a probe's id, the reason of an `unknown`, or one of
    /// [`note`](super::note).
    #[must_use]
    pub fn note(&self, state: &State) -> Option<&str> {
        self.labels.get(state.note?).map(|note| &**note)
    }

    /// What is known of a thread.
    #[must_use]
    pub fn thread(&self, id: ThreadId) -> Option<&ThreadInfo> {
        self.threads.get(usize::from(id))
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, StackId, Tables};
    use crate::model::FunctionId;

    #[test]
    fn a_stack_is_shared_with_its_callers() {
        let mut tables = Tables::default();
        let frames: Vec<_> = (1..=3)
            .map(|line| tables.frames.intern(Frame { function: FunctionId(0), line }))
            .collect();
        let outer = tables.push_frame(StackId::EMPTY, frames[0]);
        let a = tables.push_frame(outer, frames[1]);
        let b = tables.push_frame(outer, frames[2]);
        assert_eq!(a, tables.push_frame(outer, frames[1]));
        assert_ne!(a, b);
        assert_eq!(tables.frames_of(b).collect::<Vec<_>>(), [frames[2], frames[0]]);
        assert_eq!(tables.frames_of(StackId::EMPTY).count(), 0);
        assert!(tables.stack_node(StackId(99)).is_none());
    }
}
