//! The event loop of a thread: which step it is in, and since when.

mod asyncio;
mod fields;
mod gevent;
mod timers;
mod trio;
mod uvloop;

pub use self::asyncio::{AsyncioLoop, LoopSlots};
pub use self::gevent::{Ends, GeventHub, HubSlots};
pub use self::trio::{TrioLoop, TrioSlots};
pub use self::uvloop::UvLoop;

use super::object::{Invalid, Reader};
use crate::model::{Address, Function, Nanos};
use crate::target::Memory;

/// A function of an event loop, known by its name and its local variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopFunction {
    /// Runs one iteration of asyncio's loop.
    Asyncio(LoopSlots),
    /// Runs trio's tasks.
    Trio(TrioSlots),
    /// Drives trio's loop and waits for its events.
    TrioDriver,
    /// Runs gevent's loop.
    GeventHub(HubSlots),
}

impl LoopFunction {
    /// What the code object at `code` of a function is, if it is one of these.
    pub(super) fn of<M: Memory>(
        reader: Reader<'_, M>,
        code: Address,
        function: &Function,
    ) -> Result<Option<Self>, Invalid> {
        let name = function.name.rsplit('.').next().unwrap_or_default();
        match (&*function.module, name) {
            (_, "_run_once" | "unrolled_run") | ("trio._core._run" | "gevent.hub", "run") => {}
            _ => return Ok(None),
        }
        let names = reader.pointer(code.offset(reader.layout.at.code.local_names))?;
        let names: Vec<String> = reader
            .tuple(names)?
            .into_iter()
            .map(|name| reader.text(name))
            .collect::<Result<_, _>>()?;
        Ok(match (&*function.module, name) {
            (_, "_run_once") => LoopSlots::among(&names).map(Self::Asyncio),
            (_, "unrolled_run") => TrioSlots::among(&names).map(Self::Trio),
            ("gevent.hub", _) => HubSlots::among(&names).map(Self::GeventHub),
            _ => place_of(&names, "gen").map(|_| Self::TrioDriver),
        })
    }
}

/// The place of a local variable.
fn place_of(names: &[String], wanted: &str) -> Option<usize> {
    names.iter().position(|name| name == wanted)
}

/// What the loop does at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoopState {
    /// The epoll instance of the loop's own selector.
    pub epoll: Option<i32>,
    /// The callback that runs; `None` when none does.
    pub callback: Option<Callback>,
}

/// A callback that is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Callback {
    /// Differs between callbacks that follow each other.
    pub key: u64,
    /// When the iteration's callbacks began, on `CLOCK_MONOTONIC`.
    pub iteration_started: Nanos,
    /// Whether the callback certainly began no earlier.
    pub began_later: bool,
    /// Whether it is the first callback of its iteration, which began with it.
    pub first: bool,
}
