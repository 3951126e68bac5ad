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

impl<M: Memory> Moment<'_, M> {
    /// Adds the queues that the program's own frames of a chain have at hand.
    pub(super) fn queues(&mut self, chain: &Chain, stack: StackId, found: &mut Vec<QueueInfo>) {
        for link in &chain.links {
            let foreign = self.code(link.at.code).is_ok_and(|code| code.role == Role::Foreign);
            // A frame that changes meanwhile has no say.
            if foreign && self.queues_of(link, stack, found).is_err() {
                return;
            }
        }
    }

    fn queues_of(
        &mut self,
        link: &Link,
        stack: StackId,
        found: &mut Vec<QueueInfo>,
    ) -> Result<(), Invalid> {
        let reader = self.reader;
        let names = self.code(link.at.code)?.locals(reader, link.at.code)?;
        self.module_queues(link, stack, found)?;
        for (index, name) in names.iter().take(MOST_LOCALS).enumerate() {
            let Some(object) = self.local(link, name) else { continue };
            // `self`, by whatever name, is the first.
            if index == 0 && !self.is_queue(object) {
                for (key, value) in reader.attributes(object)?.into_iter().take(MOST_ATTRIBUTES) {
                    if self.is_queue(value) {
                        let name = format!("{name}.{}", reader.text(key)?);
                        self.add_queue(value, name, stack, found)?;
                    }
                }
            } else if self.is_queue(object) {
                self.add_queue(object, name.clone(), stack, found)?;
            }
        }
        Ok(())
    }

    /// Adds the queues among the variables of a frame's module, where it is the program's own.
    fn module_queues(
        &mut self,
        link: &Link,
        stack: StackId,
        found: &mut Vec<QueueInfo>,
    ) -> Result<(), Invalid> {
        let reader = self.reader;
        if self.code(link.at.code)?.origin() != Origin::User {
            return Ok(());
        }
        let globals = reader.layout.at.frame.globals;
        let globals = reader.pointer(link.at.frame.offset(globals))?;
        if globals.is_null() || !self.modules.insert(globals) {
            return Ok(());
        }
        for (key, value) in reader.dict(globals)?.into_iter().take(MOST_GLOBALS) {
            if self.is_queue(value) {
                self.add_queue(value, reader.text(key)?, stack, found)?;
            }
        }
        Ok(())
    }

    fn is_queue(&mut self, object: Address) -> bool {
        !object.is_null()
            && self.type_info(object).is_ok_and(|info| info.names.iter().any(|it| &**it == "Queue"))
    }

    fn add_queue(
        &mut self,
        object: Address,
        name: String,
        stack: StackId,
        found: &mut Vec<QueueInfo>,
    ) -> Result<(), Invalid> {
        if found.len() >= MOST_QUEUES || found.iter().any(|known| known.object == object) {
            return Ok(());
        }
        let reader = self.reader;
        let attribute = |name| reader.attribute(object, name);
        // The queues of threads and processes have other attributes.
        let (Some(items), Some(limit), Some(_)) =
            (attribute("_queue")?, attribute("_maxsize")?, attribute("_getters")?)
        else {
            return Ok(());
        };
        let size = reader.word(items.offset(reader.layout.at.object.size))?;
        let limit = u32::try_from(reader.integer(limit)?.max(0)).unwrap_or(u32::MAX);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        found.push(QueueInfo { object, name: name.into(), size, limit, chain: stack });
        Ok(())
    }
}
