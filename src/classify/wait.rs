//! A wait in the kernel: what is waited for, by the system call's arguments and the descriptor.

use crate::model::{
    Cause, DescriptorId, DescriptorKind, LoopEvidence, Operation, SocketRole, Tables, Wait,
    WaitKind,
};

use super::judgement::Judgement;
use crate::model::note;

/// A thread's wait with what bears on its meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// The kernel's word.
    pub(super) kernel: Wait,
    /// The system call's name.
    pub(super) syscall: Option<&'static str>,
    /// The thread's event loop.
    pub(super) event_loop: Option<LoopEvidence>,
    /// Whether the thread may be idle by design at all: not while it keeps others waiting, be it
    /// the callbacks of its event loop or those who want the GIL.
    pub(super) may_park: bool,
}

impl Waiting {
    /// Whether this is a wait for a lock of some kind.
    pub(super) fn is_futex(&self) -> bool {
        matches!(self.kernel.kind, WaitKind::Futex { .. })
    }

    /// What is waited for.
    pub(super) fn judge(&self, tables: &Tables) -> Judgement {
        match self.kernel.kind {
            WaitKind::Futex { .. } => Judgement::of(Cause::Lock),
            WaitKind::Sleep => Judgement::of(Cause::Sleep),
            WaitKind::NativeSleep => Judgement::of(Cause::Sleep).noted(note::NATIVE_SLEEP),
            WaitKind::Child => Judgement::of(Cause::Child),
            WaitKind::Select { epoll, watched } => self.selector(epoll, watched, tables),
            WaitKind::Descriptor { operation, descriptor } => {
                self.descriptor(operation, descriptor, tables)
            }
            WaitKind::FileSystem => Judgement::of(Cause::Disk),
            // Only a page that comes from a device is waited for without interruption.
            WaitKind::PageFault | WaitKind::Other if self.kernel.uninterruptible => {
                Judgement::of(Cause::Disk)
            }
            WaitKind::PageFault => Judgement::unknown("a page of memory"),
            WaitKind::Signal => self.signal(),
            WaitKind::Other => Judgement::unknown(match self.syscall {
                Some(name) => format!("system call {name}"),
                None => format!("system call {}", self.kernel.syscall),
            }),
        }
    }

    /// Idle by design, or `otherwise` when the thread must not be idle.
    fn by_design(&self, note: &'static str, otherwise: Judgement) -> Judgement {
        if self.may_park { Judgement::of(Cause::Parked).noted(note) } else { otherwise }
    }

    fn signal(&self) -> Judgement {
        self.by_design(note::AWAITS_SIGNAL, Judgement::unknown(note::AWAITS_SIGNAL))
    }

    fn selector(
        &self,
        epoll: Option<i32>,
        watched: Option<DescriptorId>,
        tables: &Tables,
    ) -> Judgement {
        if epoll.is_some_and(|number| self.is_loops_own(number)) {
            return Judgement::of(Cause::Parked).noted(note::EVENT_LOOP_SELECTOR);
        }
        match watched {
            // One asks for readiness to write far less often than to read.
            Some(descriptor) => self.descriptor(Operation::Read, descriptor, tables),
            None if epoll.is_some() => {
                Judgement::unknown("an epoll that is not known to be an event loop's own")
            }
            None => Judgement::unknown("a selector of several descriptors"),
        }
    }

    /// Whether an epoll instance is that of the thread's event loop.
    fn is_loops_own(&self, epoll: i32) -> bool {
        self.event_loop.is_some_and(|evidence| match evidence.epoll {
            Some(own) => own == epoll,
            // A loop whose instance is not known (uvloop): outside any callback it is its own.
            None => evidence.step.is_none(),
        })
    }

    fn descriptor(
        &self,
        operation: Operation,
        descriptor: DescriptorId,
        tables: &Tables,
    ) -> Judgement {
        let judgement = match (operation, tables.descriptors.get(descriptor)) {
            // Some process has it and will let go, whatever it is that is locked.
            (Operation::Lock, _) => Judgement::of(Cause::Lock),
            (Operation::Sync, _) => Judgement::of(Cause::Disk),
            (_, Some(known)) => self.kind(operation, &known.kind),
            (_, None) => Judgement::unknown("a descriptor that is not known"),
        };
        Judgement { descriptor: Some(descriptor), ..judgement }
    }

    fn kind(&self, operation: Operation, kind: &DescriptorKind) -> Judgement {
        let reads = operation == Operation::Read;
        match kind {
            DescriptorKind::Socket { role: SocketRole::Listener, .. } => {
                self.by_design(note::AWAITS_CONNECTION, Judgement::of(Cause::Network))
            }
            DescriptorKind::Socket { role: SocketRole::Server, .. } if reads => {
                self.by_design(note::AWAITS_REQUEST, Judgement::of(Cause::Network))
            }
            DescriptorKind::Socket { .. } => Judgement::of(Cause::Network),
            DescriptorKind::UnixSocket { listener: true, .. } => {
                self.by_design(note::AWAITS_CONNECTION, Judgement::of(Cause::Pipe))
            }
            DescriptorKind::Terminal if reads => {
                self.by_design(note::AWAITS_INPUT, Judgement::of(Cause::Pipe))
            }
            DescriptorKind::UnixSocket { .. }
            | DescriptorKind::Pipe
            | DescriptorKind::Event
            | DescriptorKind::Terminal => Judgement::of(Cause::Pipe),
            DescriptorKind::Process => Judgement::of(Cause::Child),
            DescriptorKind::Timer => Judgement::of(Cause::Sleep),
            DescriptorKind::Signal => self.signal(),
            DescriptorKind::File(_) => Judgement::of(Cause::Disk),
            DescriptorKind::Device(_) | DescriptorKind::Unknown(_)
                if self.kernel.uninterruptible =>
            {
                Judgement::of(Cause::Disk)
            }
            DescriptorKind::Device(_) => Judgement::unknown("a device"),
            DescriptorKind::Epoll => Judgement::unknown("a selector inside another"),
            DescriptorKind::Unknown(reason) => Judgement::unknown(reason.to_string()),
        }
    }
}
