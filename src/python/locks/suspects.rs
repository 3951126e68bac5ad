//! Who may have a lock that was taken by a call of `acquire`, which leaves nothing on any stack.
//!
//! A frame whose code has passed more calls of the lock's `acquire` than of its `release` probably has
//! it. That is no fact: jumps are not followed, and another lock may go by the same name.

use super::LockReader;
use crate::model::Address;
use crate::python::object::Invalid;
use crate::python::stack::RawFrame;
use crate::target::Memory;

/// A call of `acquire` or `release` in some code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProtocolCall {
    /// Where the method is looked up, in bytes.
    offset: u64,
    /// Whether it is `acquire`.
    acquires: bool,
    /// The instruction that loads the object: its opcode and argument.
    load: Option<(u8, u64)>,
}

/// Where a name stands in a code object.
#[derive(Debug, Clone, Copy)]
struct Places {
    global: Option<u64>,
    local: Option<u64>,
}

impl<M: Memory> LockReader<'_, M> {
    /// Where a frame may have taken a lock by `acquire` that it has not given back yet.
    pub fn may_have_acquired(&self, frame: RawFrame, lock: Address) -> Option<RawFrame> {
        let facts = self.facts(frame)?;
        // How the library uses its own locks is known otherwise.
        if facts.module() == "threading" || self.protocol(&facts, frame.code).is_empty() {
            return None;
        }
        let name = self.place_of_name(frame, lock)?;
        let here = self.offset_of(frame);
        let line = |offset| facts.code.line(self.at_offset(frame, offset).instruction);
        let mut taken = Vec::new();
        for call in self.protocol(&facts, frame.code) {
            let passed = call.offset < here && self.is_of(call, name);
            // The call that it is in, as far as lines tell, is not one that it has passed.
            if passed && !call.acquires {
                taken.pop();
            } else if passed && line(call.offset) != line(here) {
                taken.push(call.offset);
            }
        }
        taken.last().map(|offset| self.at_offset(frame, *offset))
    }

    /// The places of the name by which a frame's code reaches an object, among the names of the code
    /// and among its local variables.
    fn place_of_name(&self, frame: RawFrame, object: Address) -> Option<Places> {
        let name = self.name_in(frame, object)?;
        let name = name.rsplit('.').next().unwrap_or_default();
        let names = self.names(frame.code, self.reader.layout.at.code.names).ok()?;
        let place = |names: &[String]| Some(names.iter().position(|it| it == name)? as u64);
        Some(Places { global: place(&names), local: place(&self.local_names(frame).ok()?) })
    }

    /// Whether the object of a call goes by the name that has these places.
    fn is_of(&self, call: &ProtocolCall, name: Places) -> bool {
        let opcodes = &self.reader.layout.at.opcodes;
        let Some((opcode, argument)) = call.load else { return false };
        if opcodes.loads_attribute.contains(&opcode) {
            return name.global == Some(argument >> opcodes.name_shift);
        }
        // From 3.11 on the lowest bit of a global's place says something else.
        [name.local, name.global].contains(&Some(argument)) || name.global == Some(argument >> 1)
    }

    /// Whether a frame might yet give a lock back: its code names the lock and uses the protocol, or
    /// one of its variables has it, whose methods may.
    pub fn may_release(&self, frame: RawFrame, lock: Address) -> bool {
        let Some(facts) = self.facts(frame) else { return true };
        let calls = self.protocol(&facts, frame.code);
        if !calls.is_empty()
            && let Some(name) = self.place_of_name(frame, lock)
            && calls.iter().any(|call| self.is_of(call, name))
        {
            return true;
        }
        let Ok(values) = self.locals(frame) else { return true };
        values.into_iter().any(|value| value != lock && self.has(value, lock, 2))
    }

    /// Whether an object has another one as an attribute, or has one that has.
    fn has(&self, object: Address, wanted: Address, depth: u32) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return false };
        if object.is_null() || self.is_plain(object) {
            return false;
        }
        let attributes = self.attributes(object);
        attributes.iter().any(|(_, value)| *value == wanted)
            || attributes.iter().any(|(_, value)| self.has(*value, wanted, depth))
    }

    /// The instruction before the one at `index`, if it loads something: a variable that has no cache
    /// behind it, a global, or an attribute.
    fn load_before(&self, units: &[(u64, u8, u64)], index: usize) -> Option<(u8, u64)> {
        let opcodes = &self.reader.layout.at.opcodes;
        let at = |caches: usize, among: &[u8]| {
            let &(_, opcode, argument) = units.get(index.checked_sub(caches + 1)?)?;
            among.contains(&opcode).then_some((opcode, argument))
        };
        at(0, &opcodes.loads_variable)
            .or_else(|| at(opcodes.global_caches, &opcodes.loads_variable))
            .or_else(|| at(opcodes.attribute_caches, &opcodes.loads_attribute))
    }

    pub(super) fn protocol_calls(&self, code: Address) -> Result<Vec<ProtocolCall>, Invalid> {
        let at = &self.reader.layout.at;
        let names = self.names(code, at.code.names)?;
        let place = |name: &str| names.iter().position(|known| known == name);
        let (acquire, release) = (place("acquire"), place("release"));
        if acquire.is_none() && release.is_none() {
            return Ok(Vec::new());
        }
        let bytecode = self.bytecode(code)?;
        let units: Vec<_> = self.instructions(&bytecode).collect();
        let call = |(index, &(offset, opcode, argument)): (usize, &(u64, u8, u64))| {
            let name = usize::try_from(argument >> at.opcodes.name_shift).ok();
            let acquires = acquire.is_some() && name == acquire;
            let is_call = at.opcodes.loads_attribute.contains(&opcode)
                && (acquires || (release.is_some() && name == release));
            is_call.then(|| ProtocolCall {
                offset,
                acquires,
                load: self.load_before(&units, index),
            })
        };
        Ok(units.iter().enumerate().filter_map(call).collect())
    }
}
