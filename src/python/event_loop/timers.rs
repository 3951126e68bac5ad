//! The timers of asyncio's loop: a heap by the time at which each fires.

use crate::model::{Address, Nanos};
use crate::python::layout::AsyncioLayout;
use crate::python::object::{Invalid, Reader};
use crate::target::Memory;

/// Timers that are looked at; as many overdue ones tell enough.
const MOST: u64 = 1 << 12;

/// Where a timer has its slots, learnt from the type of the first one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timers {
    r#type: Address,
    when: u64,
    cancelled: u64,
}

impl Timers {
    /// How many timers of the heap `list` should have fired by `now`, cancelled ones left out.
    pub(super) fn overdue<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
        list: Address,
        now: Nanos,
    ) -> Result<u32, Invalid> {
        let count = reader.word(list.offset(reader.layout.at.object.size))?.min(MOST);
        if count == 0 {
            return Ok(0);
        }
        let items = reader.words(reader.pointer(list.offset(layout.at.list.items))?, count)?;
        let mut overdue = 0;
        // Nobody fires before its parent, at half its place.
        let mut due = vec![0];
        while let Some(place) = due.pop() {
            let Some(timer) = items.get(place).map(|item| Address(*item)) else { continue };
            let Some(cancelled) = self.look(reader, layout, timer, now)? else { continue };
            overdue += u32::from(!cancelled);
            due.extend([2 * place + 1, 2 * place + 2]);
        }
        Ok(overdue)
    }

    /// Whether a timer that should have fired by `now` was cancelled; `None` when it is not due.
    fn look<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
        timer: Address,
        now: Nanos,
    ) -> Result<Option<bool>, Invalid> {
        let r#type = reader.type_of(timer)?;
        if r#type != self.r#type {
            *self = Self::of(reader, layout, r#type)?;
        }
        let when = reader.pointer(timer.offset(self.when))?;
        // False of what is no number, too.
        let is_due = reader.float(when)? <= now.seconds();
        if !is_due {
            return Ok(None);
        }
        // `True` and `False` are integers.
        let cancelled = reader.pointer(timer.offset(self.cancelled))?;
        Ok(Some(reader.integer(cancelled)? != 0))
    }

    fn of<M: Memory>(
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
        r#type: Address,
    ) -> Result<Self, Invalid> {
        let slot = |name| reader.slot(layout, r#type, name);
        Ok(Self { r#type, when: slot("_when")?, cancelled: slot("_cancelled")? })
    }
}
