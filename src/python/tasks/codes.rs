//! The code objects that tasks are in; each is read once for a snapshot.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Address, Frame, FrameId, FunctionId, Origin, Tables};
use crate::python::code::Code;
use crate::python::object::{Invalid, Reader};
use crate::target::Memory;

/// Code objects that are kept; beyond it all are forgotten.
const MOST_CODES: usize = 1 << 16;

/// A code object.
#[derive(Debug)]
pub(super) struct KnownCode {
    /// Its name without that of its class.
    pub name: Box<str>,
    /// The module of asyncio that it is in, as `locks`; empty for the package itself.
    pub asyncio: Option<Box<str>>,
    /// What awaiting it is, when it is one of asyncio's functions.
    pub role: Role,
    code: Code,
    function: FunctionId,
    frames: FxHashMap<u64, FrameId>,
    locals: Option<Arc<[String]>>,
}

/// What awaiting one of asyncio's functions is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Sleep,
    WaitFor,
    Wait,
    Thread,
    Socket,
    /// A method: its object says what is waited for.
    Method,
    /// Not asyncio's.
    Foreign,
}

impl Role {
    fn of(asyncio: Option<&str>, name: &str) -> Self {
        match (asyncio, name) {
            (None, _) => Self::Foreign,
            (Some("tasks"), "sleep") => Self::Sleep,
            (Some("tasks"), "wait_for") => Self::WaitFor,
            (Some("tasks"), "_wait" | "_wait_for_one") => Self::Wait,
            (Some("threads"), "to_thread") => Self::Thread,
            (Some(_), name) if name.starts_with("sock_") => Self::Socket,
            _ => Self::Method,
        }
    }
}

/// The code objects that were met.
#[derive(Debug, Default)]
pub(super) struct Codes {
    by_address: FxHashMap<Address, KnownCode>,
}

impl Codes {
    /// The code object at an address.
    pub(super) fn get<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        tables: &mut Tables,
        address: Address,
    ) -> Result<&mut KnownCode, Invalid> {
        if self.by_address.len() >= MOST_CODES {
            self.by_address.clear();
        }
        match self.by_address.entry(address) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let code = Code::read(reader, address)?;
                let function = &code.function;
                let module = function.module.strip_prefix("asyncio");
                let asyncio = match module {
                    Some("") => Some(""),
                    Some(module) => module.strip_prefix('.'),
                    None => None,
                };
                let name = function.name.rsplit('.').next().unwrap_or_default();
                Ok(place.insert(KnownCode {
                    name: name.into(),
                    role: Role::of(asyncio, name),
                    asyncio: asyncio.map(Into::into),
                    function: tables.functions.intern(function.clone()),
                    code,
                    frames: FxHashMap::default(),
                    locals: None,
                }))
            }
        }
    }
}

impl KnownCode {
    /// Whose code it is.
    pub(super) fn origin(&self) -> Origin {
        Origin::of(&self.code.function)
    }

    /// The frame of its first line: all that is known of a call that is over.
    pub(super) fn definition(&self, tables: &mut Tables) -> FrameId {
        let line = self.code.function.first_line;
        tables.frames.intern(Frame { function: self.function, line })
    }

    /// The frame of an instruction.
    pub(super) fn frame(&mut self, tables: &mut Tables, instruction: u64) -> FrameId {
        let function = self.function;
        let line = || self.code.line(instruction);
        *self
            .frames
            .entry(instruction)
            .or_insert_with(|| tables.frames.intern(Frame { function, line: line() }))
    }

    /// The names of its local variables, by their slots.
    pub(super) fn locals<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        address: Address,
    ) -> Result<Arc<[String]>, Invalid> {
        if let Some(known) = &self.locals {
            return Ok(Arc::clone(known));
        }
        // Up to 3.10 variables that inner functions share are in tuples of their own.
        let at = &reader.layout.at.code;
        let mut names = Vec::new();
        for tuple in [Some(at.local_names), at.cell_names, at.free_names].into_iter().flatten() {
            for name in reader.tuple(reader.pointer(address.offset(tuple))?)? {
                names.push(reader.text(name)?);
            }
        }
        let names: Arc<[String]> = names.into();
        self.locals = Some(Arc::clone(&names));
        Ok(names)
    }
}
