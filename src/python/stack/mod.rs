//! The stack of one thread, as nearly at one moment as can be had without stopping it.
//!
//! A thread's frames lie in a few contiguous chunks (3.11+) or one by one on the heap (up to 3.10,
//! and generators). Both are *regions* here: remembered from sample to sample, and all read by one
//! system call. Only where a frame is in none of them is it looked up, remembered, and everything
//! read again.
//!
//! That call reads the inner frames twice, before everything and with it, between two readings of the
//! thread's head. The first reading is the stack; the second is its witness:
//!
//! - When all agrees, the whole stack was there at one moment. Many frames must: one that has
//!   returned stays in memory as it was until another is put in its place, and that begins at the
//!   outer end.
//! - When only the innermost have moved on, their callers were there before and after they were
//!   read. The stack is taken if its edges are known to be possible (see [`Edges`]). To insist on
//!   agreement would favour whatever changes seldom: the stacks of a storm of calls would be those
//!   of its quiet moments.
//! - When the callers have moved too, it is read again, and after some attempts taken by its edges
//!   alone. Where not even they are known the sample is rejected.

mod edges;
mod names;
mod regions;

pub use self::edges::Edges;

use rustc_hash::FxHashSet;

use self::names::{begins, names};
use self::regions::Regions;
use super::gil::Gil;
use super::interpreter::{PythonThread, ThreadHead};
use super::layout::{FrameRoot, InstructionPointer, Layout};
use super::object::{Reader, word};
use crate::model::{Address, Failure};
use crate::target::{Memory, ReadError, Span};

/// Stacks deeper than this are cut at the outer end.
const DEEPEST: usize = 4096;
/// Attempts to read a stack twice alike, or one whose edges are known.
const ATTEMPTS: u32 = 40;
/// Attempts before a stack is taken by its edges alone.
const PATIENCE: u32 = 6;
/// Attempts that only learn where frames are.
const LESSONS: u32 = 8;
/// How many holders are remembered.
const MOST_HOLDERS: usize = 4;
/// So many bytes of the innermost frames are read twice: nearly always all of them.
const TWICE_BYTES: usize = 4096;
/// How many frames far from each other are read twice, each a span.
const TWICE_SPANS: usize = 24;
/// Where frames lie on the heap, all are read twice if they lie in so few bytes.
const TWICE_ALL: u64 = 1 << 14;
/// How many of the innermost frames may move on while their callers are read.
const MOVING: usize = 2;
/// Bytes beyond the innermost frame that are read twice: room for calls made meanwhile.
const TWICE_MARGIN: u64 = 256;
/// Frames nearer to each other than this are read twice by one span.
const TWICE_NEAR: u64 = 1024;
/// Bytes of memory that are kept from one sample to the next, of which there is one for each
/// thread: what is damaged may look like a large stack in all of them.
const MOST_KEPT: usize = 1 << 20;

/// A frame as it lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFrame {
    /// Where it lies.
    pub address: Address,
    /// Its code object.
    pub code: Address,
    /// Its instruction: an index (up to 3.10, sign-extended) or a pointer.
    pub instruction: u64,
}

/// Reads one thread's stack, and remembers where it lies.
#[derive(Debug, Default)]
pub struct StackReader {
    regions: Regions,
    /// What is read twice, and where the first reading lies in the buffer.
    twice: Vec<(Span, usize)>,
    /// The `_PyCFrame`s that led to the innermost frame, the last one first: one for each call by C.
    holders: Vec<u64>,
    /// The stack that was read last.
    last: Vec<RawFrame>,
    /// The head behind which the last reading found no frames.
    empty_behind: Option<u64>,
    /// Which frames of the stack that is being read were the same both times.
    agreed: Vec<bool>,
    spans: Vec<Span>,
    buffer: Vec<u8>,
}

/// The bytes of an `int` that says that garbage is being collected.
const COLLECTING: [u8; 4] = 1u32.to_ne_bytes();

