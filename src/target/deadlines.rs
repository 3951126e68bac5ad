//! How long a system call may wait, by its arguments.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::model::{Address, Nanos, TimeLimit};

use super::memory::{Memory, ProcessMemory, Span};
use super::syscalls::{Shape, Timeout, shape};
use super::waits::{Call, FUTEX_COMMAND};

/// A longer time than this is no limit, or none that was meant: 100 years.
const LONGEST: Nanos = Nanos(100 * 365 * 24 * 3600 * Nanos::SECOND.0);

/// How long `call` may wait; `None` when there is no limit, or none that makes sense. `shares_time`
/// says whether the process is in our time namespace.
pub(super) fn time_limit(
    call: &Call,
    memory: &ProcessMemory,
    shares_time: impl FnOnce() -> bool,
) -> Option<TimeLimit> {
    let until = |clock, point| until(clock, point, shares_time);
    let [first, second, third, fourth, fifth, _] = call.arguments;
    match shape(call.number) {
        Shape::Futex => {
            let limit = timespec(memory, fourth)?;
            let operation = second as i32;
            // As futex(2) has it: only the oldest of its waits takes a length of time.
            match operation & FUTEX_COMMAND {
                libc::FUTEX_WAIT => relative(limit),
                libc::FUTEX_LOCK_PI => until(libc::CLOCK_REALTIME, limit),
                _ if operation & libc::FUTEX_CLOCK_REALTIME != 0 => {
                    until(libc::CLOCK_REALTIME, limit)
                }
                _ => until(libc::CLOCK_MONOTONIC, limit),
            }
        }
        Shape::FutexVector => until(fifth as i32, timespec(memory, fourth)?),
        Shape::Sleep if call.number == libc::SYS_nanosleep => relative(timespec(memory, first)?),
        Shape::Sleep if second as i32 & libc::TIMER_ABSTIME != 0 => {
            until(first as i32, timespec(memory, third)?)
        }
        Shape::Sleep => relative(timespec(memory, third)?),
        Shape::Epoll(timeout) => relative(given(memory, timeout, fourth)?),
        Shape::Poll(timeout) => relative(given(memory, timeout, third)?),
        Shape::Select if call.number == libc::SYS_pselect6 => relative(timespec(memory, fifth)?),
        Shape::Select => relative(length(memory, fifth, 1_000_000)?),
        Shape::TimedSignal => relative(timespec(memory, third)?),
        _ => None,
    }
}

fn relative(length: Nanos) -> Option<TimeLimit> {
    (length <= LONGEST).then_some(TimeLimit::Timeout(length))
}

/// What is left until a point on a clock.
fn until(clock: i32, point: Nanos, shares_time: impl FnOnce() -> bool) -> Option<TimeLimit> {
    let known = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_TAI => true,
        // These may have been set back for a group of processes (time_namespaces(7)).
        libc::CLOCK_MONOTONIC | libc::CLOCK_BOOTTIME => shares_time(),
        // The others count what the target's own threads use.
        _ => false,
    };
    let now = known.then(|| clock_gettime(ClockId::from_raw(clock)).ok()).flatten()?;
    let left = point.since(Duration::from(now).into());
    (left <= LONGEST).then_some(TimeLimit::Left(left))
}

fn given(memory: &ProcessMemory, timeout: Timeout, argument: u64) -> Option<Nanos> {
    match timeout {
        Timeout::Milliseconds => {
            let milliseconds = u64::try_from(argument as i32).ok()?;
            Some(Nanos(milliseconds * Nanos::MILLISECOND.0))
        }
        Timeout::Pointer => timespec(memory, argument),
    }
}

fn timespec(memory: &ProcessMemory, address: u64) -> Option<Nanos> {
    length(memory, address, Nanos::SECOND.0)
}

/// A time in seconds and parts, of which a second has `parts`.
fn length(memory: &ProcessMemory, address: u64, parts: u64) -> Option<Nanos> {
    let mut bytes = [0; 16];
    let span = Span { address: Address(address), len: bytes.len() };
    memory.read(&[span], &mut bytes).ok()?;
    let (words, _) = bytes.as_chunks::<8>();
    let [seconds, fraction] = *words else { return None };
    let number = |word| u64::try_from(i64::from_ne_bytes(word)).ok();
    let (seconds, fraction) = (number(seconds)?, number(fraction).filter(|it| *it < parts)?);
    let whole = seconds.checked_mul(Nanos::SECOND.0)?;
    Some(Nanos(whole.checked_add(fraction * (Nanos::SECOND.0 / parts))?))
}

#[cfg(test)]
mod tests {
    use super::{length, relative};
    use crate::model::{Nanos, TimeLimit};
    use crate::target::Process;

    #[test]
    fn what_makes_no_sense_is_no_time() {
        let memory = Process::open(std::process::id() as i32).unwrap().memory();
        let read = |words: [i64; 2]| length(&memory, words.as_ptr() as u64, 1_000_000_000);
        assert_eq!(read([1, 500]), Some(Nanos(1_000_000_500)));
        for words in [[-1, 0], [0, -1], [0, 1_000_000_000], [i64::MAX, 0], [i64::MIN, i64::MIN]] {
            assert_eq!(read(words), None, "{words:?}");
        }
        assert_eq!(length(&memory, 0, 1_000_000_000), None);
        assert_eq!(relative(Nanos(7)), Some(TimeLimit::Timeout(Nanos(7))));
        assert_eq!(relative(Nanos(u64::MAX)), None);
    }
}
