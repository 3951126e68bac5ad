//! Code objects: what function an instruction belongs to, and which line.

use super::event_loop::LoopFunction;
use super::layout::{InstructionPointer, Layout, LineTable};
use super::line_table::line_at;
use super::module_name::module_of;
use super::object::word;
use super::object::{Invalid, Reader};
use crate::model::{Address, Function};
use crate::target::{Memory, Span};

/// A code object, read once and kept.
#[derive(Debug, Clone)]
pub struct Code {
    /// The function.
    pub function: Function,
    /// What it is to an event loop, and where that keeps what it is doing.
    pub loop_function: Option<LoopFunction>,
    identity: [u64; 4],
    table: Vec<u8>,
    format: LineTable,
    first_line: i64,
    /// What an instruction is counted from, and the bytes that one unit of it stands for.
    origin: (u64, i64),
}

impl Code {
    /// Reads the code object at `address`.
    ///
    /// # Errors
    /// When there is none.
    pub fn read<M: Memory>(reader: Reader<'_, M>, address: Address) -> Result<Self, Invalid> {
        if reader.type_name_of(address)? != "code" {
            return Err(Invalid::Not("code object"));
        }
        let at = &reader.layout.at.code;
        let span = Self::head(reader.layout, address);
        let mut head = vec![0; span.len];
        reader.memory.read(&[span], &mut head)?;
        let identity = Self::identity(reader.layout, &head).ok_or(Invalid::Not("code object"))?;
        let [name, file, table, _] = identity.map(Address);
        let (name, qualified) = match at.qualified_name {
            Some(offset) => (reader.pointer(address.offset(offset))?, true),
            None => (name, false),
        };
        let name = reader.text(name)?;
        let file = reader.text(file)?;
        let first_line = reader.int32(address.offset(at.first_line))?;
        let function = Function {
            module: module_of(&file).into(),
            name: name.into(),
            qualified,
            file: file.into(),
            first_line: u32::try_from(first_line).unwrap_or(0),
        };
        Ok(Self {
            loop_function: LoopFunction::of(reader, address, &function)?,
            function,
            identity,
            table: reader.bytes(table)?,
            format: reader.layout.line_table,
            first_line: i64::from(first_line),
            origin: match (reader.layout.instruction, at.bytecode) {
                (InstructionPointer::Pointer, Some(offset)) => (address.offset(offset).0, 1),
                (InstructionPointer::Index(unit), _) => (0, unit),
                (InstructionPointer::Pointer, None) => (0, 1),
            },
        })
    }

    /// The words by which a code object is known again, in the bytes of its [`Self::head`]: its name,
    /// file, line table and first line.
    fn identity(layout: &Layout, head: &[u8]) -> Option<[u64; 4]> {
        let at = &layout.at.code;
        let first_line = word(head, at.first_line)? as u32 as i32;
        Some([
            word(head, at.name)?,
            word(head, at.file)?,
            word(head, at.line_table)?,
            first_line as u64,
        ])
    }

    /// What must be read to know a code object again.
    pub fn head(layout: &Layout, address: Address) -> Span {
        let at = &layout.at.code;
        let last = [at.name, at.file, at.line_table, at.first_line].into_iter().max();
        Span { address, len: last.unwrap_or(0) as usize + 8 }
    }

    /// Whether these are the bytes of this code object's head: a freed one's place may be taken by
    /// another. Its name, file and line table would have to be at the same addresses as before.
    pub fn has_head(&self, layout: &Layout, head: &[u8]) -> bool {
        Self::identity(layout, head) == Some(self.identity)
    }

    /// The memory that it takes here, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.table.len() + self.function.name.len() + self.function.file.len()
    }

    /// The line of an instruction as [`RawFrame::instruction`](super::RawFrame) gives it.
    #[must_use]
    pub fn line(&self, instruction: u64) -> u32 {
        let (origin, unit) = self.origin;
        let offset = (instruction.wrapping_sub(origin) as i64).wrapping_mul(unit);
        line_at(self.format, &self.table, self.first_line, offset)
    }
}
