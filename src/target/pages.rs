//! A copy of what is read of a target's memory, so that what lies together is read once.

use std::cell::RefCell;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::memory::{Memory, ReadError, Span};
use crate::model::Address;

/// What is read at once. Objects of one kind lie together, and a read costs by the call and by the
/// page: 16 KiB take 4 µs, four single pages 9 µs.
const LINE: usize = 1 << 14;
/// Lines that are read at once when those before them were read: a walk through many objects goes
/// up the heap, and a call costs as much as three pages.
const MOST_AHEAD: usize = 16;
/// What is kept; beyond it all is forgotten and read again.
const MOST_BYTES: usize = 256 << 20;
/// Room is given back when it is more than so many times what the last look took. Taking it anew
/// costs as much as reading into it.
const ROOM_TO_SPARE: usize = 4;
/// Lines that are found without the table: one look at an object touches its type, its frame and
/// its code, each in a line of its own.
const RECENT: usize = 64;
/// Where memory ends, it ends with a page: of no kernel is one smaller.
const PAGE: usize = 1 << 12;
/// No line has this number.
const NO_LINE: u64 = u64::MAX;

/// The lines of a [`PageCache`]; their room can serve the next one.
#[derive(Debug)]
pub struct Lines {
    places: FxHashMap<u64, Place>,
    bytes: Vec<u8>,
    /// How many of the bytes hold lines.
    used: usize,
    /// How many of them did at most in this look.
    most_used: usize,
    /// The last whole line of each number modulo [`RECENT`], and where it begins.
    recent: [(u64, usize); RECENT],
}

/// Where a line is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Where it begins among the bytes.
    start: usize,
    /// How many lines were read with it.
    together: usize,
    /// A bit for each of its pages that is not mapped.
    holes: u8,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            places: FxHashMap::default(),
            bytes: Vec::new(),
            used: 0,
            most_used: 0,
            recent: [(NO_LINE, 0); RECENT],
        }
    }
}

impl Lines {
    /// Forgets what was read, and keeps the room for it.
    fn clear(&mut self) {
        self.places.clear();
        self.used = 0;
        self.recent = [(NO_LINE, 0); RECENT];
    }

    /// Begins a look.
    fn begin(&mut self) {
        self.clear();
        self.most_used = 0;
    }

    /// Gives room back of which the look that ends here took only a small part.
    pub fn shrink(&mut self) {
        if self.bytes.len() > self.most_used.saturating_mul(ROOM_TO_SPARE) {
            self.bytes.truncate(self.most_used);
            self.bytes.shrink_to_fit();
            self.places.shrink_to_fit();
        }
    }

    /// Where a line is, if it was read.
    fn find(&mut self, number: u64) -> Option<Place> {
        let place = *self.places.get(&number)?;
        if place.holes == 0
            && let Some(recent) = self.recent.get_mut(number as usize % RECENT)
        {
            *recent = (number, place.start);
        }
        Some(place)
    }

    /// The bytes at `offset` of a line that was found lately.
    fn lately(&self, number: u64, offset: usize, len: usize) -> Option<&[u8]> {
        match self.recent.get(number as usize % RECENT) {
            Some((known, start)) if *known == number => self.get(*start, offset, len),
            _ => None,
        }
    }

    fn get(&self, start: usize, offset: usize, len: usize) -> Option<&[u8]> {
        self.bytes.get(start + offset..start + offset + len)
    }

    /// Reads a line, and some of those that follow it when the one before it was read.
    fn read<M: Memory>(&mut self, memory: &M, number: u64) -> Result<(), ReadError> {
        let before = number.checked_sub(1).and_then(|before| self.places.get(&before));
        let ahead = before.map_or(1, |before| (2 * before.together).min(MOST_AHEAD)) as u64;
        let unknown = |line: &u64| !self.places.contains_key(line);
        let together = 1 + (number + 1..number + ahead).take_while(unknown).count();
        let read = match self.read_whole(memory, number, together) {
            // Of the further ones, nobody said that they are there.
            Err(ReadError::Unmapped) if together > 1 => self.read_whole(memory, number, 1),
            read => read,
        };
        match read {
            Err(ReadError::Unmapped) => self.read_torn(memory, number),
            read => read,
        }
    }

