//! The stack of one thread, as nearly at one moment as can be had without stopping it.
//!
//! A thread's frames lie in a few contiguous chunks (3.11+) or one by one on the heap (up to 3.10,
//! and generators). Both are *regions* here. Regions are remembered from sample to sample and all
//! read by one system call between two copies of the thread's head; only where a frame is in none
//! of them is it looked up, remembered, and everything read again.

use super::gil::Gil;
use super::interpreter::ThreadHead;
use super::layout::{FrameRoot, InstructionPointer, Layout};
use super::object::Reader;
use crate::model::{Address, Failure};
use crate::target::{Memory, ReadError, Span};

/// Stacks deeper than this are cut at the outer end.
const DEEPEST: usize = 4096;
/// Attempts to get an unchanged head before and after. A thread that makes a call every few hundred
/// nanoseconds takes many; one that does not takes one.
const ATTEMPTS: usize = 40;
/// Attempts that only learn where frames are.
const LESSONS: usize = 8;
/// A region that was of no use for so many reads is forgotten.
const FORGOTTEN_AFTER: u32 = 32;
/// Bytes that are read beyond the innermost known frame: room for calls made meanwhile.
const MARGIN: u64 = 1024;
/// Chunks that are looked at to learn where one stack lies.
const MOST_CHUNKS: usize = 1 << 14;
/// Bytes that are copied for one stack: a kilobyte for each of the frames that are not cut.
const MOST_BYTES: u64 = 1 << 22;
/// No chunk is larger, which has 16 KiB or room for one large frame; a larger size is garbage.
const LARGEST_CHUNK: u64 = 1 << 20;
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

/// A stretch of memory that has frames in it.
#[derive(Debug, Clone, Copy)]
struct Region {
    start: u64,
    len: u64,
    /// Where it begins in the buffer.
    place: usize,
    idle: u32,
}

/// Reads one thread's stack, and remembers where it lies.
#[derive(Debug, Default)]
pub struct StackReader {
    /// Sorted by `start`, without overlap.
    regions: Vec<Region>,
    /// The `_PyCFrame` that leads to the innermost frame; 0 where there is none.
    holder: u64,
    spans: Vec<Span>,
    buffer: Vec<u8>,
}

/// What one walk over the copied regions found.
enum Walk {
    Complete,
    Missing(u64),
}

