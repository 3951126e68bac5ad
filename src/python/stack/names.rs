//! Whether a function's code has the name of another: then it may well call it.

use crate::model::Address;
use crate::python::object::{Invalid, Reader};
use crate::target::Memory;

/// Whether the code of `caller` names `callee`, as it does where it calls it by its name, be that a
/// variable's or an attribute's. What is called without a name (operators, comprehensions, what
/// begins a thread) counts as named; what cannot be read does not.
pub(super) fn names<M: Memory>(reader: Reader<'_, M>, caller: Address, callee: Address) -> bool {
    if caller.is_null() {
        return begins(reader, callee);
    }
    has_name_of(reader, caller, callee).unwrap_or(false)
}

/// Whether a function begins a thread by its name: a program's own code, or what `threading` runs.
pub(super) fn begins<M: Memory>(reader: Reader<'_, M>, code: Address) -> bool {
    let name = reader.pointer(code.offset(reader.layout.at.code.name));
    let name = name.and_then(|name| reader.text(name)).unwrap_or_default();
    ["<module>", "_run_module_as_main", "_bootstrap"].contains(&name.as_str())
}

fn has_name_of<M: Memory>(
    reader: Reader<'_, M>,
    caller: Address,
    callee: Address,
) -> Result<bool, Invalid> {
    let at = &reader.layout.at.code;
    let name = reader.pointer(callee.offset(at.name))?;
    // Names in code are interned: the same text is the same object.
    for names in [at.names, at.local_names] {
        if reader.tuple(reader.pointer(caller.offset(names))?)?.contains(&name) {
            return Ok(true);
        }
    }
    let name = reader.text(name)?;
    Ok(name.starts_with('<') || (name.starts_with("__") && name.ends_with("__")))
}
