//! The recording file: a magic, the format's version, and frames that each hold one message.
//!
//! ```text
//! file  = "PYCONC\0" version:u8 frame*
//! frame = length:u32le kind:u8 crc:u32le payload[length]
//! ```
//!
//! The payload is zstd of postcard; the CRC-32 is that of the kind and the payload. The first
//! frame is the [`Meta`], then come [`Block`]s, about one a second, each after what was
//! seen of locks, of tasks and of the target's surroundings during it, if anything; then the [`End`]. A file that was cut is whole up to its last whole
//! frame.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::block::Block;
use super::meta::Meta;

/// The first bytes of a recording.
pub(super) const MAGIC: &[u8; 7] = b"PYCONC\0";
/// The format that is written.
pub(super) const VERSION: u8 = 7;
/// The most bytes of a payload.
pub(super) const MAX_PAYLOAD: usize = 64 << 20;
/// The most bytes that a payload may decompress to.
pub(super) const MAX_MESSAGE: usize = 256 << 20;
/// zstd's own default: at a block a second nothing is gained by less.
const LEVEL: i32 = 3;

/// The kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Meta = b'M' as isize,
    Block = b'B' as isize,
    Waits = b'W' as isize,
    Tasks = b'T' as isize,
    Surroundings = b'S' as isize,
    End = b'E' as isize,
}

impl Kind {
    pub(super) const fn byte(self) -> u8 {
        self as u8
    }

    pub(super) fn of(byte: u8) -> Option<Self> {
        [Self::Meta, Self::Block, Self::Waits, Self::Tasks, Self::Surroundings, Self::End]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

/// The last message: the recording was brought to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    /// The number of blocks before it.
    pub(super) blocks: u64,
}

/// The checksum of a frame.
pub(super) fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize()
}

/// Whether a file that begins with `first` (seven bytes or more) is a recording.
#[must_use]
pub fn is_recording(first: &[u8]) -> bool {
    first.starts_with(MAGIC)
}

/// Writes a recording, block by block.
pub struct RecordingWriter<W: Write> {
    writer: W,
    compressor: zstd::bulk::Compressor<'static>,
    blocks: u64,
    finished: bool,
}

impl<W: Write> RecordingWriter<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(writer: W, meta: &Meta) -> io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(LEVEL)?;
        let mut recording = Self { writer, compressor, blocks: 0, finished: false };
        recording.writer.write_all(MAGIC)?;
        recording.writer.write_all(&[VERSION])?;
        recording.write(Kind::Meta, meta)?;
        Ok(recording)
    }

    /// Adds a block and hands it to the system: it outlives this process.
    ///
    /// # Errors
    /// When it cannot be written. What was written before stays readable; nothing can be added.
    pub fn append(&mut self, block: &Block) -> io::Result<()> {
        if !block.waits.is_empty() {
            self.write(Kind::Waits, &block.waits)?;
        }
        if !block.looks.is_empty() {
            self.write(Kind::Tasks, &block.looks)?;
        }
        if let Some(surroundings) = &block.surroundings {
            self.write(Kind::Surroundings, surroundings)?;
        }
        self.write(Kind::Block, block)?;
        self.blocks += 1;
        Ok(())
    }

    /// Says that the recording is complete. Does nothing the second time.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.finished {
            return Ok(());
        }
        self.write(Kind::End, &End { blocks: self.blocks })?;
        self.finished = true;
        Ok(())
    }

    fn write(&mut self, kind: Kind, message: &impl Serialize) -> io::Result<()> {
        let message = postcard::to_stdvec(message).map_err(io::Error::other)?;
        let payload = self.compressor.compress(&message)?;
        if message.len() > MAX_MESSAGE || payload.len() > MAX_PAYLOAD {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a second of samples is too large for a recording; lower the rate",
            ));
        }
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let mut frame = Vec::with_capacity(payload.len() + 9);
        frame.extend_from_slice(&length.to_le_bytes());
        frame.push(kind.byte());
        frame.extend_from_slice(&checksum(kind.byte(), &payload).to_le_bytes());
        frame.extend_from_slice(&payload);
        self.writer.write_all(&frame)?;
        self.writer.flush()
    }
}
