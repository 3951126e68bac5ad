//! The name by which a line of the program reaches an object.

use super::LockReader;
use crate::model::Address;
use crate::python::stack::RawFrame;
use crate::target::Memory;

/// Names of one frame that are looked at.
const MOST_NAMES: usize = 64;

impl<M: Memory> LockReader<'_, M> {
    /// `lock`, `self.lock`: how the code of `frame` names `object`; else its type's name.
    pub(super) fn name_of(&self, frame: Option<&RawFrame>, object: Address) -> String {
        if object.is_null() {
            return String::new();
        }
        let by_code = frame.and_then(|frame| self.name_in(*frame, object));
        let by_type = || self.type_name(object).map(|name| name.to_string()).unwrap_or_default();
        by_code.unwrap_or_else(by_type)
    }

    pub(super) fn name_in(&self, frame: RawFrame, object: Address) -> Option<String> {
        // Names in code are interned, as are the keys of namespaces: the same text is the same
        // object, and few texts have to be read.
        let names = frame.code.offset(self.reader.layout.at.code.names);
        let names = self.reader.tuple(self.reader.pointer(names).ok()?).ok()?;
        let locals = self.locals(frame).ok()?;
        let local = |value: Address| {
            let place = locals.iter().position(|known| *known == value)?;
            self.local_names(frame).ok()?.get(place).cloned()
        };
        let globals = self.globals(frame, &names);
        let global = |value: Address| {
            let (name, _) = globals.iter().find(|(_, known)| *known == value)?;
            self.reader.text(*name).ok()
        };
        let name_of = |value| local(value).or_else(|| global(value));
        if let Some(name) = name_of(object) {
            return Some(name);
        }
        let values = locals.iter().copied().chain(globals.iter().map(|(_, value)| *value));
        values.filter(|value| !value.is_null()).take(MOST_NAMES).find_map(|owner| {
            let attributes = self.reader.attributes(owner).ok()?;
            let (name, _) = attributes
                .into_iter()
                .find(|(name, value)| *value == object && names.contains(name))?;
            Some(format!("{}.{}", name_of(owner)?, self.reader.text(name).ok()?))
        })
    }

    /// The globals that a frame's code names.
    fn globals(&self, frame: RawFrame, names: &[Address]) -> Vec<(Address, Address)> {
        let place = frame.address.offset(self.reader.layout.at.frame.globals);
        let globals = self.reader.word(place).map(|word| self.untagged(word));
        let entries = globals.and_then(|globals| self.reader.dict(globals)).unwrap_or_default();
        entries.into_iter().filter(|(name, _)| names.contains(name)).take(MOST_NAMES).collect()
    }
}
