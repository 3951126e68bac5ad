//! Who may have a lock that was taken by a call of `acquire`, which leaves nothing on any stack.
//!
//! A frame whose code has passed more calls of the lock's `acquire` than of its `release` probably has
//! it. That is no fact: jumps are not followed, and another lock may go by the same name.

use super::LockReader;
use crate::model::Address;
use crate::python::object::Invalid;
use crate::python::stack::RawFrame;
use crate::target::Memory;

/// How many units back from the look-up of a method its object is loaded, at most: the instruction
/// before may be one with nine units of cache.
const WINDOW: usize = 10;

/// A call of `acquire` or `release` in some code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProtocolCall {
    /// Where the method is looked up, in bytes.
    offset: u64,
    /// Whether it is `acquire`.
    acquires: bool,
    /// The units before, of which one loads the object.
    before: Vec<(u8, u64)>,
}

impl<M: Memory> LockReader<'_, M> {
    /// Where a frame may have taken a lock by `acquire` that it has not given back yet.
    pub fn may_have_acquired(&self, frame: RawFrame, lock: Address) -> Option<RawFrame> {
        let facts = self.facts(frame)?;
        // How the library uses its own locks is known otherwise.
        if facts.module() == "threading" || self.protocol(&facts, frame.code).is_empty() {
            return None;
        }
        let name = self.name_in(frame, lock)?;
        let name = name.rsplit('.').next().unwrap_or_default();
        let names = self.names(frame.code, self.reader.layout.at.code.names).ok()?;
        let place = |names: &[String]| Some(names.iter().position(|it| it == name)? as u64);
        let (global, local) = (place(&names), place(&self.local_names(frame).ok()?));
        let here = self.offset_of(frame);
        let line = |offset| facts.code.line(self.at_offset(frame, offset).instruction);
        let mut taken = Vec::new();
        for call in self.protocol(&facts, frame.code) {
            let passed = call.offset < here && self.is_of(call, global, local);
            // The call that it is in, as far as lines tell, is not one that it has passed.
            if passed && !call.acquires {
                taken.pop();
            } else if passed && line(call.offset) != line(here) {
                taken.push(call.offset);
            }
        }
        taken.last().map(|offset| self.at_offset(frame, *offset))
    }

    /// Whether the object of a call goes by a name that has these places among the names of the
    /// code and among its local variables.
    fn is_of(&self, call: &ProtocolCall, global: Option<u64>, local: Option<u64>) -> bool {
        let opcodes = &self.reader.layout.at.opcodes;
        call.before.iter().any(|(opcode, argument)| {
            if opcodes.loads_attribute.contains(opcode) {
                return global == Some(argument >> opcodes.name_shift);
            }
            // From 3.11 on the lowest bit of a global's place says something else.
            opcodes.loads_variable.contains(opcode)
                && (local == Some(*argument)
                    || global == Some(*argument)
                    || global == Some(argument >> 1))
        })
    }

    /// Whether a frame might yet give a lock back: its code names the lock and uses the protocol, or
    /// one of its variables has it, whose methods may.
    pub fn may_release(&self, frame: RawFrame, lock: Address) -> bool {
        let Some(facts) = self.facts(frame) else { return true };
        if !self.protocol(&facts, frame.code).is_empty() && self.name_in(frame, lock).is_some() {
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
            let before = units.get(index.saturating_sub(WINDOW)..index).unwrap_or_default();
            let before =
                || before.iter().map(|&(_, opcode, argument)| (opcode, argument)).collect();
            is_call.then(|| ProtocolCall { offset, acquires, before: before() })
        };
        Ok(units.iter().enumerate().filter_map(call).collect())
    }
}
