//! Where asyncio keeps its loops and tasks, and generators what they wait for: data, as in `fields`.

use serde::Deserialize;
use toml::Table;

use super::fields::{offsets, overlay_published};
use super::{LayoutError, Version};
use crate::model::Address;
use crate::target::Memory;

/// The tables, by series.
const TABLES: [(&str, &str); 9] = [
    ("3.8", include_str!("asyncio/3.8.toml")),
    ("3.9", include_str!("asyncio/3.9.toml")),
    ("3.10", include_str!("asyncio/3.10.toml")),
    ("3.11", include_str!("asyncio/3.11.toml")),
    ("3.12", include_str!("asyncio/3.12.toml")),
    ("3.13", include_str!("asyncio/3.13.toml")),
    ("3.13t", include_str!("asyncio/3.13t.toml")),
    ("3.14", include_str!("asyncio/3.14.toml")),
    ("3.15", include_str!("asyncio/3.15.toml")),
];

offsets!(/// `PyThreadState`: its `dict` up to 3.12, its own loop, task and list of tasks since.
    Thread { ; dict, running_loop, running_task, tasks_head });
offsets!(/// `PyInterpreterState`: the tasks of threads that have ended (3.14+).
    Interpreter { ; tasks_head });
offsets!(/// `TaskObj` of `_asynciomodule.c`, which begins as `FutureObj` does.
Task {
    size, event_loop, callback0, callbacks, state, must_cancel, must_cancel_mask, fut_waiter,
    coroutine, name;
    cancel_requests, is_task, awaited_by, awaited_by_is_set, node
});
offsets!(/// `PyGenObject`; `frame` is a pointer up to 3.10, the frame itself after. And the instruction of
/// an `await` and `gi_code`, up to 3.10.
    Generator { frame; state, yield_from, code });
offsets!(/// The value stack of a suspended frame; `awaited` counts slots from its top.
    Stack { awaited; base, top, depth });
offsets!(/// `PyCodeObject`, beside what all code needs.
    Code { ; local_count });
offsets!(/// `PySetObject`.
    Set { mask, table });
offsets!(/// `PyListObject`.
    List { items });
offsets!(/// `PyWeakReference`.
    WeakReference { object });
offsets!(/// `PyFunctionObject`.
    Function { code, closure });
offsets!(/// `PyTypeObject`, beside what all objects need.
    Type { base, dict });

/// The values of a generator's `gi_frame_state` that matter here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::python) struct States {
    pub created: Vec<i8>,
    /// Suspended in an `await` or a `yield from`.
    pub awaiting: Vec<i8>,
    pub executing: Vec<i8>,
    pub ended: Vec<i8>,
}

/// All offsets of a series, in bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::python) struct Fields {
    pub thread: Thread,
    #[serde(default)]
    pub interpreter: Interpreter,
    pub task: Task,
    pub generator: Generator,
    pub states: States,
    pub stack: Stack,
    #[serde(default)]
    pub code: Code,
    pub set: Set,
    pub list: List,
    pub weak_reference: WeakReference,
    pub function: Function,
    pub r#type: Type,
}

/// How a thread tells the loop that it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::python) enum RunningLoop {
    /// By an entry of the thread state's dict, which is at this offset (up to 3.12).
    Dict(u64),
    /// By a word of the thread state (3.13+).
    Field(u64),
}

/// Where all tasks are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::python) enum TaskList {
    /// In weak sets of the module (up to 3.13).
    Sets,
    /// In a linked list of each thread, and one of the interpreter for threads that have ended;
    /// `current` is the offset of the thread's running task.
    Linked { thread: u64, interpreter: u64, node: u64, current: u64 },
}

/// Where the frame of a generator is, and how it tells that it is suspended in an `await`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::python) enum GeneratorFrame {
    /// A pointer at this offset leads to it; the instruction to come is `YIELD_FROM` (up to 3.10).
    Pointer(u64),
    /// It is in the generator, whose state is at the second offset. Where `ambiguous`, a plain
    /// `yield` has that state too, and the operand of the `RESUME` to come tells (3.11, 3.12).
    Inside { frame: u64, state: u64, ambiguous: bool },
}

/// How a suspended frame tells the top of its value stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::python) enum StackTop {
    /// By a pointer (up to 3.9, 3.14+).
    Pointer(u64),
    /// By a count of slots from the pointer at the first offset (3.10).
    FromBase(u64, u64),
    /// By a count of slots, locals included (3.11–3.13).
    FromLocals(u64),
}

/// What asyncio looks like in one CPython version.
#[derive(Debug, Clone)]
pub struct AsyncioLayout {
    pub(in crate::python) at: Fields,
    pub(in crate::python) running_loop: RunningLoop,
    pub(in crate::python) task_list: TaskList,
    pub(in crate::python) generator_frame: GeneratorFrame,
    pub(in crate::python) stack_top: StackTop,
}

