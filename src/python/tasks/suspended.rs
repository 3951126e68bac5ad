//! A coroutine or generator: the frame that it is suspended in, and what it waits for there.

use crate::model::Address;
use crate::python::layout::{AsyncioLayout, GeneratorFrame, InstructionPointer, StackTop};
use crate::python::object::{Invalid, Reader};
use crate::target::Memory;

/// Slots of a value stack that are looked at; a deeper one is garbage.
const MOST_SLOTS: u64 = 1 << 12;

/// How far a generator has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has not begun.
    Created,
    /// It is suspended in an `await` or a `yield from` of this object.
    Awaiting(Address),
    /// It is suspended in a plain `yield`.
    Yielded,
    /// It runs.
    Executing,
}

/// A generator's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspended {
    /// Where it lies.
    pub frame: Address,
    /// Its code object.
    pub code: Address,
    /// Its instruction, as in [`RawFrame`](crate::python::RawFrame).
    pub instruction: u64,
    /// How far it has come.
    pub progress: Progress,
    /// The place above its value stack; null when it runs.
    pub top: Address,
}

/// The code object of a coroutine or generator, also of one that has ended.
///
/// # Errors
/// When it is no generator.
pub(super) fn code_of<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    generator: Address,
) -> Result<Address, Invalid> {
    let field = match layout.generator_frame {
        GeneratorFrame::Pointer(_) => layout.at.generator.code.ok_or(Invalid::Not("generator"))?,
        // Ending clears all of the frame but its code.
        GeneratorFrame::Inside { frame, .. } => frame + reader.layout.at.frame.code,
    };
    Ok(Address(reader.word(generator.offset(field))? & !reader.layout.tag_mask))
}

impl Suspended {
    /// Reads the frame of the coroutine or generator at `generator`; `None` when it has ended.
    ///
    /// # Errors
    /// When it is no generator, or changes.
    pub(super) fn read<M: Memory>(
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
        generator: Address,
    ) -> Result<Option<Self>, Invalid> {
        match layout.generator_frame {
            GeneratorFrame::Pointer(offset) => by_pointer(reader, layout, generator.offset(offset)),
            GeneratorFrame::Inside { frame, state, ambiguous } => {
                let [state] = reader.array(generator.offset(state))?.map(u8::cast_signed);
                let states = &layout.at.states;
                if states.ended.contains(&state) {
                    return Ok(None);
                }
                let mut found = Self::in_frame(reader, generator.offset(frame))?;
                found.progress = if states.created.contains(&state) {
                    Progress::Created
                } else if states.executing.contains(&state) {
                    Progress::Executing
                } else if states.awaiting.contains(&state)
                    && (!ambiguous || resumes_await(reader, found.instruction)?)
                {
                    Progress::Awaiting(Address::NULL)
                } else {
                    Progress::Yielded
                };
                found.with_awaited(reader, layout).map(Some)
            }
        }
    }

    /// The code and the instruction of any frame.
    pub(super) fn in_frame<M: Memory>(
        reader: Reader<'_, M>,
        frame: Address,
    ) -> Result<Self, Invalid> {
        let at = &reader.layout.at.frame;
        let instruction = match reader.layout.instruction {
            InstructionPointer::Pointer => reader.word(frame.offset(at.instruction))?,
            InstructionPointer::Index(_) => {
                i64::from(reader.int32(frame.offset(at.instruction))?) as u64
            }
        };
        let code = reader.word(frame.offset(at.code))? & !reader.layout.tag_mask;
        Ok(Self {
            frame,
            code: Address(code),
            instruction,
            progress: Progress::Created,
            top: Address::NULL,
        })
    }

