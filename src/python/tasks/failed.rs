//! Which of the failed tasks, whose exception nobody has asked for yet, somebody is about to ask.

use rustc_hash::FxHashMap;

use super::chain::Chain;
use super::codes::Role;
use super::kinds::Kind;
use super::moment::Moment;
use crate::model::Address;
use crate::python::object::Invalid;
use crate::target::Memory;

/// Local variables of one frame, and elements of one collection, that are looked at.
const MOST_LOCALS: u64 = 256;
const MOST_ELEMENTS: u64 = 1 << 12;

/// What becomes of a failed task's exception.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Prospect {
    /// A `gather` or a `wait` of asyncio's has the task and will hand the exception on.
    pub certain: bool,
    /// A function that is not over has the task in a variable, and may await it yet.
    pub possible: bool,
}

impl<M: Memory> Moment<'_, M> {
    /// Takes down which of the `failed` tasks the chain of a task that waits has at hand.
    pub(super) fn find_failed(
        &mut self,
        chain: &Chain,
        waits_for: Address,
        failed: &mut FxHashMap<Address, Prospect>,
    ) {
        for future in [Some(waits_for), chain.leaf].into_iter().flatten() {
            let gathers = !future.is_null() && self.kind(future) == Ok(Kind::Gathering);
            let children =
                gathers.then(|| self.reader.attribute(future, "_children").ok()?).flatten();
            for child in children.map(|list| self.elements(list)).into_iter().flatten() {
                failed.entry(child).and_modify(|it| it.certain = true);
            }
        }
        for link in &chain.links {
            let own = self.code(link.at.code).is_ok_and(|code| code.role != Role::Foreign);
            let mut mark = |task: &Address| {
                let known = failed.get_mut(task);
                known.map(|it| if own { it.certain = true } else { it.possible = true }).is_some()
            };
            let locals = self.locals_of(link.at.frame, link.at.code).unwrap_or_default();
            for local in locals.into_iter().filter(|local| !local.is_null()) {
                if !mark(&local) {
                    self.elements(local).iter().for_each(|element| {
                        mark(element);
                    });
                }
            }
        }
    }

    /// The objects that the local variables of a frame refer to.
    fn locals_of(&mut self, frame: Address, code: Address) -> Result<Vec<Address>, Invalid> {
        let reader = self.reader;
        let count = self.code(code)?.locals(reader, code)?.len() as u64;
        let place = frame.offset(reader.layout.at.frame.localsplus);
        let words = reader.words(place, count.min(MOST_LOCALS))?;
        Ok(words.into_iter().map(|word| Address(word & !reader.layout.tag_mask)).collect())
    }

    /// The elements of a list, a tuple or a set; of anything else none.
    fn elements(&mut self, collection: Address) -> Vec<Address> {
        self.try_elements(collection).unwrap_or_default()
    }

    fn try_elements(&mut self, collection: Address) -> Result<Vec<Address>, Invalid> {
        let (reader, layout) = (self.reader, self.layout);
        let size = |at: u64| reader.word(collection.offset(at)).map(|it| it.min(MOST_ELEMENTS));
        let (items, count, stride) = match self.type_info(collection)?.name() {
            "list" => {
                let items = reader.pointer(collection.offset(layout.at.list.items))?;
                (items, size(reader.layout.at.object.size)?, 1)
            }
            "tuple" => {
                let items = collection.offset(reader.layout.at.tuple.items);
                (items, size(reader.layout.at.object.size)?, 1)
            }
            "set" | "frozenset" => {
                let items = reader.pointer(collection.offset(layout.at.set.table))?;
                (items, size(layout.at.set.mask)?.wrapping_add(1), 2)
            }
            _ => return Ok(Vec::new()),
        };
        self.spend(count)?;
        let words = reader.words(items, count * stride)?;
        Ok(words.into_iter().step_by(stride as usize).map(Address).collect())
    }
}
