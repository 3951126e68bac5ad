//! The GIL: who has it, and how many want it.

use super::layout::AttachState;
use super::object::Reader;
use super::object::word;
use crate::model::Address;
use crate::target::{Memory, Span};

/// The size of glibc's `pthread_cond_t`.
const COND_SIZE: usize = 48;

/// Where `pthread_cond_t` counts its waiters, from bit 3 on (`__wrefs`): up to glibc 2.40, and since.
const WAITER_COUNTS: [usize; 2] = [36, 28];

/// A GIL (`struct _gil_runtime_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gil {
    /// Where it lies.
    pub address: Address,
    pub(super) size: u64,
    pub(super) last_holder: u64,
    pub(super) locked: u64,
    pub(super) cond: u64,
}

impl Gil {
    /// Whether a futex at `address` is one of its condition variables or mutexes.
    ///
    /// The exact word depends on the C library, the range does not.
    #[must_use]
    pub fn contains(self, address: u64) -> bool {
        (self.address.0..self.address.0.saturating_add(self.size)).contains(&address)
    }

    /// Whether a futex at `address` is in the condition variable on which the GIL is waited for,
    /// and not in a mutex or in the one of a forced hand-over.
    #[must_use]
    pub fn is_wait(self, address: u64) -> bool {
        let cond = self.address.offset(self.cond).0;
        (cond..cond.saturating_add(COND_SIZE as u64)).contains(&address)
    }

    /// What must be read to tell the holder.
    pub(super) fn span(self) -> Span {
        Span { address: self.address, len: self.locked as usize + 8 }
    }

    /// Whether `thread` holds it, by the bytes of [`Gil::span`].
    pub(super) fn is_held_by(self, bytes: &[u8], thread: Address) -> bool {
        let locked = word(bytes, self.locked).unwrap_or(0) as u32;
        locked == 1 && word(bytes, self.last_holder) == Some(thread.0)
    }
}

/// Counts the threads that wait for a GIL by its condition variable's own account, which has those
/// too that were woken and have not got it yet.
///
/// Where the account lies depends on the C library; it is found by comparing the candidates with
/// the waiters that the kernel shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct GilWaiters {
    asked: u32,
    wrong: [u32; WAITER_COUNTS.len()],
}

/// Comparisons after which it is known where the account lies.
const ENOUGH: u32 = 16;

impl GilWaiters {
    /// Whether it is known where the account lies. Until then it must be asked whenever a thread
    /// waits: where two threads take turns, the one that waits is never asleep at the samples
    /// at which the account is needed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.asked >= ENOUGH
    }

    /// How many threads wait for `gil`, when the kernel shows `asleep` of them and at most
    /// `awake` more are possible; `None` when the account is not to be trusted.
    pub fn count<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        gil: Gil,
        asleep: usize,
        awake: usize,
    ) -> Option<usize> {
        let cond: [u8; COND_SIZE] = reader.array(gil.address.offset(gil.cond)).ok()?;
        let counts = WAITER_COUNTS.map(|at| {
            let count = cond.get(at..).and_then(|bytes| bytes.first_chunk()).copied();
            count.map_or(0, u32::from_ne_bytes) as usize >> 3
        });
        let plausible = counts.map(|count| (asleep..=asleep + awake).contains(&count));
        if asleep > 0 {
            self.asked += 1;
            for (wrong, plausible) in self.wrong.iter_mut().zip(plausible) {
                *wrong += u32::from(!plausible);
            }
        }
        let best = if self.wrong[1] < self.wrong[0] { 1 } else { 0 };
        let trusted = self.asked > 0 && self.wrong[best] * 2 < self.asked;
        (trusted && plausible[best]).then_some(counts[best])
    }
}

/// Free-threaded: whether a futex is that of a thread parked on its own state, which it is while
/// another one has stopped the world.
///
/// A parked thread's futex lies in a `struct wait_entry` on its stack; the word before it is the
/// address that it is parked on (`Python/parking_lot.c`).
pub fn is_parked_on_state<M: Memory>(reader: Reader<'_, M>, thread: Address, futex: u64) -> bool {
    let AttachState::Field(state) = reader.layout.attach_state else { return false };
    reader.word(Address(futex.wrapping_sub(8))) == Ok(thread.offset(state).0)
}

#[cfg(test)]
mod tests {
    use super::Gil;
    use crate::model::Address;

    const GIL: Gil =
        Gil { address: Address(1000), size: 208, last_holder: 8, locked: 16, cond: 32 };

    #[test]
    fn only_its_own_futexes_are_the_gil() {
        assert!(!GIL.contains(999) && GIL.contains(1000) && GIL.contains(1207));
        assert!(!GIL.contains(1208));
        assert!(!GIL.is_wait(1031) && GIL.is_wait(1032) && GIL.is_wait(1079) && !GIL.is_wait(1080));
    }

    #[test]
    fn the_holder_is_the_last_one_while_it_is_locked() {
        let mut bytes = [0; 24];
        bytes[8..16].copy_from_slice(&77u64.to_ne_bytes());
        assert!(!GIL.is_held_by(&bytes, Address(77)));
        bytes[16] = 1;
        assert!(GIL.is_held_by(&bytes, Address(77)));
        assert!(!GIL.is_held_by(&bytes, Address(78)));
    }
}
