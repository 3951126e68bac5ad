//! The stretches of memory that one thread's frames lie in, remembered from sample to sample.

use super::{DEEPEST, header_len, word};
use crate::model::Address;
use crate::python::object::Reader;
use crate::target::{Memory, Span};

/// After so many reads, what was of no use meanwhile is forgotten.
const SETTLED_AFTER: u32 = 32;
/// Bytes that are read beyond the innermost known frame: room for calls made meanwhile.
const MARGIN: u64 = 1024;
/// Frames on the heap this near to each other are read as one: a span of its own costs the kernel
/// more than the bytes between, which are a page at most that is another's.
const NEAR: u64 = 4096 + 512;
/// What is joined grows no longer than this.
const LONGEST_JOINED: u64 = 1 << 16;
/// Chunks that are looked at to learn where one stack lies.
const MOST_CHUNKS: usize = 1 << 14;
/// Bytes that are copied for one stack: a kilobyte for each of the frames that are not cut.
const MOST_BYTES: u64 = 1 << 22;
/// No chunk is larger, which has 16 KiB or room for one large frame; a larger size is garbage.
const LARGEST_CHUNK: u64 = 1 << 20;

/// A stretch of memory that has frames in it.
#[derive(Debug, Clone, Copy)]
struct Region {
    start: u64,
    len: u64,
    /// Where it begins in the buffer.
    place: usize,
    /// Whether it is a chunk of a data stack, which has frames of one thread only.
    chunk: bool,
    /// How far into it frames were found since the regions were settled; 0 when none was.
    reach: u64,
}

impl Region {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }

    fn has(&self, address: u64, len: u64) -> bool {
        address
            .checked_sub(self.start)
            .and_then(|offset| offset.checked_add(len))
            .is_some_and(|end| end <= self.len)
    }
}

/// Sorted by address, without overlap.
#[derive(Debug, Default)]
pub(super) struct Regions {
    list: Vec<Region>,
    reads: u32,
    /// Whether something between two frames was not mapped: then none are joined.
    apart: bool,
}

