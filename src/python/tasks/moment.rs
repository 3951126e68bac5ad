//! What is shared while the tasks of one moment are read: the memory, and what was learnt from it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::codes::{Codes, KnownCode};
use super::kinds::{Kind, TypeInfo, Types};
use super::suspended::Suspended;
use super::told::Told;
use crate::model::{Address, FrameId, Nanos, Tables};
use crate::python::layout::AsyncioLayout;
use crate::python::object::{Invalid, Reader};
use crate::target::{Memory, PageCache};

/// A clock further in the future than this is no limit (`float("inf")`).
const LONGEST: f64 = 1e9;
/// Links and callbacks that are followed in one snapshot, whatever a hostile target holds; a task
/// has mostly fewer than ten.
const MOST_STEPS: u64 = 1 << 24;
/// Words of a timer that are looked at.
const TIMER_WORDS: u64 = 32;

/// One moment's memory, and the types and code objects that were met in it.
pub(super) struct Moment<'a, M> {
    pub reader: Reader<'a, PageCache<'a, M>>,
    pub layout: &'a AsyncioLayout,
    pub tables: &'a mut Tables,
    pub types: Types,
    pub codes: Codes,
    /// Whom a callback tells, by its address: siblings share one.
    pub told: FxHashMap<Address, Arc<[Told]>>,
    /// The namespaces of modules whose queues were looked for, and whether there are any.
    pub modules: FxHashMap<Address, bool>,
    /// Where a timer has its time, once one was met.
    timer_slot: Option<u64>,
    /// Steps that may still be taken.
    budget: u64,
}

/// A frame of an await chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub at: Suspended,
    pub frame: FrameId,
}

impl<'a, M: Memory> Moment<'a, M> {
    pub(super) fn new(
        reader: Reader<'a, PageCache<'a, M>>,
        layout: &'a AsyncioLayout,
        tables: &'a mut Tables,
    ) -> Self {
        let (types, codes) = (Types::default(), Codes::default());
        Self {
            reader,
            layout,
            tables,
            types,
            codes,
            told: FxHashMap::default(),
            modules: FxHashMap::default(),
            timer_slot: None,
            budget: MOST_STEPS,
        }
    }

    /// Takes steps out of the budget.
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Invalid> {
        self.budget = self.budget.checked_sub(steps).ok_or(Invalid::Not("amount of work"))?;
        Ok(())
    }

    /// The bytes of an object's head.
    pub(super) fn head(&self) -> u64 {
        self.reader.layout.at.object.r#type + 8
    }

    pub(super) fn kind(&mut self, object: Address) -> Result<Kind, Invalid> {
        Ok(self.types.of(self.reader, self.layout, object)?.kind)
    }

    pub(super) fn type_info(&mut self, object: Address) -> Result<Arc<TypeInfo>, Invalid> {
        self.types.of(self.reader, self.layout, object).cloned()
    }

    pub(super) fn code(&mut self, address: Address) -> Result<&mut KnownCode, Invalid> {
        self.codes.get(self.reader, self.tables, address)
    }

    /// The frame of an instruction in a code object.
    pub(super) fn frame(&mut self, code: Address, instruction: u64) -> Result<FrameId, Invalid> {
        let code = self.codes.get(self.reader, self.tables, code)?;
        Ok(code.frame(self.tables, instruction))
    }

    /// A local variable of a frame, by its name.
    pub(super) fn local(&mut self, link: &Link, name: &str) -> Option<Address> {
        let reader = self.reader;
        let names = self.code(link.at.code).ok()?.locals(reader, link.at.code).ok()?;
        let slot = names.iter().position(|known| known == name)? as u64;
        let place = reader.layout.at.frame.localsplus + 8 * slot;
        let word = reader.word(link.at.frame.offset(place)).ok()? & !reader.layout.tag_mask;
        let object = Address(word);
        if object.is_null() {
            return None;
        }
        match self.kind(object).ok()? {
            // A variable that an inner function uses too.
            Kind::Cell => reader.pointer(object.offset(self.head())).ok(),
            _ => Some(object),
        }
    }

    /// The value of a `float` that is a reading of a loop's clock; `None` for anything else.
    pub(super) fn time(&mut self, object: Address) -> Option<Nanos> {
        if self.kind(object).ok()? != Kind::Float {
            return None;
        }
        let seconds = f64::from_bits(self.reader.word(object.offset(self.head())).ok()?);
        (0.0..LONGEST).contains(&seconds).then_some(Nanos((seconds * 1e9) as u64))
    }

    /// When an `asyncio.TimerHandle` fires. Its attributes are slots, of which this is the only
    /// float: looked for once, and remembered.
    pub(super) fn timer(&mut self, handle: Address) -> Option<Nanos> {
        let info = self.type_info(handle).ok()?;
        if !info.names.iter().any(|name| &**name == "TimerHandle") {
            return None;
        }
        if let Some(slot) = self.timer_slot {
            let time = self.reader.pointer(handle.offset(slot)).ok()?;
            if let Some(time) = self.time(time) {
                return Some(time);
            }
        }
        let head = self.head();
        let mut slots = (head..info.size.min(head + 8 * TIMER_WORDS)).step_by(8);
        slots.find_map(|slot| {
            let time = self.reader.pointer(handle.offset(slot)).ok()?;
            let time = self.time(time)?;
            self.timer_slot = Some(slot);
            Some(time)
        })
    }
}
