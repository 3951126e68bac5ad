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

    fn name_in(&self, frame: RawFrame, object: Address) -> Option<String> {
        let names = self.names(frame.code, self.reader.layout.at.code.names).ok()?;
        let values = self.locals(frame).ok()?;
        let mut known: Vec<(String, Address)> =
            self.local_names(frame).ok()?.into_iter().zip(values).collect();
        known.retain(|(_, value)| !value.is_null());
        known.truncate(MOST_NAMES);
        known.extend(self.globals(frame, &names));
        if let Some((name, _)) = known.iter().find(|(_, value)| *value == object) {
            return Some(name.clone());
        }
        known.iter().find_map(|(owner, value)| {
            let attributes = self.attributes(*value);
            let (name, _) =
                attributes.iter().find(|(name, value)| *value == object && names.contains(name))?;
            Some(format!("{owner}.{name}"))
        })
    }

    /// The globals that a frame's code names.
    fn globals(&self, frame: RawFrame, names: &[String]) -> Vec<(String, Address)> {
        let place = frame.address.offset(self.reader.layout.at.frame.globals);
        let globals = self.reader.word(place).map(|word| self.untagged(word));
        let entries = globals.and_then(|globals| self.reader.dict(globals)).unwrap_or_default();
        entries
            .into_iter()
            .filter_map(|(name, value)| Some((self.reader.text(name).ok()?, value)))
            .filter(|(name, _)| names.contains(name))
            .take(MOST_NAMES)
            .collect()
    }
}