impl Regions {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Forgets all, since something of it is not mapped.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.apart = true;
    }

    /// How many bytes they have.
    pub(super) fn len(&self) -> u64 {
        self.list.iter().map(|region| region.len).sum()
    }

    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        let span = |it: &Region| Span { address: Address(it.start), len: it.len as usize };
        self.list.iter().map(span)
    }

    /// Adds a span for each; they will lie in the buffer from `place` on. Gives the place after.
    pub(super) fn plan(&mut self, mut place: usize, spans: &mut Vec<Span>) -> usize {
        for region in &mut self.list {
            let len = region.len as usize;
            region.place = place;
            place += len;
            spans.push(Span { address: Address(region.start), len });
        }
        place
    }

    /// Where the `len` bytes at `address` lie in the buffer, when they are in one region.
    pub(super) fn place_of(&mut self, address: u64, len: u64) -> Option<usize> {
        let after = self.list.partition_point(|region| region.start <= address);
        let region = self.list.get_mut(after.checked_sub(1)?)?;
        if !region.has(address, len) {
            return None;
        }
        let offset = address - region.start;
        region.reach = region.reach.max(offset + len);
        Some(region.place + offset as usize)
    }

    pub(super) fn has(&self, address: u64, len: u64) -> bool {
        self.list.iter().any(|region| region.has(address, len))
    }

    /// Adds the chunk that begins at `start`, or lengthens what is known of it. What it runs into
    /// is dropped. Gives its length.
    pub(super) fn add_chunk(&mut self, start: u64, len: u64) -> u64 {
        let end = start.saturating_add(len);
        self.list.retain(|region| region.end() <= start || region.start >= end);
        self.insert(start, len, true);
        len
    }

    /// Adds a frame on the heap, joined with those near to it. Gives the bytes that it adds.
    pub(super) fn add_frame(&mut self, start: u64, len: u64) -> u64 {
        let (mut from, mut to) = (start, start.saturating_add(len));
        let mut joined_len = 0;
        self.list.retain(|region| {
            let joined = (from.min(region.start), to.max(region.end()));
            let near = !region.chunk
                && !self.apart
                && region.start <= to.saturating_add(NEAR)
                && from <= region.end().saturating_add(NEAR);
            let overlaps = region.start < to && from < region.end();
            if overlaps || (near && joined.1 - joined.0 <= LONGEST_JOINED) {
                (from, to) = joined;
                joined_len += region.len;
                return false;
            }
            true
        });
        self.insert(from, to - from, false);
        (to - from).saturating_sub(joined_len)
    }

    fn insert(&mut self, start: u64, len: u64, chunk: bool) {
        let index = self.list.partition_point(|region| region.start < start);
        self.list.insert(index, Region { start, len, place: 0, chunk, reach: len });
    }

    /// Finds out where `frame` and the frames that called it lie.
    pub(super) fn learn<M: Memory>(&mut self, reader: Reader<'_, M>, chunk: u64, frame: u64) {
        let header = header_len(reader.layout);
        let mut next = frame;
        let mut budget = MOST_CHUNKS;
        let mut copied = self.len();
        for _ in 0..DEEPEST {
            if next == 0 || self.has(next, header) || copied > MOST_BYTES {
                return;
            }
            copied += match self.learn_chunk(reader, chunk, next, header, &mut budget) {
                Some(len) => len,
                None => self.add_frame(next, header),
            };
            let address = Address(next).offset(reader.layout.at.frame.previous);
            let Ok(caller) = reader.word(address) else { return };
            next = caller;
        }
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
                return Some(self.add_chunk(chunk, len));
            }
            if previous == 0 {
                return None;
            }
            chunk = previous;
        }
        None
    }

    /// Counts a read; from time to time, forgets what was of no use.
    pub(super) fn settle(&mut self) {
        self.reads += 1;
        if self.reads < SETTLED_AFTER {
            return;
        }
        self.reads = 0;
        self.list.retain_mut(|region| {
            region.len = region.len.min(region.reach + MARGIN);
            std::mem::take(&mut region.reach) > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{MARGIN, Regions, SETTLED_AFTER};

    fn spans(regions: &mut Regions) -> Vec<(u64, usize)> {
        let mut spans = Vec::new();
        regions.plan(0, &mut spans);
        spans.iter().map(|span| (span.address.0, span.len)).collect()
    }

    #[test]
    fn frames_near_to_each_other_are_one_region() {
        let mut regions = Regions::default();
        assert_eq!(regions.add_frame(10_000, 100), 100);
        assert_eq!(regions.add_frame(10_500, 100), 500);
        assert_eq!(regions.add_frame(9_000, 100), 1000);
        regions.add_frame(20_000, 100);
        assert_eq!(spans(&mut regions), [(9_000, 1600), (20_000, 100)]);
        assert_eq!(regions.place_of(20_000, 100), Some(1600));
        assert_eq!(regions.place_of(20_050, 100), None);
        assert_eq!(regions.place_of(u64::MAX, 100), None);
    }

    #[test]
    fn a_chunk_takes_the_place_of_what_it_runs_into() {
        let mut regions = Regions::default();
        regions.add_chunk(4096, 1000);
        regions.add_chunk(4096, 3000);
        regions.add_frame(9000, 100);
        assert_eq!(spans(&mut regions), [(4096, 3000), (9000, 100)]);
    }

    #[test]
    fn what_is_of_no_use_is_forgotten_and_what_is_too_long_is_cut() {
        let mut regions = Regions::default();
        regions.add_chunk(4096, 16_000);
        regions.add_frame(90_000, 100);
        for _ in 0..2 * SETTLED_AFTER {
            regions.place_of(4096 + 100, 60).unwrap();
            regions.settle();
        }
        assert_eq!(spans(&mut regions), [(4096, 160 + MARGIN as usize)]);
    }
}