    /// Fills in the top of the stack, and the awaited object from there.
    fn with_awaited<M: Memory>(
        mut self,
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
    ) -> Result<Self, Invalid> {
        if matches!(self.progress, Progress::Executing | Progress::Created) {
            return Ok(self);
        }
        let locals = self.frame.offset(reader.layout.at.frame.localsplus);
        self.top = match layout.stack_top {
            StackTop::Pointer(top) => reader.pointer(self.frame.offset(top))?,
            StackTop::FromBase(base, depth) => {
                let depth = slots(reader.int32(self.frame.offset(depth))?)?;
                reader.pointer(self.frame.offset(base))?.offset(8 * depth)
            }
            StackTop::FromLocals(depth) => {
                locals.offset(8 * slots(reader.int32(self.frame.offset(depth))?)?)
            }
        };
        if let Progress::Awaiting(_) = self.progress {
            let slot = Address(self.top.0.wrapping_sub(8 * layout.at.stack.awaited));
            let word = reader.word(slot)?;
            self.progress = Progress::Awaiting(Address(word & !reader.layout.tag_mask));
        }
        Ok(self)
    }

    /// The objects on its value stack below the one that it awaits, lowest first.
    pub(super) fn stack<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
    ) -> Result<Vec<Address>, Invalid> {
        if self.top.is_null() {
            return Ok(Vec::new());
        }
        let base = match (layout.at.stack.base, layout.at.code.local_count) {
            (Some(base), _) => reader.pointer(self.frame.offset(base))?,
            (None, Some(count)) => {
                let count = slots(reader.int32(self.code.offset(count))?)?;
                self.frame.offset(reader.layout.at.frame.localsplus + 8 * count)
            }
            (None, None) => return Err(Invalid::Not("frame layout")),
        };
        let awaited = match self.progress {
            Progress::Awaiting(_) => layout.at.stack.awaited,
            _ => 0,
        };
        let count = (self.top.0.wrapping_sub(base.0) / 8).wrapping_sub(awaited);
        if count > MOST_SLOTS {
            return Err(Invalid::Not("value stack"));
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let words = reader.words(base, count)?;
        Ok(words.into_iter().map(|word| Address(word & !reader.layout.tag_mask)).collect())
    }
}

/// Up to 3.10, where the frame is an object of its own.
fn by_pointer<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    place: Address,
) -> Result<Option<Suspended>, Invalid> {
    let frame = reader.pointer(place)?;
    if frame.is_null() {
        return Ok(None);
    }
    let mut found = Suspended::in_frame(reader, frame)?;
    // A frame that runs has no top, or a depth of -1.
    let runs = match layout.stack_top {
        StackTop::Pointer(top) => reader.word(frame.offset(top))? == 0,
        StackTop::FromBase(_, depth) | StackTop::FromLocals(depth) => {
            reader.int32(frame.offset(depth))? < 0
        }
    };
    found.progress = if runs {
        Progress::Executing
    } else if (found.instruction as i64) < 0 {
        Progress::Created
    } else if yields_from(reader, layout, found)? {
        Progress::Awaiting(Address::NULL)
    } else {
        Progress::Yielded
    };
    found.with_awaited(reader, layout).map(Some)
}

/// Whether the instruction to come is the `YIELD_FROM` that an `await` is made of.
fn yields_from<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    frame: Suspended,
) -> Result<bool, Invalid> {
    let at = &reader.layout.at;
    let (InstructionPointer::Index(unit), Some(bytecode)) =
        (reader.layout.instruction, at.code.bytecode_object)
    else {
        return Ok(false);
    };
    let bytecode = reader.pointer(frame.code.offset(bytecode))?.offset(at.bytes.data);
    let index = (frame.instruction as i64).wrapping_mul(unit).wrapping_add(2) as u64;
    let [opcode] = reader.array(bytecode.offset(index))?;
    Ok(layout.at.generator.yield_from == Some(u64::from(opcode)))
}

/// Whether the `RESUME` to come is that of an `await` or a `yield from` (2 or 3 in its operand's
/// lowest bits, `Python/compile.c`) and not of a plain `yield`.
fn resumes_await<M: Memory>(reader: Reader<'_, M>, instruction: u64) -> Result<bool, Invalid> {
    let [_, operand] = reader.array(Address(instruction).offset(2))?;
    Ok(operand & 3 >= 2)
}

/// A count of slots, if it is plausible.
fn slots(count: i32) -> Result<u64, Invalid> {
    u64::try_from(count)
        .ok()
        .filter(|count| *count <= MOST_SLOTS)
        .ok_or(Invalid::Not("value stack"))
}
