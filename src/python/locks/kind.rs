//! What a wait is called: by the functions of the library through which the program came to it.

use super::frame::Facts;
use crate::model::LockKind;

/// The kind of wait that a function of the standard library stands for, when it is one through
/// which programs wait. `class` is the type of its `self`, as far as known.
pub(super) fn kind_of(facts: &Facts, class: Option<&str>) -> Option<LockKind> {
    let class = facts.class().filter(|class| *class != "<locals>").or(class);
    Some(match (facts.module(), facts.name()) {
        ("threading", "wait" | "wait_for" | "_wait" | "_enter") => match class {
            Some("Event") => LockKind::Event,
            Some("Barrier") => LockKind::Barrier,
            _ => LockKind::Condition,
        },
        ("threading", "acquire" | "__enter__") => match class {
            Some("Condition") => LockKind::Condition,
            _ => LockKind::Semaphore,
        },
        ("threading", "join" | "_wait_for_tstate_lock" | "_shutdown") => LockKind::ThreadJoin,
        ("queue", "get") => LockKind::QueueGet,
        ("queue", "put") => LockKind::QueuePut,
        ("queue", "join") => LockKind::QueueJoin,
        ("concurrent.futures._base", "result" | "exception" | "_result_or_cancel" | "wait")
        | ("concurrent.futures._base", "as_completed" | "result_iterator") => LockKind::Future,
        ("concurrent.futures._base", "__exit__") | ("concurrent.futures.thread", "shutdown") => {
            LockKind::ThreadJoin
        }
        ("multiprocessing.synchronize", _) => LockKind::ProcessLock,
        ("importlib._bootstrap", _) => LockKind::Import,
        _ => return None,
    })
}
