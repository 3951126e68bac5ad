//! The offsets, as data: a TOML file per series, overlaid by what the interpreter publishes.

use serde::Deserialize;
use toml::{Table, Value};

use super::LayoutError;
use crate::model::Address;
use crate::target::{Memory, Span};

/// No structure of the interpreter that is read here is larger; a published offset beyond it is
/// garbage.
const LARGEST_OFFSET: u64 = 1 << 20;

/// The tables, by series.
const TABLES: [(&str, &str); 9] = [
    ("3.8", include_str!("3.8.toml")),
    ("3.9", include_str!("3.9.toml")),
    ("3.10", include_str!("3.10.toml")),
    ("3.11", include_str!("3.11.toml")),
    ("3.12", include_str!("3.12.toml")),
    ("3.13", include_str!("3.13.toml")),
    ("3.13t", include_str!("3.13t.toml")),
    ("3.14", include_str!("3.14.toml")),
    ("3.15", include_str!("3.15.toml")),
];

/// Declares a structure's offsets: `name` must be there, `name?` need not.
macro_rules! offsets {
    ($(#[$doc:meta])* $name:ident { $($field:ident),* $(; $($optional:ident),*)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(in crate::python) struct $name {
            $(pub $field: u64,)*
            $($(pub $optional: Option<u64>,)*)?
        }
    };
}

pub(super) use offsets;

offsets!(/// `_PyRuntimeState`; `gil` up to 3.11, `collector` up to 3.8.
    Runtime { interpreters_head; gil, collector });
offsets!(/// `PyInterpreterState`; `gil` (a pointer) from 3.12 on, `collector` from 3.9 on.
    Interpreter { next, id, threads_head, modules; gil, collector });
offsets!(/// `PyThreadState`; `frame` is the frame, the `_PyCFrame` or the interpreter frame.
Thread {
    next, pthread, frame;
    native_id, datastack_chunk, state, gil_requested
});
offsets!(/// `struct _gil_runtime_state`.
    Gil { last_holder, locked, cond, size; enabled });
offsets!(/// `struct _gc_runtime_state`.
    Collector { collecting });
offsets!(/// `_PyCFrame`.
    CFrame { current_frame });
offsets!(/// `PyFrameObject` up to 3.10, `_PyInterpreterFrame` after.
    ///
/// `value_stack` (a pointer), `block_count` and `blocks` up to 3.10.
    Frame {
        code, previous, instruction, localsplus, globals;
        owner, value_stack, block_count, blocks
    });
offsets!(/// `PyCodeObject`; `local_names` is `co_varnames` up to 3.10, which has the other two beside it.
///
/// `local_count` is `co_nlocalsplus`, with `exceptions` from 3.11 on.
    Code {
        name, file, first_line, line_table, local_names, names, stack_size;
        qualified_name, bytecode, bytecode_object, local_count, exceptions, free_names, cell_names
    });
offsets!(/// `PyFunctionObject`.
    Function { code });
offsets!(/// `PyGenObject`: the frame itself, or up to 3.10 a pointer to it.
    Generator { frame });
offsets!(/// `PyObject` and `PyVarObject`; `mutex` is a free-threaded object's own.
    Object { r#type, size; mutex });
offsets!(/// `PyTypeObject` and `PyHeapTypeObject`.
    Type { name, basic_size, flags, dict_offset, cached_keys });
offsets!(/// `PyASCIIObject` and `PyCompactUnicodeObject`.
    Unicode { length, state, kind_bit, compact_bit, ascii_bit, ascii_data, compact_data });
offsets!(/// `PyBytesObject`.
    Bytes { data });
offsets!(/// `PyTupleObject`.
    Tuple { items });
offsets!(/// `PyDictObject`.
    Dict { keys, values });
offsets!(/// `PyDictKeysObject`; `size` up to 3.10, the others after.
    Keys { entries, indices; size, log2_index_bytes, kind });
offsets!(/// `PyDictValues`.
    Values { items; valid });
offsets!(/// `PyLongObject`.
    Long { digits; tag });
offsets!(/// `PyModuleObject`.
    Module { dict });

/// Instructions, by what matters here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::python) struct Opcodes {
    /// Those that run no code that could release the GIL, the specialised ones among them.
    pub harmless: Vec<u8>,
    /// Up to 3.9, where the interpreter looks whether others want the GIL after most instructions:
    /// those that seldom run code that releases it.
    #[serde(default)]
    pub unlikely: Vec<u8>,
    /// Up to 3.9, where nothing else tells the line of a `with`: those that begin one.
    #[serde(default)]
    pub enters_with: Vec<u8>,
    /// `EXTENDED_ARG`, whose argument is the next instruction's upper byte.
    pub extends_argument: u8,
    /// Units of inline cache behind the load of a global.
    pub global_caches: usize,
    /// The same of an attribute.
    pub attribute_caches: usize,
    /// Those that load a variable, local or global.
    pub loads_variable: Vec<u8>,
    /// Those that load an attribute, be it to call it.
    pub loads_attribute: Vec<u8>,
    /// The bits of their argument below the index of the name.
    #[serde(default)]
    pub name_shift: u32,
}

/// All offsets of a series, in bytes.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::python) struct Fields {
    pub runtime: Runtime,
    pub interpreter: Interpreter,
    pub thread: Thread,
    pub gil: Gil,
    pub collector: Collector,
    pub frame_root: Option<CFrame>,
    pub frame: Frame,
    pub code: Code,
    pub function: Function,
    pub generator: Generator,
    pub object: Object,
    pub r#type: Type,
    pub unicode: Unicode,
    pub bytes: Bytes,
    pub tuple: Tuple,
    pub dict: Dict,
    pub keys: Keys,
    pub values: Values,
    pub long: Long,
    pub module: Module,
    pub opcodes: Opcodes,
}

impl TryFrom<Table> for Fields {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        table.try_into().map_err(|error| error.message().to_owned())
    }
}

/// The table of a series.
pub(super) fn table(series: &str) -> Option<Table> {
    let (_, text) = TABLES.iter().find(|(name, _)| *name == series)?;
    text.parse().ok()
}

/// Replaces in `table` what its `section` says that is published at `address`.
pub(super) fn overlay_published(
    table: &mut Table,
    section: &str,
    memory: &impl Memory,
    address: Address,
) -> Result<(), LayoutError> {
    let Some(Value::Table(published)) = table.remove(section) else { return Ok(()) };
    let size = published.get("size").and_then(Value::as_integer).unwrap_or(0);
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    memory.read(&[Span { address, len: bytes.len() }], &mut bytes)?;
    let places = published.get("fields").and_then(Value::as_table).into_iter().flatten();
    for (name, place) in places {
        let place = place.as_integer().and_then(|place| usize::try_from(place).ok());
        let word = place
            .and_then(|place| bytes.get(place..)?.first_chunk::<8>())
            .map(|word| u64::from_ne_bytes(*word))
            .filter(|offset| *offset < LARGEST_OFFSET)
            .ok_or_else(|| LayoutError::Implausible(name.clone()))?;
        let target = name
            .split_once('.')
            .and_then(|(section, field)| table.get_mut(section)?.as_table_mut()?.get_mut(field))
            .ok_or_else(|| LayoutError::Implausible(name.clone()))?;
        *target = Value::Integer(word as i64);
    }
    Ok(())
}
