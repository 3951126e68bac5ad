//! The native id of a thread, where a thread state does not have it (3.8–3.10).
//!
//! A thread state has `pthread_self()`, which in glibc is the address of `struct pthread`; that
//! holds the native id at an offset that depends on glibc's build. The offset is found, not
//! assumed: it is the place that in every thread's structure holds the id of an existing thread.

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
    /// The native ids of the threads with these `idents`; 0 where it cannot be told.
    pub(super) fn resolve(
        &mut self,
        memory: &impl Memory,
        idents: &[u64],
        tids: &[Tid],
    ) -> Vec<Tid> {
        if self.0.is_none() {
            self.0 = Self::find(memory, idents, tids);
        }
        let offset = self.0;
        let tid = |ident: &u64| {
            let mut bytes = [0; 4];
            let span = Span { address: Address(*ident).offset(offset? as u64), len: 4 };
            memory.read(&[span], &mut bytes).ok()?;
            Some(Tid::from_ne_bytes(bytes))
        };
        idents.iter().map(|ident| tid(ident).unwrap_or(0)).collect()
    }

    fn find(memory: &impl Memory, idents: &[u64], tids: &[Tid]) -> Option<usize> {
        let mut candidates: Vec<usize> = (0..SEARCHED).step_by(4).collect();
        let mut bytes = vec![0; SEARCHED];
        let mut seen = false;
        for ident in idents {
            let span = Span { address: Address(*ident), len: SEARCHED };
            if memory.read(&[span], &mut bytes).is_err() {
                continue;
            }
            seen = true;
            candidates.retain(|offset| {
                bytes
                    .get(*offset..)
                    .and_then(|bytes| bytes.first_chunk::<4>())
                    .is_some_and(|bytes| tids.contains(&Tid::from_ne_bytes(*bytes)))
            });
        }
        let best = candidates.iter().find(|offset| **offset == USUAL).or(candidates.first());
        best.copied().filter(|_| seen)
    }
}