/// How far two readings of the inner frames agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    /// In all of them.
    Whole,
    /// In all but the innermost.
    Outer,
    /// Not in their callers either, or nothing was read twice.
    None,
}

/// What one walk over the copied regions found.
enum Walk {
    Complete,
    Missing(u64),
}

impl StackReader {
    /// Forgets the last stack: its code objects may have been replaced.
    pub fn forget(&mut self) {
        self.last.clear();
    }

    /// Reads the head of a thread state and its frames into `frames`, innermost first.
    ///
    /// # Errors
    /// [`Failure::Torn`] when the thread moved at every attempt.
    pub fn read<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        thread: &PythonThread,
        edges: &mut Edges,
        frames: &mut Vec<RawFrame>,
    ) -> Result<ThreadHead, Failure> {
        let head = self.read_settled(reader, thread, edges, frames);
        self.buffer.truncate(MOST_KEPT);
        self.buffer.shrink_to(MOST_KEPT);
        head
    }

    fn read_settled<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        thread: &PythonThread,
        edges: &mut Edges,
        frames: &mut Vec<RawFrame>,
    ) -> Result<ThreadHead, Failure> {
        let (mut torn, mut lessons) = (0, 0);
        while torn < ATTEMPTS && lessons < LESSONS {
            let (before, after) = match self.copy(reader, thread) {
                Ok(heads) => heads,
                Err(ReadError::Unmapped)
                    if !self.regions.is_empty() || !self.holders.is_empty() =>
                {
                    self.forget_places();
                    lessons += 1;
                    continue;
                }
                Err(_) => return Err(Failure::Unreadable),
            };
            if self.is_new_holder(before.holder) {
                torn += 1;
                continue;
            }
            match self.walk(reader.layout, before.frame, frames) {
                Ok(Walk::Complete) => {}
                Ok(Walk::Missing(frame)) => {
                    lessons += 1;
                    self.regions.learn(reader, before.chunk, frame);
                    continue;
                }
                Err(_) => {
                    torn += 1;
                    continue;
                }
            }
            let agreement = self.agreement(reader.layout, frames);
            let unmoved = (before.frame, before.holder) == (after.frame, after.holder);
            // What has no edges can have none that is wrong, and a frame that is being made may look
            // like the last of all: that there is none must be seen again.
            if frames.is_empty() && !self.is_empty_again(unmoved.then_some(before.frame)) {
                torn += 1;
                continue;
            }
            let possible = edges.are_known(&self.last, frames) || {
                let whole = unmoved && agreement == Agreement::Whole;
                // A frame that has returned has lost its caller (up to 3.10), so that the inner part of
                // a stack may well end alike in several readings, but hardly ever be alike as a whole.
                let begins = || frames.last().is_some_and(|root| begins(reader, root.code));
                let agreed = |frame| match self.agreed.get(frame) {
                    None if frame == frames.len() => whole || begins(),
                    agreed => agreed.copied().unwrap_or(false),
                };
                // Of a thread that moved, frames that have returned may be among those that agree.
                let names = |caller, callee| names(reader, caller, callee);
                unmoved && edges.learn(&self.last, frames, agreed, whole, names)
            };
            let believed = possible && (agreement != Agreement::None || torn >= PATIENCE);
            self.plan_twice(reader.layout, frames);
            if believed {
                self.regions.settle();
                self.last.clone_from(frames);
                return Ok(after);
            }
            torn += 1;
        }
        Err(Failure::Torn)
    }

    /// Whether the last reading found no frames behind the same head; `head` is `None` when the thread
    /// moved during this one.
    fn is_empty_again(&mut self, head: Option<u64>) -> bool {
        let before = std::mem::replace(&mut self.empty_behind, head);
        head.is_some() && head == before
    }

    fn forget_places(&mut self) {
        self.regions.clear();
        self.twice.clear();
        self.holders.clear();
    }

    /// Whether what the last reading found in the head's stead was not read with it; it is the next
    /// time.
    fn is_new_holder(&mut self, holder: u64) -> bool {
        if holder == 0 || self.holders.contains(&holder) {
            return false;
        }
        self.holders.insert(0, holder);
        self.holders.truncate(MOST_HOLDERS);
        true
    }

    /// One system call: head, innermost frames, regions, GIL, collector, head. Where the head leads to the
    /// frame through a holder (3.11, 3.12), the holder's word is read in the head's stead the second
    /// time.
    fn copy<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        thread: &PythonThread,
    ) -> Result<(ThreadHead, ThreadHead), ReadError> {
        let layout = reader.layout;
        let head = Span { address: thread.address, len: ThreadHead::len(layout) };
        let direct = layout.frame_root == FrameRoot::Direct;
        let offset = if let FrameRoot::CFrame(offset) = layout.frame_root { offset } else { 0 };
        let word_of = |holder: &u64| Span { address: Address(*holder).offset(offset), len: 8 };
        let gil_span = thread.gil.map(Gil::span);
        let collecting = thread.collecting.map(|address| Span { address, len: 4 });
        self.spans.clear();
        self.spans.push(head);
        self.spans.extend(self.holders.iter().map(word_of));
        let mut place = head.len + 8 * self.holders.len();
        for (span, at) in &mut self.twice {
            *at = place;
            place += span.len;
            self.spans.push(*span);
        }
        let gil_place = self.regions.plan(place, &mut self.spans);
        self.spans.extend(gil_span);
        let collecting_place = gil_place + gil_span.map_or(0, |span| span.len);
        self.spans.extend(collecting);
        let tail = collecting_place + collecting.map_or(0, |span| span.len);
        self.spans.extend(direct.then_some(head));
        self.spans.extend(self.holders.iter().map(word_of));
        self.buffer.resize(self.spans.iter().map(|span| span.len).sum(), 0);
        reader.memory.read(&self.spans, &mut self.buffer)?;

        let from = |place: usize| self.buffer.get(place..).unwrap_or_default();
        let mut before = ThreadHead::parse(layout, from(0));
        let mut after = before;
        if direct {
            after = ThreadHead::parse(layout, from(tail));
        } else {
            before.holder = before.frame;
            let known = self.holders.iter().position(|holder| *holder == before.holder);
            let frame = |place: usize| {
                known.and_then(|index| word(from(place + 8 * index), 0)).unwrap_or(0)
            };
            (before.frame, after.frame) = (frame(head.len), frame(tail));
            after.holder = before.holder;
        }
        after.holds_gil =
            thread.gil.is_some_and(|gil| gil.is_held_by(from(gil_place), thread.address));
        after.collecting = collecting.is_some() && from(collecting_place).starts_with(&COLLECTING);
        Ok((before, after))
    }

    fn walk(
        &mut self,
        layout: &Layout,
        innermost: u64,
        frames: &mut Vec<RawFrame>,
    ) -> Result<Walk, Failure> {
        frames.clear();
        let at = &layout.at.frame;
        let header = header_len(layout);
        let mut next = innermost;
        // Frames without code count too: a cycle of them must end as well.
        for _ in 0..DEEPEST {
            if next == 0 {
                return Ok(Walk::Complete);
            }
            let Some(second) = self.regions.place_of(next, header) else {
                return Ok(Walk::Missing(next));
            };
            let place = self.first_place_of(next, header).unwrap_or(second);
            let bytes = self.buffer.get(place..place + header as usize).unwrap_or_default();
            let field = |offset| word(bytes, offset).ok_or(Failure::Invalid);
            let shim = at
                .owner
                .and_then(|owner| bytes.get(owner as usize))
                .is_some_and(|owner| *owner >= layout.shim_owner);
            let code = field(at.code)? & !layout.tag_mask;
            if !shim && code != 0 {
                let instruction = match layout.instruction {
                    InstructionPointer::Pointer => field(at.instruction)?,
                    InstructionPointer::Index(_) => field(at.instruction)? as u32 as i32 as u64,
                };
                frames.push(RawFrame { address: Address(next), code: Address(code), instruction });
            }
            next = field(at.previous)?;
        }
        // Too deep, or a cycle: a frame that was freed and used again may lead back to one that it
        // was called by.
        let places: FxHashSet<Address> = frames.iter().map(|frame| frame.address).collect();
        if places.len() < frames.len() { Err(Failure::Invalid) } else { Ok(Walk::Complete) }
    }

    /// How far the inner frames were the same when they were read again. The innermost one's
    /// instruction may have moved on at any time; those of the frames that called it may not.
    fn agreement(&mut self, layout: &Layout, frames: &[RawFrame]) -> Agreement {
        let at = &layout.at.frame;
        let header = header_len(layout);
        let fixed = [at.code, at.previous, at.instruction];
        self.agreed.clear();
        let mut witnessed = frames.len() <= MOVING;
        for (index, frame) in frames.iter().enumerate() {
            let first = self.first_place_of(frame.address.0, header);
            let second = self.regions.place_of(frame.address.0, header);
            let field = |place: usize, offset| word(self.buffer.get(place..)?, offset);
            let fixed = if index == 0 { &fixed[..2] } else { &fixed[..] };
            let same = match (first, second) {
                (Some(first), Some(second)) => {
                    fixed.iter().all(|&offset| field(first, offset) == field(second, offset))
                }
                // What was not read twice stays as it is as long as what it has called does.
                _ if index < MOVING => false,
                _ => self.agreed.last() == Some(&true),
            };
            witnessed |= first.is_some() && index >= MOVING;
            self.agreed.push(same);
        }
        let outer = self.agreed.get(MOVING.min(frames.len())..).unwrap_or_default();
        match witnessed && !outer.contains(&false) {
            true if self.agreed.contains(&false) => Agreement::Outer,
            true => Agreement::Whole,
            false => Agreement::None,
        }
    }

    /// Where the first reading of the `len` bytes at `address` lies in the buffer.
    fn first_place_of(&self, address: u64, len: u64) -> Option<usize> {
        self.twice.iter().find_map(|(span, place)| {
            let offset = address.checked_sub(span.address.0)?;
            (offset.checked_add(len)? <= span.len as u64).then_some(place + offset as usize)
        })
    }

    /// What is to be read twice next time: where the innermost frames lie now.
    fn plan_twice(&mut self, layout: &Layout, frames: &[RawFrame]) {
        let header = header_len(layout);
        self.twice.clear();
        let on_heap = layout.at.thread.datastack_chunk.is_none();
        if on_heap && self.regions.len() <= TWICE_ALL && self.regions.count() <= TWICE_SPANS {
            self.twice.extend(self.regions.spans().map(|span| (span, 0)));
            return;
        }
        for (index, frame) in frames.iter().enumerate() {
            let start = frame.address.0;
            let enough = self.twice.iter().map(|(span, _)| span.len).sum::<usize>() > TWICE_BYTES;
            if (enough && index > MOVING) || self.twice.len() > TWICE_SPANS {
                break;
            }
            let margin = if index == 0 { TWICE_MARGIN } else { 0 };
            let end = start.saturating_add(header + margin);
            // A chunk's frames lie one after the other, the innermost last.
            if let Some((span, _)) = self.twice.last_mut()
                && start < span.address.0
                && span.address.0 - start < TWICE_NEAR
            {
                span.len += (span.address.0 - start) as usize;
                span.address = Address(start);
                continue;
            }
            let end = if self.regions.has(start, end - start) { end } else { start + header };
            self.twice.push((Span { address: Address(start), len: (end - start) as usize }, 0));
        }
    }
}

/// How many bytes of a frame are looked at.
fn header_len(layout: &Layout) -> u64 {
    let at = &layout.at.frame;
    [at.code, at.previous, at.instruction, at.owner.unwrap_or(0)].into_iter().max().unwrap_or(0) + 8
}
