//! What an event loop tells of itself: its kind, its callbacks and its timers.

use super::moment::Moment;
use crate::model::{Address, EventLoopInfo, LoopKind};
use crate::python::object::Invalid;
use crate::target::Memory;

/// Words of a loop of another kind in which its queue is looked for.
const LOOP_WORDS: u64 = 64;

impl<M: Memory> Moment<'_, M> {
    /// What the loop at an address tells of itself.
    pub(super) fn loop_info(&mut self, address: Address) -> Result<EventLoopInfo, Invalid> {
        let reader = self.reader;
        let r#type = self.type_info(address)?;
        let is = |name: &str| r#type.names.iter().any(|known| &**known == name);
        let kind = if is("uvloop.loop.Loop") {
            LoopKind::Uvloop
        } else if is("BaseEventLoop") {
            LoopKind::Asyncio
        } else {
            LoopKind::Other
        };
        let size = |object: Address| reader.word(object.offset(reader.layout.at.object.size)).ok();
        let attribute = |name| reader.attribute(address, name).ok().flatten().and_then(size);
        // `False` and `True` are integers.
        let debug = reader.attribute(address, "_debug").ok().flatten();
        let debug = debug.is_some_and(|it| reader.integer(it).is_ok_and(|it| it != 0));
        let ready = match kind {
            LoopKind::Asyncio => attribute("_ready"),
            // Its only deque.
            _ => {
                let head = self.head();
                let words = reader.words(address.offset(head), LOOP_WORDS).unwrap_or_default();
                let is_deque = |word: &&u64| {
                    **word & 7 == 0
                        && self
                            .type_info(Address(**word))
                            .is_ok_and(|info| info.name() == "collections.deque")
                };
                let queue = words.iter().filter(|word| **word != 0).find(is_deque);
                queue.and_then(|queue| size(Address(*queue)))
            }
        };
        Ok(EventLoopInfo {
            address,
            tid: None,
            kind,
            type_name: r#type.name().into(),
            current: None,
            ready,
            timers: attribute("_scheduled"),
            debug,
        })
    }
}
