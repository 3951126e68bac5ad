//! asyncio's own loop: which step it is in, since when, and who waits for its end.
//!
//! It runs its callbacks in one Python function whose local variables say all: the
//! clock's reading at the beginning of the iteration (its start is therefore known and not
//! sampled), the callback's number and its handle.

use std::hash::{BuildHasher, BuildHasherDefault};

use rustc_hash::FxHasher;

use super::timers::Timers;
use super::{Callback, LoopState, place_of};
use crate::model::{Address, Kept, Nanos};
use crate::python::layout::AsyncioLayout;
use crate::python::object::word;
use crate::python::object::{Invalid, Reader};
use crate::python::stack::RawFrame;
use crate::target::{Memory, Span};

/// The places of an iteration's local variables in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopSlots {
    this: usize,
    end_time: usize,
    index: usize,
    handle: usize,
}

impl LoopSlots {
    pub(super) fn among(names: &[String]) -> Option<Self> {
        let place = |wanted| place_of(names, wanted);
        Some(Self {
            this: place("self")?,
            end_time: place("end_time")?,
            // nest_asyncio, which brings an iteration of its own, calls it so.
            index: place("i").or_else(|| place("_"))?,
            handle: place("handle")?,
        })
    }
}

/// Reads the loop of one thread, and remembers what does not change.
#[derive(Debug, Default)]
pub struct AsyncioLoop {
    loop_object: Address,
    epoll: Option<i32>,
    none: Address,
    float_type: Address,
    last: Option<(u64, Callback)>,
    timers: Timers,
}

impl AsyncioLoop {
    /// Reads what the loop does whose iteration runs in `frame`.
    ///
    /// # Errors
    /// When the frame has moved on.
    pub fn read<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        frame: RawFrame,
        slots: LoopSlots,
    ) -> Result<LoopState, Invalid> {
        let places = [slots.this, slots.end_time, slots.handle, slots.index];
        let [this, end_time, handle, raw_index] = reader.locals(frame, places)?;
        let object = |word: u64| Address(word & !reader.layout.tag_mask);
        let (this, end_time, handle) = (object(this), object(end_time), object(handle));
        if this != self.loop_object {
            *self = Self { epoll: epoll_of(reader, this), loop_object: this, ..Self::default() };
        }
        let callback = if end_time.is_null() || self.is_none(reader, handle)? {
            None
        } else {
            Some(self.callback(reader, end_time, handle, raw_index)?)
        };
        Ok(LoopState { epoll: self.epoll, callback })
    }

    /// What the loop would do if its step were over.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn kept<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
        now: Nanos,
    ) -> Result<Kept, Invalid> {
        let queue = |name| reader.attribute(self.loop_object, name);
        let (ready, scheduled) = (queue("_ready")?, queue("_scheduled")?);
        let size = |queue: Address| reader.word(queue.offset(reader.layout.at.object.size));
        let overdue = match scheduled {
            Some(scheduled) => Some(self.timers.overdue(reader, layout, scheduled, now)?),
            None => None,
        };
        let ready = ready.map(size).transpose()?.unwrap_or(0);
        Ok(Kept { ready: u32::try_from(ready).unwrap_or(u32::MAX), overdue })
    }

    fn callback<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        end_time: Address,
        handle: Address,
        raw_index: u64,
    ) -> Result<Callback, Invalid> {
        let seconds = self.float(reader, end_time)?;
        let hasher = BuildHasherDefault::<FxHasher>::default();
        let key = hasher.hash_one((seconds.to_bits(), handle, raw_index));
        if let Some((_, last)) = self.last.filter(|(last, _)| *last == key) {
            return Ok(last);
        }
        let callback = Callback {
            key,
            iteration_started: Nanos((seconds * 1e9) as u64),
            began_later: true,
            first: small_integer(reader, raw_index) == Some(0),
        };
        self.last = Some((key, callback));
        Ok(callback)
    }

    /// Whether a handle is missing or `None`. The address of `None` is learnt from the first one met.
    fn is_none<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        handle: Address,
    ) -> Result<bool, Invalid> {
        if handle.is_null() || handle == self.none {
            return Ok(true);
        }
        if self.none.is_null() && reader.type_name_of(handle)? == "NoneType" {
            self.none = handle;
            return Ok(true);
        }
        Ok(false)
    }

    /// As [`Reader::float`], in one read: this is asked at every sample.
    fn float<M: Memory>(&mut self, reader: Reader<'_, M>, object: Address) -> Result<f64, Invalid> {
        let at = &reader.layout.at.object;
        // The value follows the object's head, whose last word is the type.
        let mut bytes = [0; 16];
        reader.memory.read(&[Span { address: object.offset(at.r#type), len: 16 }], &mut bytes)?;
        let [r#type, value] = [0, 8].map(|from| word(&bytes, from).unwrap_or(0));
        if Address(r#type) != self.float_type {
            if reader.type_name(Address(r#type))? != "float" {
                return Err(Invalid::Not("float"));
            }
            self.float_type = Address(r#type);
        }
        Ok(f64::from_bits(value))
    }
}

/// The number of the loop's own epoll instance: `loop._selector._selector`.
fn epoll_of<M: Memory>(reader: Reader<'_, M>, event_loop: Address) -> Option<i32> {
    let selector = reader.attribute(event_loop, "_selector").ok()??;
    let epoll = reader.attribute(selector, "_selector").ok()??;
    if reader.type_name_of(epoll).ok()? != "select.epoll" {
        return None;
    }
    // `pyEpoll_Object`: the descriptor follows the object's head.
    reader.int32(epoll.offset(reader.layout.at.object.r#type + 8)).ok()
}

/// A local variable that is a small integer: an object, or tagged in the word itself (3.15).
fn small_integer<M: Memory>(reader: Reader<'_, M>, word: u64) -> Option<i64> {
    let mask = reader.layout.tag_mask;
    if mask == 3 && word & mask == mask {
        return Some(word as i64 >> 2);
    }
    reader.integer(Address(word & !mask)).ok()
}