impl StackReader {
    /// Reads the head of the thread state at `thread` and its frames into `frames`, innermost first.
    ///
    /// # Errors
    /// [`Failure::Torn`] when the thread moved at every attempt.
    pub fn read<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        thread: Address,
        gil: Option<Gil>,
        frames: &mut Vec<RawFrame>,
    ) -> Result<ThreadHead, Failure> {
        let head = self.read_settled(reader, thread, gil, frames);
        self.buffer.truncate(MOST_KEPT);
        self.buffer.shrink_to(MOST_KEPT);
        head
    }

    fn read_settled<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        thread: Address,
        gil: Option<Gil>,
        frames: &mut Vec<RawFrame>,
    ) -> Result<ThreadHead, Failure> {
        let (mut torn, mut lessons) = (0, 0);
        while torn < ATTEMPTS && lessons < LESSONS {
            let (before, after) = match self.copy(reader, thread, gil) {
                Ok(heads) => heads,
                Err(ReadError::Unmapped) if !self.regions.is_empty() || self.holder != 0 => {
                    self.regions.clear();
                    self.holder = 0;
                    lessons += 1;
                    continue;
                }
                Err(_) => return Err(Failure::Unreadable),
            };
            if before.holder != self.holder {
                self.holder = before.holder;
                lessons += 1;
                continue;
            }
            if (before.frame, before.holder) != (after.frame, after.holder) {
                torn += 1;
                continue;
            }
            match self.walk(reader.layout, before.frame, frames)? {
                Walk::Complete => {
                    self.forget_idle();
                    return Ok(after);
                }
                Walk::Missing(frame) => {
                    lessons += 1;
                    self.learn(reader, before.chunk, frame);
                }
            }
        }
        Err(Failure::Torn)
    }

    /// One system call: head, regions, GIL, head. Where the head leads to the frame through a
    /// holder (3.11, 3.12), each head has the holder's word beside it.
    fn copy<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        thread: Address,
        gil: Option<Gil>,
    ) -> Result<(ThreadHead, ThreadHead), ReadError> {
        let layout = reader.layout;
        let head = Span { address: thread, len: ThreadHead::len(layout) };
        let holder = match layout.frame_root {
            FrameRoot::Direct => None,
            FrameRoot::CFrame(_) if self.holder == 0 => None,
            FrameRoot::CFrame(offset) => {
                Some(Span { address: Address(self.holder).offset(offset), len: 8 })
            }
        };
        let gil_span = gil.map(Gil::span);
        self.spans.clear();
        self.spans.push(head);
        self.spans.extend(holder);
        let mut place = head.len + holder.map_or(0, |span| span.len);
        for region in &mut self.regions {
            region.place = place;
            place += region.len as usize;
            self.spans.push(Span { address: Address(region.start), len: region.len as usize });
        }
        let tail = place;
        self.spans.extend(gil_span);
        self.spans.extend(holder);
        self.spans.push(head);
        let total = self.spans.iter().map(|span| span.len).sum();
        self.buffer.resize(total, 0);
        reader.memory.read(&self.spans, &mut self.buffer)?;

        let from = |place: usize| self.buffer.get(place..).unwrap_or_default();
        let mut before = ThreadHead::parse(layout, from(0));
        let mut after = ThreadHead::parse(layout, from(total - head.len));
        if let Some(gil) = gil {
            after.holds_gil = gil.is_held_by(from(tail), thread);
        }
        if holder.is_some() {
            for (head, place) in [(&mut before, head.len), (&mut after, total - head.len - 8)] {
                head.holder = head.frame;
                head.frame = word(from(place), 0).unwrap_or(0);
            }
        } else if layout.frame_root != FrameRoot::Direct {
            for head in [&mut before, &mut after] {
                head.holder = head.frame;
            }
        }
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
            let Some(bytes) = self.bytes_at(next, header) else { return Ok(Walk::Missing(next)) };
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
        Ok(Walk::Complete)
    }

    /// The copied bytes from `address` on, when at least `len` of them lie in one region.
    fn bytes_at(&mut self, address: u64, len: u64) -> Option<&[u8]> {
        let after = self.regions.partition_point(|region| region.start <= address);
        let region = self.regions.get_mut(after.checked_sub(1)?)?;
        let offset = address - region.start;
        if offset.checked_add(len)? > region.len {
            return None;
        }
        region.idle = 0;
        let from = region.place + offset as usize;
        self.buffer.get(from..from + len as usize)
    }

    /// Finds out where `frame` and the frames that called it lie.
    fn learn<M: Memory>(&mut self, reader: Reader<'_, M>, chunk: u64, frame: u64) {
        let header = header_len(reader.layout);
        let mut next = frame;
        let mut budget = MOST_CHUNKS;
        let mut copied: u64 = self.regions.iter().map(|region| region.len).sum();
        for _ in 0..DEEPEST {
            if next == 0 || self.is_known(next, header) || copied > MOST_BYTES {
                return;
            }
            copied += match self.learn_chunk(reader, chunk, next, header, &mut budget) {
                Some(len) => len,
                None => self.remember(next, header),
            };
            let address = Address(next).offset(reader.layout.at.frame.previous);
            let Ok(caller) = reader.word(address) else { return };
            next = caller;
        }
    }

    fn is_known(&self, address: u64, len: u64) -> bool {
        let after = self.regions.partition_point(|region| region.start <= address);
        after
            .checked_sub(1)
            .and_then(|index| self.regions.get(index))
            .is_some_and(|region| (address - region.start).saturating_add(len) <= region.len)
    }

    /// Looks for the chunk that `frame` lies in, and remembers it; gives the bytes that it adds.
    fn learn_chunk<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        innermost: u64,
        frame: u64,
        header: u64,
        budget: &mut usize,
    ) -> Option<u64> {
        let mut chunk = innermost;
        while let Some(rest) = budget.checked_sub(1) {
            *budget = rest;
            // `struct _PyStackChunk`: previous, size in bytes, top.
            let head: [u8; 16] = reader.array(Address(chunk)).ok()?;
            let (previous, size) = (word(&head, 0)?, word(&head, 8)?);
            if size > LARGEST_CHUNK {
                return None;
            }
            if (chunk..chunk.saturating_add(size)).contains(&frame) {
                let len = (frame - chunk).saturating_add(header + MARGIN).min(size);
                return Some(self.remember(chunk, len));
            }
            if previous == 0 {
                return None;
            }
            chunk = previous;
        }
        None
    }

    /// Adds a region, or lengthens the one that begins there. What it runs into is dropped. Gives
    /// its length.
    fn remember(&mut self, start: u64, len: u64) -> u64 {
        let end = start.saturating_add(len);
        self.regions.retain(|region| {
            region.start.saturating_add(region.len) <= start || region.start >= end
        });
        let index = self.regions.partition_point(|region| region.start < start);
        self.regions.insert(index, Region { start, len, place: 0, idle: 0 });
        len
    }

    fn forget_idle(&mut self) {
        self.regions.retain_mut(|region| {
            region.idle += 1;
            region.idle <= FORGOTTEN_AFTER
        });
    }
}

/// How many bytes of a frame are looked at.
fn header_len(layout: &Layout) -> u64 {
    let at = &layout.at.frame;
    [at.code, at.previous, at.instruction, at.owner.unwrap_or(0)].into_iter().max().unwrap_or(0) + 8
}

/// The word at `offset`.
pub(super) fn word(bytes: &[u8], offset: u64) -> Option<u64> {
    let bytes = bytes.get(usize::try_from(offset).ok()?..)?.first_chunk::<8>()?;
    Some(u64::from_ne_bytes(*bytes))
}
