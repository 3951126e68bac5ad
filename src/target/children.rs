//! Which child a thread waits for.

use crate::model::{AwaitedChild, Pid};

use super::descriptors::Descriptors;
use super::facts::named;
use super::process::Process;
use super::waits::Call;

/// The child that a call of the kind of `wait` waits for; `None` when it cannot be told.
pub(super) fn awaited_child(
    call: &Call,
    process: &Process,
    descriptors: &Descriptors,
) -> Option<AwaitedChild> {
    let [first, second, ..] = call.arguments;
    // The target's numbers are those of its own namespace.
    let by_number = |pid: Pid| {
        let known = pid > 0 && process.shares_namespace("pid");
        known.then(|| named(pid)).flatten().map(AwaitedChild::One)
    };
    match call.number {
        libc::SYS_wait4 if first as i32 == -1 => any_child(process),
        libc::SYS_wait4 => by_number(first as i32),
        libc::SYS_waitid => match first as libc::idtype_t {
            libc::P_ALL => any_child(process),
            libc::P_PID => by_number(second as i32),
            libc::P_PIDFD => one_child(descriptors.pid_of(second as i32)?),
            _ => None,
        },
        _ => None,
    }
}

/// A child by its number in our own namespace.
pub(super) fn one_child(pid: Pid) -> Option<AwaitedChild> {
    named(pid).map(AwaitedChild::One)
}

/// The child of a process that has one, or how many it has.
fn any_child(process: &Process) -> Option<AwaitedChild> {
    // Each thread has the children that it started, which all may wait for.
    let of_thread = |tid| process.bytes(&format!("task/{tid}/children")).unwrap_or_default();
    let texts = process.tids().ok()?.into_iter().map(of_thread);
    let pids: Vec<Pid> = texts
        .flat_map(|text| {
            let text = String::from_utf8_lossy(&text).into_owned();
            text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect();
    match pids[..] {
        [] => None,
        [pid] => one_child(pid),
        _ => Some(AwaitedChild::AnyOf(pids.len())),
    }
}
