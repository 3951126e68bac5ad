//! From code addresses to interned frames: every code object is read once.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::model::{Address, Failure, Frame, FrameId, FunctionId, StackId, Tables};
use crate::python::{Code, Ends, LoopFunction, RawFrame, Reader};
use crate::target::Memory;

/// Code objects that are kept, and the bytes of their line tables and names; beyond that all are forgotten
/// and read again.
const MOST_CODES: usize = 1 << 17;
const MOST_BYTES: usize = 1 << 24;
/// Code objects that are checked at once for having been replaced.
const CHECKED_AT_ONCE: usize = 512;

/// A code object and the frames that were met in it.
#[derive(Debug)]
struct Symbol {
    code: Code,
    function: FunctionId,
    frames: FxHashMap<u64, FrameId>,
    used: bool,
}

/// The code objects of a process.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    by_address: FxHashMap<Address, Symbol>,
    bytes: usize,
}

/// What a stack was interned to, last time: its outer part is mostly the same again.
#[derive(Debug, Default)]
pub(super) struct LastStack {
    /// Outermost first, each with the stack up to it.
    frames: Vec<(RawFrame, StackId)>,
}

/// A stack, interned.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Interned {
    pub stack: StackId,
    /// The innermost frame that is an event loop's.
    pub loop_frame: Option<(RawFrame, LoopFunction)>,
    /// Its two ends.
    pub ends: Option<Ends>,
}

impl Symbols {
    /// The stack of `frames` (innermost first).
    pub(super) fn intern<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        frames: &[RawFrame],
        last: &mut LastStack,
        tables: &mut Tables,
    ) -> Result<Interned, Failure> {
        let same = last.frames.iter().zip(frames.iter().rev()).take_while(|((a, _), b)| a == *b);
        let same = same.count();
        last.frames.truncate(same);
        let mut stack = last.frames.last().map_or(StackId::EMPTY, |(_, stack)| *stack);
        for frame in frames.iter().rev().skip(same) {
            let symbol = self.symbol(reader, frame.code, tables)?;
            let function = symbol.function;
            let line = || symbol.code.line(frame.instruction);
            let id = *symbol
                .frames
                .entry(frame.instruction)
                .or_insert_with(|| tables.frames.intern(Frame { function, line: line() }));
            stack = tables.push_frame(stack, id);
            last.frames.push((*frame, stack));
        }
        let ends = frames.first().zip(frames.last());
        let ends = ends.map(|(&innermost, &outermost)| Ends { innermost, outermost });
        Ok(Interned { stack, loop_frame: self.loop_frame(frames), ends })
    }

    /// The function of the code object at an address.
    pub(super) fn function<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        code: Address,
        tables: &mut Tables,
    ) -> Result<FunctionId, Failure> {
        self.symbol(reader, code, tables).map(|symbol| symbol.function)
    }

    /// Whether a code object that was met is a program's own, outside all functions.
    pub(super) fn is_program(&self, code: Address) -> bool {
        self.by_address.get(&code).is_some_and(|symbol| {
            matches!(&*symbol.code.function.name, "<module>" | "_run_module_as_main")
        })
    }

    fn loop_frame(&self, frames: &[RawFrame]) -> Option<(RawFrame, LoopFunction)> {
        frames
            .iter()
            .find_map(|frame| Some((*frame, self.by_address.get(&frame.code)?.code.loop_function?)))
    }

    fn symbol<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        address: Address,
        tables: &mut Tables,
    ) -> Result<&mut Symbol, Failure> {
        if self.by_address.len() > MOST_CODES || self.bytes > MOST_BYTES {
            self.by_address.clear();
            self.bytes = 0;
        }
        match self.by_address.entry(address) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                known.used = true;
                Ok(known)
            }
            Entry::Vacant(place) => {
                let code = Code::read(reader, address).map_err(|_| Failure::Invalid)?;
                self.bytes += code.size();
                let function = tables.functions.intern(code.function.clone());
                Ok(place.insert(Symbol {
                    code,
                    function,
                    frames: FxHashMap::default(),
                    used: true,
                }))
            }
        }
    }

    /// Forgets code objects whose place another has taken, among those that were used since the
    /// last call; tells whether there were any, since then remembered stacks are void too.
    pub(super) fn drop_replaced<M: Memory>(&mut self, reader: Reader<'_, M>) -> bool {
        let used = self.by_address.iter_mut().filter(|(_, symbol)| symbol.used);
        let checked: Vec<_> = used
            .take(CHECKED_AT_ONCE)
            .map(|(address, symbol)| {
                symbol.used = false;
                *address
            })
            .collect();
        let spans: Vec<_> =
            checked.iter().map(|address| Code::head(reader.layout, *address)).collect();
        let mut heads = vec![0; spans.iter().map(|span| span.len).sum()];
        // Where one of them is not mapped any more, all are read again when they are met.
        let readable = reader.memory.read(&spans, &mut heads).is_ok();
        let mut heads = heads.as_slice();
        let known = self.by_address.len();
        for span in spans {
            let Some((head, rest)) = heads.split_at_checked(span.len) else { break };
            heads = rest;
            let same = |symbol: &Symbol| symbol.code.has_head(reader.layout, head);
            if !(readable && self.by_address.get(&span.address).is_some_and(same)) {
                self.by_address.remove(&span.address);
            }
        }
        self.by_address.len() < known
    }
}