    /// Room for so many lines.
    fn room(&mut self, lines: usize) -> Range<usize> {
        let len = lines * LINE;
        if self.used + len > MOST_BYTES {
            self.clear();
        }
        let end = self.used + len;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.used..end
    }

    /// Keeps the lines from `number` on that were read into `room`.
    fn keep(&mut self, number: u64, room: Range<usize>, holes: u8) {
        self.used = room.end;
        self.most_used = self.most_used.max(self.used);
        let together = room.len() / LINE;
        let places = room.step_by(LINE).map(|start| Place { start, together, holes });
        self.places.extend((number..).zip(places));
    }

    fn read_whole<M: Memory>(
        &mut self,
        memory: &M,
        number: u64,
        together: usize,
    ) -> Result<(), ReadError> {
        let room = self.room(together);
        let span = Span { address: Address(number * LINE as u64), len: together * LINE };
        let bytes = self.bytes.get_mut(room.clone()).ok_or(ReadError::Unmapped)?;
        memory.read(&[span], bytes)?;
        self.keep(number, room, 0);
        Ok(())
    }

    /// Reads what there is of a line of which a part is not mapped.
    fn read_torn<M: Memory>(&mut self, memory: &M, number: u64) -> Result<(), ReadError> {
        let room = self.room(1);
        let bytes = self.bytes.get_mut(room.clone()).ok_or(ReadError::Unmapped)?;
        let mut holes = 0;
        for (page, bytes) in bytes.chunks_exact_mut(PAGE).enumerate() {
            let address = Address(number * LINE as u64 + (page * PAGE) as u64);
            match memory.read(&[Span { address, len: PAGE }], bytes) {
                Ok(()) => {}
                Err(ReadError::Unmapped) => holes |= 1 << page,
                Err(error) => return Err(error),
            }
        }
        self.keep(number, room, holes);
        Ok(())
    }
}

impl Place {
    /// Whether all pages of a range of the line's bytes, which is not empty, are mapped.
    fn has(self, offset: usize, len: usize) -> bool {
        (offset / PAGE..=(offset + len - 1) / PAGE).all(|page| self.holes & 1 << page == 0)
    }
}

/// Memory that is read line by line and kept. What it tells is as old as the first look at a line:
/// it is made for one snapshot and dropped.
#[derive(Debug)]
pub struct PageCache<'a, M> {
    memory: &'a M,
    lines: RefCell<&'a mut Lines>,
}

impl<'a, M: Memory> PageCache<'a, M> {
    /// A cache in which nothing is yet, and which uses the room of `lines`.
    pub fn new(memory: &'a M, lines: &'a mut Lines) -> Self {
        lines.begin();
        Self { memory, lines: RefCell::new(lines) }
    }

    /// Fills `buffer` from one line.
    fn copy(&self, address: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let (number, offset) = split(address);
        let mut lines = self.lines.borrow_mut();
        let place = match lines.find(number) {
            Some(place) => place,
            None => {
                lines.read(self.memory, number)?;
                lines.find(number).ok_or(ReadError::Unmapped)?
            }
        };
        let found = lines.get(place.start, offset, buffer.len());
        buffer.copy_from_slice(
            found.filter(|_| place.has(offset, buffer.len())).ok_or(ReadError::Unmapped)?,
        );
        Ok(())
    }

    /// Fills `buffer` from as many lines as it takes.
    #[inline(never)]
    fn copy_all(&self, spans: &[Span], buffer: &mut [u8]) -> Result<(), ReadError> {
        let mut rest = buffer;
        for span in spans {
            let mut address = span.address.0;
            let mut left = span.len;
            while left > 0 {
                let len = left.min(LINE - split(address).1);
                let (head, tail) = rest.split_at_mut_checked(len).ok_or(ReadError::Unmapped)?;
                self.copy(address, head)?;
                rest = tail;
                address = address.wrapping_add(len as u64);
                left -= len;
            }
        }
        Ok(())
    }
}

/// The number of an address's line, and its offset there.
fn split(address: u64) -> (u64, usize) {
    (address / LINE as u64, (address % LINE as u64) as usize)
}

