//! Objects that are locks, or that lead to one.

use std::sync::Arc;

use super::LockReader;
use super::wait::Keys;
use crate::model::Address;
use crate::python::object::Invalid;
use crate::target::Memory;

/// What a lock looks like in memory, which changed within 3.13: its size tells.
const MUTEX_LOCK_SIZE: u64 = 8;
/// The same of an `RLock`: a mutex, its owner and a level; before, a pointer to a semaphore, the
/// owner, a count and a list of weak references.
const MUTEX_RLOCK_SIZE: u64 = 24;

/// Attributes by which objects of the library keep the locks that they wait for.
const LOCK_ATTRIBUTES: [&str; 8] =
    ["_lock", "_block", "_cond", "lock", "mutex", "_mutex", "_tstate_lock", "_condition"];

/// The types of objects in which no lock is looked for.
const PLAIN: [&str; 12] = [
    "str", "int", "NoneType", "tuple", "dict", "list", "function", "type", "module", "code",
    "bool", "float",
];

/// Attributes of an object that are looked at.
const MOST_ATTRIBUTES: usize = 64;

impl<M: Memory> LockReader<'_, M> {
    /// The size of an object's head.
    pub(super) fn head(&self) -> u64 {
        self.reader.layout.at.object.size
    }

    /// The first word of an object's own after its head.
    pub(super) fn first(&self, object: Address) -> Result<Address, Invalid> {
        self.reader.pointer(object.offset(self.head()))
    }

    /// The second one.
    pub(super) fn second(&self, object: Address) -> Result<Address, Invalid> {
        self.reader.pointer(object.offset(self.head() + 8))
    }

    /// What a variable refers to: its value, or that of the cell that closures share.
    pub(super) fn content(&self, value: Address) -> Address {
        if self.is_a(value, "cell") { self.first(value).unwrap_or(Address::NULL) } else { value }
    }

    /// The name of an object's type; `None` for what is no object.
    pub(super) fn type_name(&self, object: Address) -> Option<Arc<str>> {
        // Objects are aligned; the first page is never mapped.
        if object.0 < 4096 || !object.0.is_multiple_of(8) {
            return None;
        }
        let r#type = self.reader.type_of(object).ok()?;
        if let Some(known) = self.facts.types.borrow().get(&r#type) {
            return known.clone();
        }
        let is_type = |r#type| self.reader.type_of(r#type).is_ok_and(|meta| !meta.is_null());
        let name = Some(r#type)
            .filter(|r#type| is_type(*r#type))
            .and_then(|r#type| self.reader.type_name(r#type).ok())
            .map(Arc::from);
        self.facts.types.borrow_mut().insert(r#type, name.clone());
        name
    }

    /// Whether an object is of a type.
    pub(super) fn is_a(&self, object: Address, name: &str) -> bool {
        self.type_name(object).is_some_and(|found| &*found == name)
    }

    /// Whether an object is a lock or an `RLock`.
    pub(super) fn is_lock(&self, object: Address) -> bool {
        self.is_a(object, "_thread.lock") || self.is_a(object, "_thread.RLock")
    }

    /// An attribute of an instance.
    pub(super) fn attribute(&self, object: Address, name: &str) -> Option<Address> {
        self.reader.attribute(object, name).ok().flatten()
    }

    /// How much larger than its head an object of fixed size is.
    pub(super) fn own_size(&self, object: Address) -> Result<u64, Invalid> {
        let r#type = self.reader.type_of(object)?;
        let size = self.reader.word(r#type.offset(self.reader.layout.at.r#type.basic_size))?;
        Ok(size.wrapping_sub(self.head()))
    }

    /// Whether an object is what a thread waits for.
    pub(super) fn is_awaited(&self, object: Address, keys: Keys) -> bool {
        self.awaited(object, keys).unwrap_or(false)
    }

    fn awaited(&self, object: Address, keys: Keys) -> Result<bool, Invalid> {
        let Some(name) = self.type_name(object) else { return Ok(false) };
        let mutex_size = match &*name {
            "_thread.lock" => MUTEX_LOCK_SIZE,
            "_thread.RLock" => MUTEX_RLOCK_SIZE,
            "_multiprocessing.SemLock" => 0,
            "_queue.SimpleQueue" => {
                let inside = keys.parked.is_some_and(|parked| parked == object.offset(self.head()));
                return Ok(inside || self.first(object)? == keys.word);
            }
            _ => return Ok(false),
        };
        if self.own_size(object)? <= mutex_size {
            return Ok(keys.parked == Some(object.offset(self.head())));
        }
        Ok(self.first(object)? == keys.word)
    }

    /// The object of a bound method, built in or not.
    pub(super) fn bound_to(&self, object: Address) -> Option<Address> {
        let name = self.type_name(object)?;
        matches!(&*name, "builtin_function_or_method" | "method")
            .then(|| self.second(object).ok())
            .flatten()
            .filter(|this| !this.is_null())
    }

    /// The lock that a thread waits for, when an object denotes or has it.
    pub(super) fn awaited_in(&self, object: Address, keys: Keys) -> Option<Address> {
        let object = self.bound_to(object).unwrap_or(object);
        if self.is_awaited(object, keys) {
            return Some(object);
        }
        self.awaited_in_attributes(object, keys, 2)
    }

    fn awaited_in_attributes(&self, object: Address, keys: Keys, depth: u32) -> Option<Address> {
        if self.is_plain(object) {
            return None;
        }
        let attributes = self.attributes(object);
        let mut direct = attributes.iter().map(|(_, value)| *value);
        if let Some(found) = direct.find(|value| self.is_awaited(*value, keys)) {
            return Some(found);
        }
        let deeper = depth.checked_sub(1)?;
        let has_locks = |name: &Address| {
            self.reader.text(*name).is_ok_and(|name| LOCK_ATTRIBUTES.contains(&name.as_str()))
        };
        attributes
            .iter()
            .filter(|(name, _)| has_locks(name))
            .find_map(|(_, value)| self.awaited_in_attributes(*value, keys, deeper))
    }

    /// Whether an object is none whose attributes are worth a look.
    pub(super) fn is_plain(&self, object: Address) -> bool {
        let name = self.type_name(object);
        name.is_none_or(|name| PLAIN.contains(&&*name) || name.starts_with("_thread."))
    }

    /// The attributes of an instance: their names and values.
    pub(super) fn attributes(&self, object: Address) -> Vec<(Address, Address)> {
        let mut attributes = self.reader.attributes(object).unwrap_or_default();
        attributes.truncate(MOST_ATTRIBUTES);
        attributes
    }

    /// The text of a C string that is a name.
    pub(super) fn is_c_name(&self, address: Address, name: &[u8]) -> bool {
        let span = name.len() as u64 + 1;
        let word = self.reader.slice(address, span);
        word.is_ok_and(|word| word.strip_suffix(&[0]) == Some(name))
    }
}
