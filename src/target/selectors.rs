//! Which descriptors a selector watches.

use crate::model::Address;

use super::descriptors::Descriptors;
use super::memory::{Memory, ProcessMemory, Span};
use super::syscalls::{Shape, shape};
use super::waits::Call;

/// How many descriptors of one selector are told.
pub(super) const MOST_WATCHED: usize = 64;

/// The most descriptors of one `select`, as many as an `fd_set` has bits.
const MOST_SELECTED: usize = libc::FD_SETSIZE;

/// The longest line `tfd:` of an epoll instance's account, in bytes.
const EPOLL_LINE: u64 = 128;

/// The descriptors that a call watches if it is a selector's, the first [`MOST_WATCHED`].
pub(super) fn watched(call: &Call, memory: &ProcessMemory, descriptors: &Descriptors) -> Vec<i32> {
    let [first, second, third, fourth, ..] = call.arguments;
    let mut fds = match shape(call.number) {
        Shape::Epoll(_) => {
            descriptors.listed_by_epoll(first as i32, MOST_WATCHED as u64 * EPOLL_LINE)
        }
        Shape::Poll(_) => polled(memory, first, second).unwrap_or_default(),
        Shape::Select => selected(memory, first, [second, third, fourth]).unwrap_or_default(),
        _ => Vec::new(),
    };
    fds.truncate(MOST_WATCHED);
    fds
}

/// Those of the first [`MOST_WATCHED`] entries of a `poll`: an array of
/// `struct pollfd { int fd; short events, revents; }`.
pub(super) fn polled(memory: &ProcessMemory, address: u64, count: u64) -> Option<Vec<i32>> {
    let mut bytes = [0; MOST_WATCHED * 8];
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(MOST_WATCHED);
    let entries = bytes.get_mut(..count * 8)?;
    memory.read(&[Span { address: Address(address), len: entries.len() }], entries).ok()?;
    let fds = entries.as_chunks::<8>().0.iter().map(|&[a, b, c, d, ..]| [a, b, c, d]);
    // The kernel passes over negative numbers.
    Some(fds.map(i32::from_ne_bytes).filter(|&fd| fd >= 0).collect())
}

/// Those of a `select`: up to three sets of bits, each of which may be missing.
pub(super) fn selected(memory: &ProcessMemory, count: u64, sets: [u64; 3]) -> Option<Vec<i32>> {
    const WORDS: usize = MOST_SELECTED / 64;
    let words = usize::try_from(count).unwrap_or(usize::MAX).min(MOST_SELECTED).div_ceil(64);
    let mut all = [0u64; WORDS];
    for address in sets.into_iter().filter(|&address| address != 0) {
        let mut bytes = [0; WORDS * 8];
        let bytes = bytes.get_mut(..words * 8)?;
        memory.read(&[Span { address: Address(address), len: bytes.len() }], bytes).ok()?;
        for (word, &set) in all.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word |= u64::from_ne_bytes(set);
        }
    }
    let inside = |fd: &i32| (*fd as u64) < count;
    let is_set =
        |fd: &i32| all.get(*fd as usize / 64).is_some_and(|word| word >> (fd % 64) & 1 == 1);
    Some((0..MOST_SELECTED as i32).filter(inside).filter(is_set).collect())
}
