//! What to do about a step that blocks a loop of trio or gevent: the catalogue speaks of asyncio.

use crate::model::{Cause, LoopKind};

/// The advice; `None` for asyncio's loops and their like, and where the kind does not matter.
pub(super) const fn of(kind: Option<LoopKind>, cause: Cause) -> Option<&'static str> {
    match kind {
        Some(LoopKind::Trio) => trio(cause),
        Some(LoopKind::Gevent) => gevent(cause),
        _ => None,
    }
}

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
