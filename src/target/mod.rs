//! The process as the kernel shows it. Invariant: knows no Python; the only place for `unsafe` and for `cfg(target_os)`.

mod memory;

pub use self::memory::{LiveMemory, Memory, ReadError, Span};
