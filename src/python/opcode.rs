//! What the instruction that a thread is at can do.

use super::layout::InstructionPointer;
use super::object::{Invalid, Reader};
use super::stack::RawFrame;
use crate::model::Address;
use crate::target::Memory;

/// Whether a thread at an instruction may run without the GIL because it released it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleasesGil {
    /// A jump or a load, which runs no such code: a thread there without the GIL wants it back.
    Never,
    /// It seldom does; a thread there mostly wants the GIL back.
    Seldom,
    /// It may call anything.
    Maybe,
}

impl ReleasesGil {
    /// Of the instruction of the innermost frame.
    ///
    /// # Errors
    /// When the code is not there any more.
    pub fn at<M: Memory>(reader: Reader<'_, M>, frame: RawFrame) -> Result<Self, Invalid> {
        let at = &reader.layout.at;
        let address = match (reader.layout.instruction, at.code.bytecode_object) {
            (InstructionPointer::Pointer, _) => Address(frame.instruction),
            (InstructionPointer::Index(_), None) => return Ok(Self::Maybe),
            (InstructionPointer::Index(unit), Some(offset)) => {
                let bytecode = reader.pointer(frame.code.offset(offset))?;
                let index = (frame.instruction as i64).wrapping_mul(unit) as u64;
                bytecode.offset(at.bytes.data).offset(index)
            }
        };
        let [opcode] = reader.array(address)?;
        Ok(if at.opcodes.harmless.contains(&opcode) {
            Self::Never
        } else if at.opcodes.unlikely.contains(&opcode) {
            Self::Seldom
        } else {
            Self::Maybe
        })
    }
}
