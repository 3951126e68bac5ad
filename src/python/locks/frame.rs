//! One frame's values: its locals, its value stack, and how much of that is certainly in use.
//!
//! Above the innermost handler's depth a slot may hold anything: the rest of an expression, or
//! what was there before. Below it, nothing changes as long as the frame is inside the handler.

use std::sync::Arc;
use std::sync::OnceLock;

use super::LockReader;
use super::exceptions::{Handler, handlers};
use super::suspects::ProtocolCall;
use crate::model::Address;
use crate::python::code::Code;
use crate::python::layout::InstructionPointer;
use crate::python::object::Invalid;
use crate::python::stack::RawFrame;
use crate::target::Memory;

/// Slots of one frame that are looked at.
const MOST_SLOTS: u64 = 512;
/// `CO_MAXBLOCKS`.
const MOST_BLOCKS: i32 = 20;
/// `sizeof(PyTryBlock)`: three ints.
const BLOCK_SIZE: u64 = 12;
/// Instructions of one code object that are looked at.
const MOST_UNITS: u64 = 1 << 15;

/// What is known of a code object.
#[derive(Debug)]
pub(super) struct Facts {
    pub code: Code,
    stack_size: u64,
    /// From 3.11 on: the locals before the value stack, and the handlers.
    local_count: u64,
    handlers: Vec<Handler>,
    local_names: OnceLock<Vec<String>>,
    protocol: OnceLock<Vec<ProtocolCall>>,
}

impl Facts {
    /// The function's name without its class.
    pub(super) fn name(&self) -> &str {
        let name = &*self.code.function.name;
        name.rsplit_once('.').map_or(name, |(_, last)| last)
    }

    /// The class in the function's qualified name.
    pub(super) fn class(&self) -> Option<&str> {
        let (class, _) = self.code.function.name.rsplit_once('.')?;
        Some(class.rsplit_once('.').map_or(class, |(_, last)| last))
    }

    pub(super) fn module(&self) -> &str {
        &self.code.function.module
    }
}

/// A value stack.
#[derive(Debug, Default)]
pub(super) struct Stack {
    /// All slots that the code may use; null where there is no object.
    pub slots: Vec<Address>,
    /// How many of them are certainly in use.
    pub live: usize,
}

