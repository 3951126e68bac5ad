//! One door to the target's memory.

use std::io::IoSliceMut;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd;

use crate::model::{Address, Pid};

use super::recorded::{RecordedMemory, Recorder};

/// A piece of the target's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub address: Address,
    /// Its length in bytes.
    pub len: usize,
}

/// Why memory could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A part of what was asked for is not mapped.
    #[error("address not mapped")]
    Unmapped,
    /// The process has ended.
    #[error("the process has ended")]
    Gone,
    /// The kernel forbids it.
    #[error("reading the memory of the process is not permitted")]
    Denied,
}

/// Reads the memory of a process, live or recorded.
pub trait Memory {
    /// Fills `buffer` with the bytes of all `spans`, one after the other, in that order.
    ///
    /// The spans' lengths must add up to the buffer's. On an error the buffer's content is
    /// unspecified. A live reader takes all spans in one system call of the kernel (as long as
    /// there are at most [`LiveMemory::MOST_SPANS`] of them), which is as near to one moment as a
    /// running process allows.
    ///
    /// # Errors
    /// When any byte could not be read.
    fn read(&self, spans: &[Span], buffer: &mut [u8]) -> Result<(), ReadError>;
}

/// The memory of a running process, by `process_vm_readv`: the target is not stopped, and nothing
/// can be written.
#[derive(Debug, Clone, Copy)]
pub struct LiveMemory {
    pid: unistd::Pid,
}

impl LiveMemory {
    /// The most spans that one system call takes (`IOV_MAX`).
    pub const MOST_SPANS: usize = 1024;

    /// How many spans are handed to the kernel without taking memory for it.
    const ON_STACK: usize = 16;

    /// The memory of process `pid`.
    #[must_use]
    pub fn new(pid: Pid) -> Self {
        Self { pid: unistd::Pid::from_raw(pid) }
    }

    fn read_vectored(&self, spans: &[RemoteIoVec], buffer: &mut [u8]) -> Result<(), ReadError> {
        let wanted = buffer.len();
        match process_vm_readv(self.pid, &mut [IoSliceMut::new(buffer)], spans) {
            Ok(read) if read == wanted => Ok(()),
            Ok(_) | Err(Errno::EFAULT | Errno::EINVAL | Errno::EIO) => Err(ReadError::Unmapped),
            Err(Errno::EPERM | Errno::EACCES) => Err(ReadError::Denied),
            Err(_) => Err(ReadError::Gone),
        }
    }
}

impl Memory for LiveMemory {
    fn read(&self, spans: &[Span], buffer: &mut [u8]) -> Result<(), ReadError> {
        let remote = |span: &Span| RemoteIoVec { base: span.address.0 as usize, len: span.len };
        if spans.len() <= Self::ON_STACK {
            let mut pieces = [RemoteIoVec { base: 0, len: 0 }; Self::ON_STACK];
            for (piece, span) in pieces.iter_mut().zip(spans) {
                *piece = remote(span);
            }
            return self.read_vectored(&pieces[..spans.len()], buffer);
        }
        let mut rest = buffer;
        for chunk in spans.chunks(Self::MOST_SPANS) {
            let pieces: Vec<_> = chunk.iter().map(remote).collect();
            let len: usize = chunk.iter().map(|span| span.len).sum();
            let (head, tail) = rest.split_at_mut_checked(len).ok_or(ReadError::Unmapped)?;
            self.read_vectored(&pieces, head)?;
            rest = tail;
        }
        Ok(())
    }
}

/// The memory of a process, whichever kind of process it is.
///
/// A type and not a parameter of everything above: what tells the kinds apart costs a live reader
/// one branch beside a system call.
#[derive(Debug, Clone)]
pub enum ProcessMemory {
    /// A running process's.
    Live(LiveMemory),
    /// An image's.
    Recorded(Arc<RecordedMemory>),
    /// That of a process of which an image is being made.
    Recording(Arc<Recorder>),
}

impl From<Arc<RecordedMemory>> for ProcessMemory {
    fn from(memory: Arc<RecordedMemory>) -> Self {
        Self::Recorded(memory)
    }
}

impl From<Arc<Recorder>> for ProcessMemory {
    fn from(memory: Arc<Recorder>) -> Self {
        Self::Recording(memory)
    }
}

impl Memory for ProcessMemory {
    #[inline]
    fn read(&self, spans: &[Span], buffer: &mut [u8]) -> Result<(), ReadError> {
        match self {
            Self::Live(memory) => memory.read(spans, buffer),
            Self::Recorded(memory) => memory.read(spans, buffer),
            Self::Recording(memory) => memory.read(spans, buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LiveMemory, Memory, ReadError, Span};
    use crate::model::{Address, Pid};

    fn span(bytes: &[u8]) -> Span {
        Span { address: Address(bytes.as_ptr() as u64), len: bytes.len() }
    }

    #[test]
    fn reads_many_spans_in_order_and_refuses_what_is_not_mapped() {
        let memory = LiveMemory::new(std::process::id() as Pid);
        let text = b"abcdefgh";
        let spans: Vec<_> = text.chunks(1).rev().map(span).cycle().take(3000).collect();
        let mut buffer = vec![0; spans.len()];
        memory.read(&spans, &mut buffer).unwrap();
        assert_eq!(&buffer[..9], b"hgfedcbah");
        let nowhere = Span { address: Address(8), len: 1 };
        assert_eq!(memory.read(&[span(text), nowhere], &mut [0; 9]), Err(ReadError::Unmapped));
    }
}
