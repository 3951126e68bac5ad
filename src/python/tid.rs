//! The native id of a thread, where a thread state does not have it (3.8–3.10).
//!
//! A thread state has `pthread_self()`, which in glibc is the address of `struct pthread`; that
//! holds the native id at an offset that depends on glibc's build. The offset is found, not
//! assumed: it is the place that in every thread's structure holds the id of an existing thread.

use super::interpreter::PythonThread;
use crate::model::{Address, Tid};
use crate::target::{Memory, Span};

/// How far into `struct pthread` the id is looked for.
const SEARCHED: usize = 0x600;
/// Where glibc has had it on 64-bit machines for many years; breaks a tie.
const USUAL: usize = 720;

/// The offset of the native id in `struct pthread`, once it is found.
#[derive(Debug, Default)]
pub(super) struct PthreadTid(Option<usize>);

impl PthreadTid {
    /// Sets the `tid` of all `threads`; 0 where it cannot be told.
    pub(super) fn resolve(&mut self, memory: &impl Memory, threads: &mut [PythonThread], tids: &[Tid]) {
        if self.0.is_none() {
            self.0 = Self::find(memory, threads, tids);
        }
        let Some(offset) = self.0 else { return };
        for thread in threads {
            let mut bytes = [0; 4];
            let span = Span { address: Address(thread.ident).offset(offset as u64), len: 4 };
            if memory.read(&[span], &mut bytes).is_ok() {
                thread.tid = Tid::from_ne_bytes(bytes);
            }
        }
    }

    fn find(memory: &impl Memory, threads: &[PythonThread], tids: &[Tid]) -> Option<usize> {
        let mut candidates: Vec<usize> = (0..SEARCHED).step_by(4).collect();
        let mut bytes = vec![0; SEARCHED];
        for thread in threads {
            let span = Span { address: Address(thread.ident), len: SEARCHED };
            if memory.read(&[span], &mut bytes).is_err() {
                continue;
            }
            candidates.retain(|offset| {
                bytes
                    .get(*offset..)
                    .and_then(|bytes| bytes.first_chunk::<4>())
                    .is_some_and(|bytes| tids.contains(&Tid::from_ne_bytes(*bytes)))
            });
        }
        candidates.iter().find(|offset| **offset == USUAL).or(candidates.first()).copied()
    }
}