impl AsyncioLayout {
    /// The layout of `version` from the tables, with what the interpreter publishes at `runtime`
    /// and asyncio at `debug` in their stead.
    ///
    /// # Errors
    /// When the version is not known, or what is published makes no sense.
    pub fn of(
        version: Version,
        memory: &impl Memory,
        runtime: Address,
        debug: Option<Address>,
    ) -> Result<Self, LayoutError> {
        let series = version.series();
        let text = TABLES.iter().find(|(name, _)| *name == series).map(|(_, text)| *text);
        let mut table: Table =
            text.and_then(|text| text.parse().ok()).ok_or(LayoutError::Unknown(version))?;
        overlay_published(&mut table, "debug_offsets", memory, runtime)?;
        match debug {
            Some(debug) => overlay_published(&mut table, "asyncio_debug", memory, debug)?,
            None => drop(table.remove("asyncio_debug")),
        }
        let mut at: Fields = table
            .try_into()
            .map_err(|error| LayoutError::Implausible(error.message().to_owned()))?;
        // Published are the fields beside these, which have kept their distance since 3.14.
        if let (Some(is_task), Some(_)) = (at.task.is_task, debug) {
            let before = |offset: u64, bytes: u64| {
                offset.checked_sub(bytes).ok_or_else(|| LayoutError::Implausible("task".to_owned()))
            };
            at.task.state = before(is_task, 4)?;
            at.task.must_cancel = is_task + 2;
            at.task.cancel_requests = Some(is_task + 4);
            at.task.fut_waiter = before(at.task.coroutine, 8)?;
        }
        Self::with_fields(at)
            .filter(|layout| layout.at.task.size <= LARGEST_TASK)
            .ok_or_else(|| LayoutError::Implausible("asyncio".to_owned()))
    }

    fn with_fields(at: Fields) -> Option<Self> {
        let thread = &at.thread;
        Some(Self {
            running_loop: match (thread.dict, thread.running_loop) {
                (_, Some(field)) => RunningLoop::Field(field),
                (dict, None) => RunningLoop::Dict(dict?),
            },
            task_list: match (thread.tasks_head, at.task.node) {
                (Some(head), Some(node)) => TaskList::Linked {
                    thread: head,
                    interpreter: at.interpreter.tasks_head?,
                    node,
                    current: thread.running_task?,
                },
                _ => TaskList::Sets,
            },
            generator_frame: match at.generator.state {
                None => GeneratorFrame::Pointer(at.generator.frame),
                Some(state) => GeneratorFrame::Inside {
                    frame: at.generator.frame,
                    state,
                    // These two have no state of its own for a plain `yield`.
                    ambiguous: at.states.created.contains(&-2),
                },
            },
            stack_top: match (at.stack.base, at.stack.top, at.stack.depth) {
                (_, Some(top), _) => StackTop::Pointer(top),
                (Some(base), None, Some(depth)) => StackTop::FromBase(base, depth),
                (None, None, depth) => StackTop::FromLocals(depth?),
                (Some(_), None, None) => return None,
            },
            at,
        })
    }
}

/// A task is never larger; what is published beyond is garbage.
const LARGEST_TASK: u64 = 1 << 12;

#[cfg(test)]
mod tests {
    use super::{AsyncioLayout, LayoutError, TABLES, TaskList};
    use crate::model::{Address, Pid};
    use crate::python::layout::{Layout, Version};
    use crate::target::LiveMemory;

    #[test]
    fn every_known_series_has_a_complete_table() {
        assert_eq!(TABLES.map(|(series, _)| series), Layout::KNOWN);
        for (series, text) in TABLES {
            let mut table: toml::Table = text.parse().unwrap();
            table.remove("debug_offsets");
            table.remove("asyncio_debug");
            let fields = table.try_into().unwrap_or_else(|error| panic!("{series}: {error}"));
            assert!(AsyncioLayout::with_fields(fields).is_some(), "{series}");
        }
    }

    #[test]
    fn what_asyncio_publishes_goes_before_the_table() {
        let memory = LiveMemory::new(std::process::id() as Pid);
        let runtime = [72u64; 128];
        let mut debug: [u64; 13] =
            [168, 136, 96, 108, 109, 128, 152, 226_240, 20_000, 1104, 1024, 1032, 1048];
        let version = Version { major: 3, minor: 15, micro: None, free_threaded: false };
        let at = |words: &[u64]| Address(std::hint::black_box(words).as_ptr() as u64);
        let layout = AsyncioLayout::of(version, &memory, at(&runtime), Some(at(&debug))).unwrap();
        let TaskList::Linked { interpreter, .. } = layout.task_list else { panic!("a list") };
        assert_eq!((interpreter, layout.at.task.fut_waiter), (20_000, 120));
        debug[0] = 1 << 50;
        let error = AsyncioLayout::of(version, &memory, at(&runtime), Some(at(&debug)));
        assert!(matches!(error, Err(LayoutError::Implausible(_))));
    }
}
