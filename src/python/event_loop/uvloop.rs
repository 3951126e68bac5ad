//! uvloop's loop, which is Cython around libuv's `uv_loop_t`.
//!
//! It has no Python frame. But libuv's loop points back to uvloop's, which tells where it is;
//! it keeps the number of its epoll instance, the time at which the iteration began in
//! milliseconds, and the number of iterations. Callbacks come out of a deque, whose left end tells one from the next.

use std::hash::{BuildHasher, BuildHasherDefault};

use rustc_hash::FxHasher;

use super::{Callback, LoopState};
use crate::model::{Address, Kept, Nanos};
use crate::python::layout::AsyncioLayout;
use crate::python::object::{Invalid, Reader};
use crate::target::Memory;

/// Words of uvloop's loop in which what matters is looked for; a large buffer comes behind.
const LOOP_WORDS: u64 = 64;
/// Words of `uv_loop_t` in which the time is looked for.
const UV_WORDS: u64 = 128;
/// `uv_loop_t.backend_fd` (libuv 1.x on 64-bit Unix).
const BACKEND_FD: u64 = 64;
/// `uv_loop_t.internal_fields`, and `loop_metrics.metrics.loop_count` in what it leads to.
const INTERNAL_FIELDS: u64 = 40;
const LOOP_COUNT: u64 = 8;
/// The word of `uv_loop_t.time` on Linux in the libuv 1.4x that uvloop 0.17 and later carry.
const TIME_WORD: usize = 68;
/// How long an iteration may have lasted.
const LONGEST: u64 = 24 * 3600 * 1000;
/// Base classes that are looked at.
const MOST_BASES: usize = 16;
/// Where a deque keeps its left end, behind its size: block and index.
const LEFT_BLOCK: u64 = 8;
const LEFT_INDEX: u64 = 24;

/// Reads uvloop's loop.
#[derive(Debug, Clone, Copy)]
pub struct UvLoop {
    address: Address,
    uv: Address,
    epoll: i32,
    /// Where `uv` has its time, when that was found.
    time: Option<u64>,
    /// Callbacks that are ready.
    ready: Address,
}

impl UvLoop {
    /// The loop at `address`, if it is uvloop's; `now` is what `CLOCK_MONOTONIC` says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find<M: Memory>(
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
        address: Address,
        now: Nanos,
    ) -> Result<Option<Self>, Invalid> {
        let mut r#type = reader.type_of(address)?;
        let mut bases = 0;
        while reader.type_name(r#type)? != "uvloop.loop.Loop" {
            r#type = reader.pointer(r#type.offset(layout.at.r#type.base))?;
            bases += 1;
            if r#type.is_null() || bases > MOST_BASES {
                return Ok(None);
            }
        }
        let head = reader.layout.at.object.r#type + 8;
        let words = reader.words(address.offset(head), LOOP_WORDS)?;
        let pointers = || {
            let aligned = words.iter().filter(|word| **word != 0 && **word & 7 == 0);
            aligned.map(|word| Address(*word))
        };
        let points_back = |uv: &Address| reader.pointer(*uv).is_ok_and(|it| it == address);
        let is_deque =
            |it: &Address| reader.type_name_of(*it).is_ok_and(|it| it.ends_with("deque"));
        let (Some(uv), Some(ready)) = (pointers().find(points_back), pointers().find(is_deque))
        else {
            return Err(Invalid::Not("uvloop"));
        };
        let time = time_in(&reader.words(uv, UV_WORDS)?, now);
        let epoll = reader.int32(uv.offset(BACKEND_FD))?;
        Ok(Some(Self { address, uv, epoll, time, ready }))
    }

    /// Where it lies.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The number of its epoll instance.
    #[must_use]
    pub const fn epoll(&self) -> i32 {
        self.epoll
    }

    /// What it does; `idle` says that its thread waits in its selector.
    ///
    /// # Errors
    /// When it has moved.
    pub fn read<M: Memory>(&self, reader: Reader<'_, M>, idle: bool) -> Result<LoopState, Invalid> {
        if reader.pointer(self.uv)? != self.address {
            return Err(Invalid::Not("uvloop"));
        }
        let callback = if idle { None } else { Some(self.callback(reader)?) };
        Ok(LoopState { epoll: Some(self.epoll), callback })
    }

    fn callback<M: Memory>(&self, reader: Reader<'_, M>) -> Result<Callback, Invalid> {
        let time = self.time.map(|at| reader.word(self.uv.offset(at))).transpose()?.unwrap_or(0);
        let size = self.ready.offset(reader.layout.at.object.size);
        let left = [LEFT_BLOCK, LEFT_INDEX].map(|at| reader.word(size.offset(at)));
        let [block, index] = left;
        // The program may bring the time up to date in the middle of a step; the count only moves
        // between iterations. Before libuv 1.45 its place holds 0.
        let fields = reader.pointer(self.uv.offset(INTERNAL_FIELDS))?;
        let count = reader.word(fields.offset(LOOP_COUNT)).unwrap_or(0);
        let iteration = if count > 0 { count } else { time };
        let hasher = BuildHasherDefault::<FxHasher>::default();
        Ok(Callback {
            key: hasher.hash_one((iteration, block?, index?)),
            iteration_started: Nanos(time.saturating_mul(Nanos::MILLISECOND.0)),
            began_later: false,
            first: false,
        })
    }

    /// What the loop would do if its step were over. Its timers are libuv's and do not tell.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn kept<M: Memory>(&self, reader: Reader<'_, M>) -> Result<Kept, Invalid> {
        let ready = reader.word(self.ready.offset(reader.layout.at.object.size))?;
        Ok(Kept { ready: u32::try_from(ready).unwrap_or(u32::MAX), overdue: None })
    }
}

/// The offset of the time among the words of a `uv_loop_t`: where it is known to be, or else at the
/// only word that reads as a time of the last day.
fn time_in(words: &[u64], now: Nanos) -> Option<u64> {
    let now = now.0 / Nanos::MILLISECOND.0;
    let is_time = |word: u64| word <= now + 1 && word.saturating_add(LONGEST) > now && word > 0;
    let at = |index: usize| Some(8 * index as u64);
    if words.get(TIME_WORD).is_some_and(|word| is_time(*word)) {
        return at(TIME_WORD);
    }
    // Small numbers are counters, also on a machine that has just been started.
    let mut likely =
        words.iter().enumerate().filter(|(_, word)| is_time(**word) && **word > 10_000);
    match (likely.next(), likely.next()) {
        (Some((index, _)), None) => at(index),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::time_in;
    use crate::model::Nanos;

    #[test]
    fn the_time_is_where_it_is_known_to_be_or_the_only_one() {
        let now = Nanos::from(std::time::Duration::from_secs(500_000));
        let mut words = [0x7f00_0000_1234_u64; 128];
        assert_eq!(time_in(&words, now), None);
        words[70] = 499_999_000;
        assert_eq!(time_in(&words, now), Some(560));
        words[71] = 499_000_000;
        assert_eq!(time_in(&words, now), None, "which of them?");
        words[68] = 499_999_999;
        assert_eq!(time_in(&words, now), Some(544));
    }
}
