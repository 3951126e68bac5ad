//! What kind of thing an object is, by its type; every type is looked at once.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::Address;
use crate::python::layout::AsyncioLayout;
use crate::python::object::{Invalid, Reader};
use crate::target::Memory;

/// Types that are kept; beyond it all are forgotten.
const MOST_TYPES: usize = 1 << 16;
/// Base classes that are looked at.
const MOST_BASES: usize = 16;

/// Kinds of objects that lead from a task to what it waits for, and to who waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A task in C, or one of a class made from it.
    Task,
    /// A future in C, or one of a class made from it.
    Future,
    /// What `gather` returns, a future too.
    Gathering,
    /// A coroutine, generator or asynchronous generator.
    Generator,
    /// Something whose first word is the coroutine or generator that it wraps.
    Wrapper,
    /// What awaiting a future yields from; its first word is the future.
    FutureIter,
    /// A bound method of a Python function.
    Method,
    /// A bound method of a C function.
    BuiltinMethod,
    /// What wakes a task up, whose first word is the task (up to 3.9).
    Wakeup,
    Function,
    Partial,
    Cell,
    Text,
    Integer,
    Float,
    Other,
}

impl Kind {
    /// The kind of which the builtin or asyncio's class `name` is.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "_asyncio.Task" => Self::Task,
            "_asyncio.Future" => Self::Future,
            "_GatheringFuture" => Self::Gathering,
            "coroutine" | "generator" | "async_generator" => Self::Generator,
            "async_generator_asend"
            | "async_generator_athrow"
            | "coroutine_wrapper"
            | "anext_awaitable" => Self::Wrapper,
            "_asyncio.FutureIter" | "FutureIter" => Self::FutureIter,
            "method" => Self::Method,
            "builtin_function_or_method" => Self::BuiltinMethod,
            "function" => Self::Function,
            "TaskWakeupMethWrapper" => Self::Wakeup,
            "functools.partial" => Self::Partial,
            "cell" => Self::Cell,
            "str" => Self::Text,
            "int" => Self::Integer,
            "float" => Self::Float,
            _ => return None,
        })
    }

    /// Whether it begins as `FutureObj` does.
    pub(super) fn is_future(self) -> bool {
        matches!(self, Self::Task | Self::Future | Self::Gathering)
    }
}

/// A type.
#[derive(Debug)]
pub(super) struct TypeInfo {
    pub kind: Kind,
    /// Its name and those of its base classes, nearest first.
    pub names: Vec<Box<str>>,
    /// `tp_basicsize`.
    pub size: u64,
}

impl TypeInfo {
    /// Its own name.
    pub(super) fn name(&self) -> &str {
        self.names.first().map_or("", |name| name)
    }
}

/// The types that were met.
#[derive(Debug, Default)]
pub(super) struct Types {
    by_address: FxHashMap<Address, Arc<TypeInfo>>,
}

impl Types {
    /// The type of an object.
    pub(super) fn of<M: Memory>(
        &mut self,
        reader: Reader<'_, M>,
        layout: &AsyncioLayout,
        object: Address,
    ) -> Result<&Arc<TypeInfo>, Invalid> {
        if object.is_null() {
            return Err(Invalid::Not("object"));
        }
        let r#type = reader.type_of(object)?;
        if self.by_address.len() >= MOST_TYPES {
            self.by_address.clear();
        }
        match self.by_address.entry(r#type) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(place) => {
                Ok(place.insert(Arc::new(look_at(reader, layout, r#type)?)))
            }
        }
    }
}

fn look_at<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    r#type: Address,
) -> Result<TypeInfo, Invalid> {
    let mut names = Vec::new();
    let mut next = r#type;
    while !next.is_null() && names.len() < MOST_BASES {
        names.push(reader.type_name(next)?.into_boxed_str());
        next = reader.pointer(next.offset(layout.at.r#type.base))?;
    }
    let kind = names.iter().find_map(|name| Kind::of(name)).unwrap_or(Kind::Other);
    let size = reader.word(r#type.offset(reader.layout.at.r#type.basic_size))?;
    Ok(TypeInfo { kind, names, size })
}
