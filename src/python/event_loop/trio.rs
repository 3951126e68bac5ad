//! trio's loop: which task it runs, since when, and who waits for its end.
//!
//! A generator runs its tasks, a batch of them after each wait. Its local variables are the clock's
//! reading after that wait, the rest of the batch, and the task that runs, which it deletes when
//! the task's step is over. Meanwhile the function that drives it waits for events.

use std::hash::{BuildHasher, BuildHasherDefault};

use rustc_hash::FxHasher;

use super::{Callback, LoopState, place_of};
use crate::model::{Address, Kept, Nanos};
use crate::python::layout::AsyncioLayout;
use crate::python::object::{Invalid, Reader};
use crate::python::stack::RawFrame;
use crate::target::Memory;

/// The places of the generator's local variables in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrioSlots {
    runner: usize,
    now: usize,
    batch: usize,
    task: usize,
}

impl TrioSlots {
    pub(super) fn among(names: &[String]) -> Option<Self> {
        let place = |wanted| place_of(names, wanted);
        Some(Self {
            runner: place("runner")?,
            now: place("now")?,
            batch: place("batch")?,
            task: place("task")?,
        })
    }
}

/// Reads trio's loop of one thread, and remembers what does not change.
#[derive(Debug, Default)]
pub struct TrioLoop {
    runner: Address,
    /// What its clock is ahead of the machine's, where that could be read.
    offset: Option<f64>,
    batch: Address,
    task: Address,
}

impl TrioLoop {
    /// Reads what the loop does whose tasks are run in `frame`.
    ///
    /// # Errors
    /// When the frame has moved on.
    pub fn read<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        layout: Option<&AsyncioLayout>,
        frame: RawFrame,
        slots: TrioSlots,
    ) -> Result<LoopState, Invalid> {
        let [runner, now, batch, task] = reader
            .locals(frame, [slots.runner, slots.now, slots.batch, slots.task])?
            .map(|word| Address(word & !reader.layout.tag_mask));
        if runner != self.runner {
            let offset = layout.and_then(|layout| clock_offset(reader, layout, runner).ok());
            *self = Self { runner, offset, ..Self::default() };
        }
        (self.batch, self.task) = (batch, task);
        if task.is_null() || now.is_null() {
            return Ok(LoopState::default());
        }
        let seconds = reader.float(now)?;
        let hasher = BuildHasherDefault::<FxHasher>::default();
        // A task has one step in a batch, and each batch its own time.
        let callback = Callback {
            key: hasher.hash_one((seconds.to_bits(), task)),
            iteration_started: self
                .offset
                .map_or(Nanos(0), |offset| Nanos(((seconds - offset) * 1e9) as u64)),
            began_later: true,
            first: false,
        };
        Ok(LoopState { epoll: None, callback: Some(callback) })
    }

    /// The name of the task that [`Self::read`] found.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn task<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
    ) -> Result<String, Invalid> {
        reader.text(reader.field(layout, self.task, "name")?)
    }

    /// How many tasks the loop has, its own among them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tasks<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
    ) -> Result<u32, Invalid> {
        let tasks = reader.field(layout, self.runner, "tasks")?;
        // `PySetObject.used` stands before its mask.
        let used = reader.word(tasks.offset(layout.at.set.mask.wrapping_sub(8)))?;
        u32::try_from(used).map_err(|_| Invalid::Not("set"))
    }

    /// What the loop would do if its step were over.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn kept<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
    ) -> Result<Kept, Invalid> {
        let size = |queue: Address| reader.word(queue.offset(reader.layout.at.object.size));
        let rest = size(self.batch)?;
        let woken = size(reader.field(layout, self.runner, "runq")?)?;
        let ready = u32::try_from(rest.saturating_add(woken)).unwrap_or(u32::MAX);
        Ok(Kept { ready, overdue: None })
    }
}

/// What trio's clock is ahead of `CLOCK_MONOTONIC`: a random time, so that nobody mixes them up. The
/// clocks of tests tell no time of this world.
fn clock_offset<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    runner: Address,
) -> Result<f64, Invalid> {
    let clock = reader.field(layout, runner, "clock")?;
    if reader.type_name_of(clock)? != "SystemClock" {
        return Err(Invalid::Not("trio's system clock"));
    }
    reader.float(reader.field(layout, clock, "offset")?)
}