impl<M: Memory> LockReader<'_, M> {
    /// What is known of a frame's code; `None` when it cannot be read.
    pub(super) fn facts(&self, frame: RawFrame) -> Option<Arc<Facts>> {
        if let Some(known) = self.facts.codes.borrow().get(&frame.code) {
            return known.clone();
        }
        let facts = self.read_facts(frame.code).ok().map(Arc::new);
        self.facts.codes.borrow_mut().insert(frame.code, facts.clone());
        facts
    }

    fn read_facts(&self, code: Address) -> Result<Facts, Invalid> {
        let reader = self.reader;
        let at = &reader.layout.at.code;
        let count = |offset: u64| {
            let count = reader.int32(code.offset(offset))?;
            Ok::<_, Invalid>(u64::try_from(count).unwrap_or(0).min(MOST_SLOTS))
        };
        let table = at.exceptions.map(|offset| reader.pointer(code.offset(offset))).transpose()?;
        let table = table.map(|table| reader.bytes(table)).transpose()?;
        Ok(Facts {
            code: Code::read(reader, code)?,
            stack_size: count(at.stack_size)?,
            local_count: at.local_count.map_or(Ok(0), count)?,
            handlers: handlers(&table.unwrap_or_default()),
            local_names: OnceLock::new(),
            protocol: OnceLock::new(),
        })
    }

    /// The frame at an address, be it a generator's.
    pub(super) fn frame_at(&self, address: Address) -> Result<RawFrame, Invalid> {
        let (reader, at) = (self.reader, &self.reader.layout.at.frame);
        let code = self.untagged(reader.word(address.offset(at.code))?);
        let instruction = address.offset(at.instruction);
        let instruction = match reader.layout.instruction {
            InstructionPointer::Index(_) => i64::from(reader.int32(instruction)?) as u64,
            InstructionPointer::Pointer => reader.word(instruction)?,
        };
        Ok(RawFrame { address, code, instruction })
    }

    /// The frame of a generator or coroutine that is suspended.
    pub(super) fn generator_frame(&self, generator: Address) -> Result<RawFrame, Invalid> {
        let place = generator.offset(self.reader.layout.at.generator.frame);
        match self.reader.layout.instruction {
            InstructionPointer::Index(_) => self.frame_at(self.reader.pointer(place)?),
            InstructionPointer::Pointer => self.frame_at(place),
        }
    }

    /// A slot without its tag; null when it holds no object.
    pub(super) fn untagged(&self, word: u64) -> Address {
        let mask = self.reader.layout.tag_mask;
        // Both bits set is an integer in the slot itself (3.14+).
        if mask == 3 && word & mask == mask { Address::NULL } else { Address(word & !mask) }
    }

    /// The local variables, by their places.
    pub(super) fn locals(&self, frame: RawFrame) -> Result<Vec<Address>, Invalid> {
        let names = self.local_names(frame)?.len() as u64;
        let place = frame.address.offset(self.reader.layout.at.frame.localsplus);
        let words = self.reader.words(place, names.min(MOST_SLOTS))?;
        Ok(words.into_iter().map(|word| self.content(self.untagged(word))).collect())
    }

    /// A local variable that has a value.
    pub(super) fn local(&self, frame: RawFrame, name: &str) -> Option<Address> {
        let place = self.local_names(frame).ok()?.iter().position(|known| known == name)?;
        let values = frame.address.offset(self.reader.layout.at.frame.localsplus);
        let word = self.reader.word(values.offset(place as u64 * 8)).ok()?;
        Some(self.content(self.untagged(word))).filter(|value| !value.is_null())
    }

    /// The names of the local variables, by their places.
    pub(super) fn local_names(&self, frame: RawFrame) -> Result<Vec<String>, Invalid> {
        let facts = self.facts(frame).ok_or(Invalid::Not("code object"))?;
        if let Some(names) = facts.local_names.get() {
            return Ok(names.clone());
        }
        let at = &self.reader.layout.at.code;
        let mut names = self.names(frame.code, at.local_names)?;
        // Beside them up to 3.10, in this order; later all are in one tuple.
        for more in [at.cell_names, at.free_names].into_iter().flatten() {
            names.extend(self.names(frame.code, more)?);
        }
        Ok(facts.local_names.get_or_init(|| names).clone())
    }

    /// A tuple of names in a code object.
    pub(super) fn names(&self, code: Address, offset: u64) -> Result<Vec<String>, Invalid> {
        let names = self.reader.tuple(self.reader.pointer(code.offset(offset))?)?;
        names.into_iter().take(MOST_SLOTS as usize).map(|name| self.reader.text(name)).collect()
    }

    /// The value stack of a frame.
    pub(super) fn stack(&self, frame: RawFrame) -> Result<Stack, Invalid> {
        let facts = self.facts(frame).ok_or(Invalid::Not("code object"))?;
        let at = &self.reader.layout.at.frame;
        let place = match at.value_stack {
            Some(offset) => self.reader.pointer(frame.address.offset(offset))?,
            None => frame.address.offset(at.localsplus).offset(facts.local_count * 8),
        };
        let words = self.reader.words(place, facts.stack_size)?;
        let slots: Vec<_> = words.into_iter().map(|word| self.untagged(word)).collect();
        let live = match self.reader.layout.instruction {
            InstructionPointer::Index(_) => self.blocks(frame)?.last().map_or(0, |it| it.level),
            InstructionPointer::Pointer => {
                let offset = self.offset_of(frame);
                let handler = facts.handlers.iter().find(|handler| handler.covers(offset));
                handler.map_or(0, |handler| handler.depth)
            }
        };
        Ok(Stack { live: live.min(slots.len()), slots })
    }

    /// How far a frame's instruction is from the beginning of its code, in bytes.
    pub(super) fn offset_of(&self, frame: RawFrame) -> u64 {
        match self.reader.layout.instruction {
            InstructionPointer::Index(unit) => {
                (frame.instruction as i64).wrapping_mul(unit).max(0) as u64
            }
            InstructionPointer::Pointer => {
                let bytecode = self.reader.layout.at.code.bytecode.unwrap_or(0);
                frame.instruction.wrapping_sub(frame.code.offset(bytecode).0)
            }
        }
    }

    /// A frame as it is at another offset of its code.
    pub(super) fn at_offset(&self, frame: RawFrame, offset: u64) -> RawFrame {
        let instruction = match self.reader.layout.instruction {
            InstructionPointer::Index(unit) => offset / unit.unsigned_abs().max(1),
            InstructionPointer::Pointer => {
                frame.instruction.wrapping_sub(self.offset_of(frame)).wrapping_add(offset)
            }
        };
        RawFrame { instruction, ..frame }
    }

    /// The instructions of a code object.
    pub(super) fn bytecode(&self, code: Address) -> Result<Vec<u8>, Invalid> {
        let (reader, at) = (self.reader, &self.reader.layout.at);
        match (at.code.bytecode_object, at.code.bytecode) {
            (Some(object), _) => reader.bytes(reader.pointer(code.offset(object))?),
            (None, Some(offset)) => {
                // `Py_SIZE` of a code object counts its instructions and their caches.
                let units = reader.word(code.offset(at.object.size))?;
                reader.slice(code.offset(offset), units.min(MOST_UNITS) * 2)
            }
            (None, None) => Err(Invalid::Not("code layout")),
        }
    }

    /// The calls of the lock protocol in a code object.
    pub(super) fn protocol<'f>(&self, facts: &'f Facts, code: Address) -> &'f [ProtocolCall] {
        facts.protocol.get_or_init(|| self.protocol_calls(code).unwrap_or_default())
    }

    /// The blocks that a frame is in, innermost last (up to 3.10).
    fn blocks(&self, frame: RawFrame) -> Result<Vec<Block>, Invalid> {
        let at = &self.reader.layout.at.frame;
        let (Some(count), Some(blocks)) = (at.block_count, at.blocks) else {
            return Err(Invalid::Not("frame layout"));
        };
        let count = self.reader.int32(frame.address.offset(count))?;
        if !(0..=MOST_BLOCKS).contains(&count) {
            return Err(Invalid::Not("frame"));
        }
        let block = |number| {
            let place = frame.address.offset(blocks + number * BLOCK_SIZE);
            let [handler, level] = [4, 8].map(|offset| self.reader.int32(place.offset(offset)));
            let level = usize::try_from(level?).map_err(|_| Invalid::Not("frame"))?;
            Ok(Block { handler: u64::try_from(handler?).unwrap_or(0), level })
        };
        (0..u64::try_from(count).unwrap_or(0)).map(block).collect()
    }

    /// The frame as it was at the `with` whose manager's exit function is in a slot of its stack.
    pub(super) fn at_with(&self, frame: RawFrame, slot: usize) -> RawFrame {
        let instruction = match self.reader.layout.instruction {
            InstructionPointer::Index(_) => self.with_of_block(frame, slot),
            InstructionPointer::Pointer => self.with_of_handler(frame, slot),
        };
        RawFrame { instruction: instruction.unwrap_or(frame.instruction), ..frame }
    }

    fn with_of_handler(&self, frame: RawFrame, slot: usize) -> Option<u64> {
        let (facts, offset) = (self.facts(frame)?, self.offset_of(frame));
        let bytecode = self.reader.layout.at.code.bytecode?;
        let of_slot = |handler: &&Handler| {
            handler.depth == slot + 1 && handler.wants_instruction && handler.begins_by(offset)
        };
        let handler = facts.handlers.iter().rfind(of_slot)?;
        Some(frame.code.offset(bytecode).offset(handler.target).0)
    }

    fn with_of_block(&self, frame: RawFrame, slot: usize) -> Option<u64> {
        let blocks = self.blocks(frame).ok()?;
        let handler = blocks.iter().find(|block| block.level == slot + 1)?.handler;
        let at = &self.reader.layout.at;
        if at.opcodes.enters_with.is_empty() {
            // 3.10 gives the handler the line of the `with`.
            return Some(handler);
        }
        let bytecode = self.bytecode(frame.code).ok()?;
        self.instructions(&bytecode)
            .find(|&(offset, opcode, argument)| {
                at.opcodes.enters_with.contains(&opcode) && offset + 2 + argument == handler
            })
            .map(|(offset, ..)| offset)
    }

    /// The offset, opcode and argument of each unit of some bytecode. From 3.11 on inline caches are
    /// among them, which look like instructions.
    pub(super) fn instructions<'b>(
        &self,
        bytecode: &'b [u8],
    ) -> impl Iterator<Item = (u64, u8, u64)> + use<'b, M> {
        let extends = self.reader.layout.at.opcodes.extends_argument;
        let mut upper = 0;
        bytecode.as_chunks::<2>().0.iter().enumerate().map(move |(index, &[opcode, argument])| {
            let argument = upper << 8 | u64::from(argument);
            upper = if opcode == extends { argument & 0xff_ffff } else { 0 };
            (index as u64 * 2, opcode, argument)
        })
    }
}

/// A `PyTryBlock`.
struct Block {
    /// Where its handler begins, in the unit of the frame's instruction.
    handler: u64,
    /// How many values were on the stack when it was entered.
    level: usize,
}
