//! The await chain of a task: from its coroutine down to what waits, through every generator.

use super::kinds::Kind;
use super::moment::{Link, Moment};
use super::suspended::{Progress, Suspended};
use crate::model::{Address, StackId};
use crate::python::interpreter::PythonThread;
use crate::python::layout::FrameRoot;
use crate::python::object::Invalid;
use crate::target::Memory;

/// The longest chain that is followed; a cycle ends here too.
const LONGEST: usize = 1 << 10;
/// Frames of a running thread that are followed.
const DEEPEST: usize = 4096;

/// An await chain.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Its frames, outermost first.
    pub links: Vec<Link>,
    /// What the innermost one awaits, when that is no coroutine or generator.
    pub leaf: Option<Address>,
}

impl<M: Memory> Moment<'_, M> {
    /// Follows the chain that begins with the coroutine at `coroutine`, into `chain`. What changes
    /// under the reader ends it.
    ///
    /// # Errors
    /// When not even its first link can be read.
    pub(super) fn chain(&mut self, coroutine: Address, chain: &mut Chain) -> Result<(), Invalid> {
        chain.links.clear();
        chain.leaf = None;
        let mut next = coroutine;
        while chain.links.len() < LONGEST {
            match self.follow(next, chain) {
                Ok(Some(further)) => next = further,
                Ok(None) => break,
                Err(error) if chain.links.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Adds what `object` is to the chain, and tells what it waits for.
    fn follow(&mut self, object: Address, chain: &mut Chain) -> Result<Option<Address>, Invalid> {
        self.spend(1)?;
        let inner = object.offset(self.head());
        match self.kind(object)? {
            Kind::Generator => {
                let Some(at) = Suspended::read(self.reader, self.layout, object)? else {
                    return Ok(None);
                };
                let frame = self.frame(at.code, at.instruction)?;
                chain.links.push(Link { at, frame });
                Ok(match at.progress {
                    Progress::Awaiting(awaited) if !awaited.is_null() => Some(awaited),
                    _ => None,
                })
            }
            Kind::Wrapper => self.reader.pointer(inner).map(Some),
            Kind::FutureIter => {
                chain.leaf = Some(self.reader.pointer(inner)?).filter(|leaf| !leaf.is_null());
                Ok(None)
            }
            _ => {
                chain.leaf = Some(object);
                Ok(None)
            }
        }
    }

    /// The chain as a stack.
    pub(super) fn stack_of(&mut self, chain: &Chain) -> StackId {
        chain
            .links
            .iter()
            .fold(StackId::EMPTY, |stack, link| self.tables.push_frame(stack, link.frame))
    }

    /// The frames of a thread from `outermost` inwards, as a stack: what a task that runs is in.
    pub(super) fn running_stack(
        &mut self,
        thread: &PythonThread,
        outermost: Address,
    ) -> Option<StackId> {
        let frames = self.running_frames(thread, outermost)?;
        frames.last().filter(|last| last.frame == outermost)?;
        let frames: Vec<_> = frames
            .into_iter()
            .filter_map(|found| self.frame(found.code, found.instruction).ok())
            .collect();
        let push = |stack, frame: &_| self.tables.push_frame(stack, *frame);
        Some(frames.iter().rev().fold(StackId::EMPTY, push))
    }

    /// The frames of a thread, innermost first, as far as `outermost`, or to the thread's first;
    /// `None` when they cannot be followed.
    pub(super) fn running_frames(
        &self,
        thread: &PythonThread,
        outermost: Address,
    ) -> Option<Vec<Suspended>> {
        let (reader, layout) = (self.reader, self.reader.layout);
        let at = &layout.at.frame;
        let root = reader.pointer(thread.address.offset(layout.at.thread.frame)).ok()?;
        let mut next = match layout.frame_root {
            FrameRoot::Direct => root,
            FrameRoot::CFrame(offset) => reader.pointer(root.offset(offset)).ok()?,
        };
        let mut frames = Vec::new();
        for _ in 0..DEEPEST {
            if next.is_null() {
                return Some(frames);
            }
            let shim = at.owner.is_some_and(|owner| {
                reader.array(next.offset(owner)).is_ok_and(|[owner]| owner >= layout.shim_owner)
            });
            if !shim && let Ok(found) = Suspended::in_frame(reader, next) {
                frames.push(found);
            }
            if next == outermost {
                return Some(frames);
            }
            next = reader.pointer(next.offset(at.previous)).ok()?;
        }
        None
    }
}
