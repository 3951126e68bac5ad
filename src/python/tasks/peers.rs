//! The socket behind what a task waits for: through the reader, the protocol or the connection that
//! it belongs to, to asyncio's transport, which knows its descriptor.

use crate::model::Address;
use crate::python::layout::AsyncioLayout;
use crate::python::object::{Invalid, Reader};
use crate::target::Memory;

/// The names under which libraries keep the next thing on the way, nearest to the socket first.
const STEPS: [&str; 10] = [
    "_transport",
    "transport",
    "_ssl_protocol",
    "_protocol",
    "protocol",
    "_connection",
    "_conn",
    "_stream",
    "_reader",
    "reader",
];
/// uvloop's transports, and where they have libuv's handle: behind the head and Cython's table of
/// methods.
const UV_TRANSPORTS: [&str; 2] = ["uvloop.loop.TCPTransport", "uvloop.loop.UnixTransport"];
const UV_HANDLE: u64 = 8;
/// `uv_handle_t.data`, which points back, and `uv_stream_t.io_watcher.fd` (libuv 1.x on 64-bit
/// Unix).
const UV_DATA: u64 = 0;
const UV_FD: u64 = 184;
/// Things between a task's object and its socket.
const DEEPEST: u32 = 4;

/// The descriptor of the socket behind `object`; `None` where none is found, as with uvloop's
/// transports under TLS.
///
/// # Errors
/// When the memory changes under the reader.
pub(super) fn descriptor<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    object: Address,
) -> Result<Option<i32>, Invalid> {
    search(reader, layout, object, DEEPEST)
}

/// Whether an object keeps a timer of the loop: its own limit for what is waited for there.
///
/// # Errors
/// When the memory changes under the reader.
pub(super) fn has_timer<M: Memory>(
    reader: Reader<'_, M>,
    object: Address,
) -> Result<bool, Invalid> {
    /// No such object has more.
    const MOST_ATTRIBUTES: usize = 128;
    for (_, value) in reader.attributes(object)?.into_iter().take(MOST_ATTRIBUTES) {
        if reader.type_name_of(value)?.ends_with("TimerHandle") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a timer of asyncio's loop calls a method of `object`'s, as `call_later(60, task.cancel)`
/// has it.
///
/// # Errors
/// When the memory changes under the reader.
pub(super) fn is_called_by_timer<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    object: Address,
    event_loop: Address,
) -> Result<bool, Invalid> {
    /// Timers that are looked at.
    const MOST_TIMERS: u64 = 1 << 12;
    let Some(timers) = reader.attribute(event_loop, "_scheduled")? else { return Ok(false) };
    let count = reader.word(timers.offset(reader.layout.at.object.size))?.min(MOST_TIMERS);
    let timers = reader.words(reader.pointer(timers.offset(layout.at.list.items))?, count)?;
    let Some(first) = timers.first() else { return Ok(false) };
    let callback = reader.slot(layout, reader.type_of(Address(*first))?, "_callback")?;
    // After its head, a method of C has its definition and its object, one of Python its function
    // and its object.
    let this = reader.layout.at.object.r#type + 16;
    Ok(timers.into_iter().any(|timer| {
        let callback = reader.pointer(Address(timer).offset(callback));
        callback.is_ok_and(|callback| {
            !callback.is_null() && reader.pointer(callback.offset(this)) == Ok(object)
        })
    }))
}

fn search<M: Memory>(
    reader: Reader<'_, M>,
    layout: &AsyncioLayout,
    object: Address,
    depth: u32,
) -> Result<Option<i32>, Invalid> {
    let Some(depth) = depth.checked_sub(1) else { return Ok(None) };
    let name = reader.type_name_of(object)?;
    if name == "NoneType" {
        return Ok(None);
    }
    if UV_TRANSPORTS.contains(&&*name) {
        return uv_descriptor(reader, object);
    }
    if name.ends_with("Transport")
        && let Some(number) = reader.member(layout, object, "_sock_fd")?
    {
        return Ok(i32::try_from(reader.integer(number)?).ok());
    }
    for step in STEPS {
        if let Some(next) = reader.member(layout, object, step)?
            && let Ok(Some(found)) = search(reader, layout, next, depth)
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The descriptor of a transport of uvloop.
fn uv_descriptor<M: Memory>(
    reader: Reader<'_, M>,
    transport: Address,
) -> Result<Option<i32>, Invalid> {
    let head = reader.layout.at.object.r#type + 8;
    let handle = reader.pointer(transport.offset(head + UV_HANDLE))?;
    if handle.is_null() || reader.pointer(handle.offset(UV_DATA))? != transport {
        return Ok(None);
    }
    let number = reader.int32(handle.offset(UV_FD))?;
    Ok((number >= 0).then_some(number))
}
