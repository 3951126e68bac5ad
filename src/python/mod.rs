//! The interpreter's memory, read. Invariant: no version test outside `layout`; never writes to the target.

mod code;
mod event_loop;
mod gil;
mod interpreter;
mod layout;
mod legacy;
mod line_table;
mod locate;
mod locks;
mod module_name;
mod object;
mod opcode;
mod slots;
mod stack;
mod tasks;
mod tid;

pub use self::code::Code;
pub use self::event_loop::{
    AsyncioLoop, Ends, GeventHub, LoopFunction, LoopState, TrioLoop, UvLoop,
};
pub use self::gil::{Gil, GilWaiters, is_parked_on_state};
pub use self::interpreter::{Interpreter, KnownThread, PythonThread, ThreadHead, Watch};
pub use self::layout::{AsyncioLayout, Layout, LayoutError, Version};
pub use self::legacy::{LegacyError, LegacyInterpreter, LegacyThread, is_legacy};
pub use self::locate::{LocateError, Runtime};
pub use self::locks::{Awaited, Claims, Futex, Holding, LockFacts, LockReader, RawWait, Worker};
pub use self::object::{Invalid, Reader};
pub use self::opcode::ReleasesGil;
pub use self::stack::{Edges, RawFrame, StackReader};
pub use self::tasks::{Asyncio, CurrentTask, CurrentTasks};
