//! What a blocked system call waits for, from its number and arguments.

use crate::model::{Address, DescriptorId, Operation, Tables, WaitKind};

use super::descriptors::Descriptors;
use super::memory::{LiveMemory, Memory, Span};
use super::syscalls::{Shape, shape};

/// A system call that a thread is blocked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// Its number.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// The stack pointer when it was made.
    pub stack_pointer: u64,
}

/// What is needed to look behind a call's arguments.
pub(super) struct Context<'a> {
    pub descriptors: &'a mut Descriptors,
    pub memory: &'a LiveMemory,
    pub tables: &'a mut Tables,
}

/// The command part of a futex operation, without its flags.
const FUTEX_COMMAND: i32 = !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);

/// `FUTEX2_PRIVATE` of `linux/futex.h`: the flag of one waiter of `futex_waitv`.
const FUTEX2_PRIVATE: u32 = 128;

/// The most descriptors of one `select`, as many as an `fd_set` has bits.
const MOST_SELECTED: usize = libc::FD_SETSIZE;

/// How many entries of a `poll` are looked at; with more it certainly watches more than one.
const MOST_POLLED: usize = 16;

/// What `call` waits for, and whether it ends by itself after some time.
pub(super) fn decode(call: &Call, context: &mut Context) -> (WaitKind, bool) {
    let [first, second, third, fourth, fifth, _] = call.arguments;
    let fd = first as i32;
    match shape(call.number) {
        Shape::Futex => (futex(call), fourth != 0),
        Shape::FutexVector => (futex_vector(call, context.memory), fourth != 0),
        Shape::Sleep => (WaitKind::Sleep, true),
        Shape::Child => (WaitKind::Child, false),
        Shape::Clone if first & libc::CLONE_VFORK as u64 != 0 => (WaitKind::Child, false),
        Shape::Epoll => (context.epoll(fd), fourth as i32 >= 0),
        Shape::EpollTimespec => (context.epoll(fd), fourth != 0),
        Shape::Poll => (context.poll(first, second), third as i32 >= 0),
        Shape::PollTimespec => (context.poll(first, second), third != 0),
        Shape::Select => (context.select(first, [second, third, fourth]), fifth != 0),
        Shape::Descriptor(operation) => (context.descriptor(operation, fd), false),
        Shape::Fcntl => {
            let locks = matches!(second as i32, libc::F_SETLKW | libc::F_OFD_SETLKW);
            let operation = if locks { Operation::Lock } else { Operation::Control };
            (context.descriptor(operation, fd), false)
        }
        Shape::FileSystem => (WaitKind::FileSystem, false),
        Shape::Signal => (WaitKind::Signal, false),
        Shape::TimedSignal => (WaitKind::Signal, third != 0),
        Shape::Clone | Shape::Restart | Shape::Other => (WaitKind::Other, false),
    }
}

fn futex(call: &Call) -> WaitKind {
    let [address, operation, ..] = call.arguments;
    let operation = operation as i32;
    let waits = matches!(
        operation & FUTEX_COMMAND,
        libc::FUTEX_WAIT
            | libc::FUTEX_WAIT_BITSET
            | libc::FUTEX_WAIT_REQUEUE_PI
            | libc::FUTEX_LOCK_PI
            | libc::FUTEX_LOCK_PI2
    );
    if !waits {
        return WaitKind::Other;
    }
    let shared = operation & libc::FUTEX_PRIVATE_FLAG == 0;
    WaitKind::Futex { address, stack_pointer: call.stack_pointer, shared }
}

/// The first of the futexes that `futex_waitv` waits for: an array of `struct futex_waitv
/// { u64 val, uaddr; u32 flags, reserved }`.
fn futex_vector(call: &Call, memory: &LiveMemory) -> WaitKind {
    let mut waiter = [0; 24];
    let span = Span { address: Address(call.arguments[0]), len: waiter.len() };
    if memory.read(&[span], &mut waiter).is_err() {
        return WaitKind::Other;
    }
    let [.., a, b, c, d, _, _, _, _] = waiter;
    let [_, _, _, _, _, _, _, _, address @ .., _, _, _, _, _, _, _, _] = waiter;
    WaitKind::Futex {
        address: u64::from_ne_bytes(address),
        stack_pointer: call.stack_pointer,
        shared: u32::from_ne_bytes([a, b, c, d]) & FUTEX2_PRIVATE == 0,
    }
}

impl Context<'_> {
    fn descriptor(&mut self, operation: Operation, fd: i32) -> WaitKind {
        WaitKind::Descriptor { operation, descriptor: self.descriptors.resolve(fd, self.tables) }
    }

    fn epoll(&mut self, epoll: i32) -> WaitKind {
        let watched = self.descriptors.watched_by_epoll(epoll);
        WaitKind::Select { epoll: Some(epoll), watched: self.resolve(watched) }
    }

    /// `poll` of an array of `struct pollfd { int fd; short events, revents; }`.
    fn poll(&mut self, address: u64, count: u64) -> WaitKind {
        if count == 0 {
            return WaitKind::Sleep;
        }
        let mut bytes = [0; MOST_POLLED * 8];
        let len = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(8);
        let watched = bytes.get_mut(..len).and_then(|entries| {
            let span = Span { address: Address(address), len };
            self.memory.read(&[span], entries).ok()?;
            let (entries, _) = entries.as_chunks::<8>();
            let fds = entries.iter().map(|&[a, b, c, d, ..]| i32::from_ne_bytes([a, b, c, d]));
            // The kernel passes over negative numbers.
            only(fds.filter(|&fd| fd >= 0))
        });
        WaitKind::Select { epoll: None, watched: self.resolve(watched) }
    }

    /// `select` of up to three sets of bits, each of which may be missing.
    fn select(&mut self, count: u64, sets: [u64; 3]) -> WaitKind {
        const WORDS: usize = MOST_SELECTED / 64;
        let words = usize::try_from(count).unwrap_or(usize::MAX).min(MOST_SELECTED).div_ceil(64);
        let mut all = [0u64; WORDS];
        for address in sets.into_iter().filter(|&address| address != 0) {
            let mut bytes = [0; WORDS * 8];
            let Some(bytes) = bytes.get_mut(..words * 8) else { continue };
            let span = Span { address: Address(address), len: bytes.len() };
            if self.memory.read(&[span], bytes).is_err() {
                return WaitKind::Select { epoll: None, watched: None };
            }
            for (word, &set) in all.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *word |= u64::from_ne_bytes(set);
            }
        }
        let inside = |fd: &i32| (*fd as u64) < count;
        let mut fds = (0..MOST_SELECTED as i32)
            .filter(|&fd| all.get(fd as usize / 64).is_some_and(|word| word >> (fd % 64) & 1 == 1))
            .filter(inside)
            .peekable();
        if fds.peek().is_none() {
            return WaitKind::Sleep;
        }
        WaitKind::Select { epoll: None, watched: self.resolve(only(fds)) }
    }

    fn resolve(&mut self, fd: Option<i32>) -> Option<DescriptorId> {
        fd.map(|fd| self.descriptors.resolve(fd, self.tables))
    }
}

/// The element of what has exactly one.
pub(super) fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}
