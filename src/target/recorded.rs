//! Memory that was copied from a process, and the copying.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::Address;

use super::memory::{LiveMemory, Memory, ReadError, Span};

/// Pieces of memory by their first address.
pub type Pieces = BTreeMap<u64, Vec<u8>>;

/// The memory of a process, as far as it was copied.
///
/// A page of which nothing was copied is not mapped. The rest of the others is zeros: nobody looked
/// at it, but a reader that takes two places and what lies between in one span must not fail.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RecordedMemory {
    pieces: Pieces,
    /// Spans and bytes that were read, by which tests bound the reader's steps.
    #[serde(skip)]
    reads: AtomicU64,
    #[serde(skip)]
    bytes: AtomicU64,
}

impl RecordedMemory {
    /// Memory that consists of `pieces`. Where two of them overlap, the later one counts.
    #[must_use]
    pub fn new(pieces: Pieces) -> Self {
        Self { pieces, ..Self::default() }
    }

    /// What it consists of.
    #[must_use]
    pub fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// How many spans have been read so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// How many bytes have been read so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Fills `buffer` from `address` on; `None` at the first byte that is not mapped.
    fn copy(&self, address: u64, mut buffer: &mut [u8]) -> Option<()> {
        let mut next = address;
        while !buffer.is_empty() {
            let copied = self.pieces.range(..=next).next_back().and_then(|(start, bytes)| {
                let bytes = bytes.get(usize::try_from(next - start).ok()?..)?;
                (!bytes.is_empty()).then_some(bytes)
            });
            let len = copied.map_or_else(|| self.gap(next), |bytes| Some(bytes.len()))?;
            let (head, tail) = buffer.split_at_mut(len.min(buffer.len()));
            match copied.and_then(|bytes| bytes.get(..head.len())) {
                Some(bytes) => head.copy_from_slice(bytes),
                None => head.fill(0),
            }
            next = next.checked_add(head.len() as u64)?;
            buffer = tail;
        }
        Some(())
    }

    /// How far it is from an address that was not copied to the next that was, or to the end of
    /// its page; `None` when nothing of the page was copied.
    fn gap(&self, address: u64) -> Option<usize> {
        let page = address / PAGE * PAGE;
        let end = page.checked_add(PAGE)?;
        let before = self.pieces.range(..address).next_back();
        let before =
            before.is_some_and(|(start, bytes)| start.saturating_add(bytes.len() as u64) > page);
        let after = self.pieces.range(address + 1..end).next().map(|(start, _)| *start);
        (before || after.is_some()).then_some((after.unwrap_or(end) - address) as usize)
    }
}

impl Memory for RecordedMemory {
    fn read(&self, spans: &[Span], buffer: &mut [u8]) -> Result<(), ReadError> {
        self.reads.fetch_add(spans.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        let mut rest = buffer;
        for span in spans {
            let (head, tail) = rest.split_at_mut_checked(span.len).ok_or(ReadError::Unmapped)?;
            self.copy(span.address.0, head).ok_or(ReadError::Unmapped)?;
            rest = tail;
        }
        Ok(())
    }
}

/// The memory of a process that stands still, which keeps a copy of what is read.
///
/// What lies around it is kept too: a later reader may look a little further than this one.
#[derive(Debug)]
pub struct Recorder {
    live: LiveMemory,
    pieces: Mutex<Pieces>,
}

/// The size of a page.
const PAGE: u64 = 4096;

/// The size of the pieces that are kept.
const PIECE: u64 = 512;

/// The most pieces that are kept.
const MOST_PIECES: usize = 1 << 14;

impl Recorder {
    /// Keeps what is read of `live`.
    #[must_use]
    pub fn new(live: LiveMemory) -> Self {
        Self { live, pieces: Mutex::default() }
    }

    /// What was read up to now, in as few pieces as can be.
    #[must_use]
    pub fn recorded(&self) -> Pieces {
        let mut joined = Pieces::new();
        for (&start, bytes) in &*self.pieces.lock().unwrap_or_else(PoisonError::into_inner) {
            match joined.last_entry() {
                Some(mut last) if last.key() + last.get().len() as u64 == start => {
                    last.get_mut().extend(bytes);
                }
                _ => drop(joined.insert(start, bytes.clone())),
            }
        }
        joined
    }

    fn keep(&self, span: &Span) {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let end = span.address.0.saturating_add(span.len as u64);
        for start in (span.address.0 / PIECE * PIECE..end).step_by(PIECE as usize) {
            if pieces.len() >= MOST_PIECES || pieces.contains_key(&start) {
                continue;
            }
            let mut piece = vec![0; PIECE as usize];
            let whole = Span { address: Address(start), len: piece.len() };
            if self.live.read(&[whole], &mut piece).is_ok() {
                pieces.insert(start, piece);
            }
        }
    }
}

impl Memory for Recorder {
    fn read(&self, spans: &[Span], buffer: &mut [u8]) -> Result<(), ReadError> {
        self.live.read(spans, buffer)?;
        spans.iter().for_each(|span| self.keep(span));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{LiveMemory, Memory, ReadError, RecordedMemory, Recorder, Span};
    use crate::model::{Address, Pid};

    #[test]
    fn reads_across_pieces_and_not_beyond() {
        let pieces = [(4096, vec![1, 2]), (4098, vec![3]), (4100, vec![4]), (8192, vec![5])];
        let memory = RecordedMemory::new(pieces.into());
        let read = |address, len| {
            let mut buffer = vec![0; len];
            memory.read(&[Span { address: Address(address), len }], &mut buffer).map(|()| buffer)
        };
        assert_eq!(read(4096, 3), Ok(vec![1, 2, 3]));
        assert_eq!(read(4097, 6), Ok(vec![2, 3, 0, 4, 0, 0]));
        assert_eq!(read(8190, 4), Ok(vec![0, 0, 5, 0]));
        for (address, len) in [(4095, 2), (8192, 4097), (u64::MAX, 2)] {
            assert_eq!(read(address, len), Err(ReadError::Unmapped), "{address}");
        }
        assert_eq!((memory.reads(), memory.bytes()), (6, 13 + 2 + 4097 + 2));
    }

    #[test]
    fn what_was_recorded_reads_the_same() {
        let text = vec![7; 10_000];
        let span = Span { address: Address(text.as_ptr() as u64), len: text.len() };
        let recorder = Recorder::new(LiveMemory::new(std::process::id() as Pid));
        recorder.read(&[span], &mut vec![0; text.len()]).unwrap();
        let mut copy = vec![0; text.len()];
        RecordedMemory::new(recorder.recorded()).read(&[span], &mut copy).unwrap();
        assert_eq!(copy, text);
    }
}
