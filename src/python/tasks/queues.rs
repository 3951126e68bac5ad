//! The queues of asyncio that tasks have at hand: in their local variables, as attributes of the
//! object whose method they are, and among the variables of their module.

use super::chain::Chain;
use super::codes::Role;
use super::moment::{Link, Moment};
use crate::model::{Address, Origin, QueueInfo, StackId};
use crate::python::object::Invalid;
use crate::target::Memory;

/// Local variables of one frame that are looked at.
const MOST_LOCALS: usize = 64;
/// Attributes of one object that are looked at.
const MOST_ATTRIBUTES: usize = 64;
/// Variables of one module that are looked at.
const MOST_GLOBALS: usize = 1 << 12;
/// Queues that are told.
pub(super) const MOST_QUEUES: usize = 256;

/// The methods by which a task takes what it does from a queue.
const TAKES: [&str; 2] = ["get", "get_nowait"];

impl<M: Memory> Moment<'_, M> {
    /// Adds the queues that the program's own frames of a chain have at hand; tells whether one of
    /// them takes from one.
    pub(super) fn queues(
        &mut self,
        chain: &Chain,
        stack: StackId,
        found: &mut Vec<QueueInfo>,
    ) -> bool {
        let mut takes = false;
        for link in &chain.links {
            let foreign = self.code(link.at.code).is_ok_and(|code| code.role == Role::Foreign);
            if !foreign {
                continue;
            }
            // What changes meanwhile has no say.
            let module = self.module_queues(link, stack, found).unwrap_or(false);
            let local = self.queues_of(link, stack, found).unwrap_or(false);
            takes |= (module || local) && self.takes(link).unwrap_or(false);
        }
        takes
    }

    /// Adds the queues among the variables of a frame; tells whether there are any.
    fn queues_of(
        &mut self,
        link: &Link,
        stack: StackId,
        found: &mut Vec<QueueInfo>,
    ) -> Result<bool, Invalid> {
        let reader = self.reader;
        let names = self.code(link.at.code)?.locals(reader, link.at.code)?;
        let mut any = false;
        for (index, name) in names.iter().take(MOST_LOCALS).enumerate() {
            let Some(object) = self.local(link, name) else { continue };
            if self.is_queue(object) {
                any |= self.add_queue(object, name.clone(), stack, found)?;
            } else if index == 0 {
                // `self`, by whatever name, is the first.
                let attributes = reader.attributes(object)?.into_iter().take(MOST_ATTRIBUTES);
                any |= self.named_queues(attributes, &format!("{name}."), stack, found)?;
            }
        }
        Ok(any)
    }

    /// Adds the queues among the variables of a frame's module, where it is the program's own;
    /// tells whether there are any.
    fn module_queues(
        &mut self,
        link: &Link,
        stack: StackId,
        found: &mut Vec<QueueInfo>,
    ) -> Result<bool, Invalid> {
        let reader = self.reader;
        if self.code(link.at.code)?.origin() != Origin::User {
            return Ok(false);
        }
        let globals = reader.layout.at.frame.globals;
        let globals = reader.pointer(link.at.frame.offset(globals))?;
        if globals.is_null() {
            return Ok(false);
        }
        if let Some(known) = self.modules.get(&globals) {
            return Ok(*known);
        }
        let variables = reader.dict(globals)?.into_iter().take(MOST_GLOBALS);
        let any = self.named_queues(variables, "", stack, found)?;
        self.modules.insert(globals, any);
        Ok(any)
    }

    /// Adds the queues among names and what they stand for; `owner` goes before each name. Tells
    /// whether there are any.
    fn named_queues(
        &mut self,
        entries: impl Iterator<Item = (Address, Address)>,
        owner: &str,
        stack: StackId,
        found: &mut Vec<QueueInfo>,
    ) -> Result<bool, Invalid> {
        let mut any = false;
        for (key, value) in entries {
            if self.is_queue(value) {
                let name = format!("{owner}{}", self.reader.text(key)?);
                any |= self.add_queue(value, name, stack, found)?;
            }
        }
        Ok(any)
    }

    /// Whether the code of a frame names a method that takes from a queue.
    fn takes(&self, link: &Link) -> Result<bool, Invalid> {
        let reader = self.reader;
        let names = reader.pointer(link.at.code.offset(reader.layout.at.code.names))?;
        let names = reader.tuple(names)?;
        let is_it = |name| TAKES.iter().any(|wanted| reader.is_text(name, wanted).unwrap_or(false));
        Ok(names.into_iter().any(is_it))
    }

    fn is_queue(&mut self, object: Address) -> bool {
        !object.is_null()
            && self.type_info(object).is_ok_and(|info| info.names.iter().any(|it| &**it == "Queue"))
    }

    /// Adds a queue, if it is one of asyncio's.
    fn add_queue(
        &mut self,
        object: Address,
        name: String,
        stack: StackId,
        found: &mut Vec<QueueInfo>,
    ) -> Result<bool, Invalid> {
        if found.iter().any(|known| known.object == object) {
            return Ok(true);
        }
        if found.len() >= MOST_QUEUES {
            return Ok(false);
        }
        let reader = self.reader;
        let attribute = |name| reader.attribute(object, name);
        // The queues of threads and processes have other attributes.
        let (Some(items), Some(limit), Some(_)) =
            (attribute("_queue")?, attribute("_maxsize")?, attribute("_getters")?)
        else {
            return Ok(false);
        };
        let size = reader.word(items.offset(reader.layout.at.object.size))?;
        let limit = u32::try_from(reader.integer(limit)?.max(0)).unwrap_or(u32::MAX);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        found.push(QueueInfo { object, name: name.into(), size, limit, chain: stack });
        Ok(true)
    }
}
