//! What blocks an event loop, by its cause, and what to do about it.

use crate::model::{Cause, LoopKind};

/// The advice for a loop whose ways the catalogue, which speaks of asyncio, does not know; `None`
/// for asyncio's loops and their like, and where the kind does not matter.
pub(super) const fn of(kind: Option<LoopKind>, cause: Cause) -> Option<&'static str> {
    match kind {
        Some(LoopKind::Trio) => trio(cause),
        Some(LoopKind::Gevent) => gevent(cause),
        _ => None,
    }
}

/// A wait for the lock of a file, which has the cause `lock`: what it is called, and what to do.
pub(super) const FILE_LOCK: (&str, &str) = (
    "a wait for a file's lock on the event loop",
    "await asyncio.to_thread(...) for the call that takes the lock, or try it without waiting \
     (fcntl.LOCK_NB) and await asyncio.sleep(...) between attempts. `pyconc dump` says which process \
     has it.",
);

/// Steps in which garbage is collected: what they are called, and what to do.
pub(super) const COLLECTION: (&str, &str) = (
    "a garbage collection on the event loop",
    "The collector visits every container object, and the loop waits meanwhile. Call gc.freeze() \
     after the start, so that it leaves alone what lives forever; keep less, or keep it in fewer \
     objects; set the thresholds higher (gc.set_threshold).",
);

/// Steps without a line of the program's own: what they are called, and what to do.
pub(super) const OWN_WORK: (&str, &str) = (
    "the event loop's own code keeps it busy",
    "No line of the program's own is in these steps. Many tasks and timers make them long: \
     look for what becomes more and more.",
);

const fn trio(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Sleep => Some("await trio.sleep(...); ruff ASYNC251 finds it in the source."),
        Cause::Child => Some("await trio.run_process(...)."),
        Cause::Network | Cause::Disk | Cause::Pipe | Cause::Lock | Cause::Native => Some(
            "Use a library for trio, or await trio.to_thread.run_sync(...) with a bound on how many \
             run at a time.",
        ),
        Cause::Python => Some(
            "Give the loop a turn in long iterations (await trio.lowlevel.checkpoint()), or compute \
             in a process. A thread would share the GIL with the loop and slow it down.",
        ),
        _ => None,
    }
}

const fn gevent(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Sleep | Cause::Network | Cause::Pipe | Cause::Lock | Cause::Child => Some(
            "Let it wait in the hub: gevent.monkey.patch_all() before all other imports. What waits \
             in C code goes to gevent.get_hub().threadpool.",
        ),
        Cause::Disk | Cause::Native => Some("Run it in gevent.get_hub().threadpool."),
        Cause::Python => Some(
            "Give the hub a turn in long iterations (gevent.sleep(0)), or compute in a process. A \
             thread would share the GIL with the hub and slow it down.",
        ),
        _ => None,
    }
}

/// What it is called where no probe knows the call.
pub(super) const fn name(cause: Cause) -> &'static str {
    match cause {
        Cause::Python => "Python code computes on the event loop",
        Cause::Native => "C code computes on the event loop",
        Cause::CpuWait => "the event loop's thread does not get a CPU",
        Cause::Gil => "the event loop's thread waits for the GIL",
        Cause::Lock => "a wait for a thread's lock or signal on the event loop",
        Cause::Network => "a synchronous network call on the event loop",
        Cause::Disk => "synchronous file access on the event loop",
        Cause::Pipe => "a synchronous read or write of a pipe on the event loop",
        Cause::Child => "a synchronous wait for a child process on the event loop",
        Cause::Sleep => "a synchronous sleep on the event loop",
        Cause::Parked | Cause::Unknown => "a step holds up the event loop",
    }
}

/// The advice where no probe knows the call.
pub(super) const fn general(cause: Cause) -> &'static str {
    match cause {
        Cause::Python => {
            "Run it in a process: await loop.run_in_executor(process_pool, function, ...). \
             A thread would share the GIL with the loop and slow it down."
        }
        Cause::Native => {
            "It releases the GIL: run it in a thread with await asyncio.to_thread(...)."
        }
        Cause::CpuWait => "Give the process more CPU, or run fewer processes beside it.",
        Cause::Gil => {
            "Other threads compute in Python. Move their work to processes, so that the loop gets \
             the GIL when it needs it."
        }
        Cause::Lock => {
            "Use asyncio's own lock, event or queue between tasks; where another thread must be \
             waited for, await asyncio.to_thread(...) or asyncio.wrap_future(...)."
        }
        Cause::Network => {
            "Use the library's asyncio variant. Where there is none, await asyncio.to_thread(...) \
             with a timeout and a bound on how many run at a time."
        }
        Cause::Disk => "Do file work in a thread: await asyncio.to_thread(...).",
        Cause::Pipe => {
            "Use asyncio's streams or subprocess pipes, or await asyncio.to_thread(...)."
        }
        Cause::Child => "Use await asyncio.create_subprocess_exec(...) and await process.wait().",
        Cause::Sleep => "Use await asyncio.sleep(...) instead.",
        Cause::Parked | Cause::Unknown => {
            "Look at the lines on the stack: whatever takes long there has to be awaited, or run \
             in an executor."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::model::{Cause, LoopKind};

    #[test]
    fn speaks_the_language_of_the_loop() {
        let says = |kind, word: &str| of(kind, Cause::Sleep).is_some_and(|it| it.contains(word));
        assert!(says(Some(LoopKind::Trio), "trio.sleep"));
        assert!(says(Some(LoopKind::Gevent), "patch_all"));
        assert_eq!(of(Some(LoopKind::Uvloop), Cause::Sleep), None);
        assert_eq!(of(Some(LoopKind::Trio), Cause::CpuWait), None);
    }
}