impl<M: Memory> Memory for PageCache<'_, M> {
    #[inline]
    fn read(&self, spans: &[Span], buffer: &mut [u8]) -> Result<(), ReadError> {
        // Nearly all reads are of one word in a line that was just looked at.
        if let [Span { address, len }] = *spans
            && len == buffer.len()
        {
            let (number, offset) = split(address.0);
            if offset + len <= LINE
                && let Some(found) = self.lines.borrow().lately(number, offset, len)
            {
                buffer.copy_from_slice(found);
                return Ok(());
            }
        }
        self.copy_all(spans, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{LINE, Lines, MOST_AHEAD, PAGE, PageCache};
    use crate::model::Address;
    use crate::target::{Memory, ReadError, Span};

    /// Memory of which every byte is its address, modulo a prime, up to an end.
    struct Counted {
        end: u64,
        reads: Cell<u32>,
    }

    impl Memory for Counted {
        fn read(&self, spans: &[Span], buffer: &mut [u8]) -> Result<(), ReadError> {
            self.reads.set(self.reads.get() + 1);
            let addresses = spans
                .iter()
                .flat_map(|span| (0..span.len as u64).map(|index| span.address.0 + index));
            for (byte, address) in buffer.iter_mut().zip(addresses) {
                if address >= self.end {
                    return Err(ReadError::Unmapped);
                }
                *byte = (address % 251) as u8;
            }
            Ok(())
        }
    }

    #[test]
    fn what_lies_together_is_read_once() {
        let memory = Counted { end: (4 * LINE + PAGE) as u64, reads: Cell::new(0) };
        let mut lines = Lines::default();
        let cache = PageCache::new(&memory, &mut lines);
        let read = |address: u64, len: usize| {
            let mut bytes = vec![0; len];
            cache.read(&[Span { address: Address(address), len }], &mut bytes).map(|()| bytes)
        };
        for address in 0..64 {
            assert_eq!(read(address, 1).unwrap(), [(address % 251) as u8]);
        }
        assert_eq!(memory.reads.get(), 1);
        let across = read(LINE as u64 - 3, 2 * LINE).unwrap();
        assert!(across.iter().zip(LINE as u64 - 3..).all(|(byte, at)| *byte == (at % 251) as u8));
        assert_eq!(memory.reads.get(), 2, "the two that follow together");
        // The last line is cut short: what there is of it can be read, and no more.
        assert_eq!(read(4 * LINE as u64, 8).unwrap().len(), 8);
        let reads = memory.reads.get();
        assert_eq!(read(4 * LINE as u64 + PAGE as u64 - 4, 8), Err(ReadError::Unmapped));
        assert_eq!(read(4 * LINE as u64 + PAGE as u64 - 4, 4).unwrap().len(), 4);
        assert_eq!(memory.reads.get(), reads, "asked once");
        // Another look reads everything again.
        memory.reads.set(0);
        let cache = PageCache::new(&memory, &mut lines);
        cache.read(&[Span { address: Address(0), len: 8 }], &mut [0; 8]).unwrap();
        assert_eq!(memory.reads.get(), 1);
    }

    #[test]
    fn a_walk_through_memory_takes_few_reads() {
        let count = 1 << 8;
        let memory = Counted { end: count * LINE as u64 + 1, reads: Cell::new(0) };
        let mut lines = Lines::default();
        let cache = PageCache::new(&memory, &mut lines);
        for address in (0..count * LINE as u64).step_by(PAGE) {
            let mut bytes = [0; 4];
            cache.read(&[Span { address: Address(address), len: 4 }], &mut bytes).unwrap();
            assert_eq!(bytes, std::array::from_fn(|index| ((address + index as u64) % 251) as u8));
        }
        // 1, 2, 4, 8, and then all that are read at once; the last ones stop at the end.
        let reads = u64::from(memory.reads.get());
        assert!(reads <= count / MOST_AHEAD as u64 + 10, "{reads}");
    }

    #[test]
    fn the_last_address_is_no_trap() {
        let memory = Counted { end: 1 << 40, reads: Cell::new(0) };
        let mut lines = Lines::default();
        let cache = PageCache::new(&memory, &mut lines);
        let span = Span { address: Address(u64::MAX - 3), len: 64 };
        assert!(cache.read(&[span], &mut [0; 64]).is_err());
    }
}
