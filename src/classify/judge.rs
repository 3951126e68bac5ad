//! A thread's evidence, judged without a look at any name.

use crate::model::{Activity, Attachment, Cause, CpuDelta, Tables, ThreadSample};

use super::judgement::Judgement;
use super::wait::Waiting;
use crate::model::note;

/// Judges a sample. `syscall` is the name of the system call that the thread is in.
pub(super) fn judge(
    sample: &ThreadSample,
    syscall: Option<&'static str>,
    tables: &Tables,
) -> Judgement {
    // Who wants the GIL wants it however the kernel caught him: asleep, awake, or between the two.
    match sample.attachment {
        Attachment::GilWaiter | Attachment::WokenGilWaiter => return Judgement::of(Cause::Gil),
        Attachment::Suspended => return Judgement::of(Cause::Gil).noted(note::STOP_THE_WORLD),
        _ => {}
    }
    match sample.activity {
        Activity::Running => {
            let judgement = running(sample.attachment, sample.cpu);
            let collects = sample.collecting && judgement.cause == Cause::Python;
            if collects { judgement.noted(note::COLLECTING) } else { judgement }
        }
        Activity::Blocked(kernel) => {
            let in_step = sample.event_loop.is_some_and(|evidence| evidence.step.is_some());
            let holds_gil = sample.attachment == Attachment::Holder;
            let waiting = Waiting {
                kernel,
                syscall,
                event_loop: sample.event_loop,
                may_park: !in_step && !holds_gil && !kernel.uninterruptible,
            };
            blocked(sample.attachment, &waiting, tables)
        }
        Activity::Stopped => Judgement::unknown("stopped by a signal or a debugger"),
        Activity::Unreadable(reason) => {
            let idle = sample.attachment != Attachment::Holder;
            Judgement { idle, ..Judgement::unknown(reason) }
        }
    }
}

/// A thread that is on a CPU or in a run queue.
fn running(attachment: Attachment, cpu: CpuDelta) -> Judgement {
    if starved(cpu) {
        return Judgement::of(Cause::CpuWait);
    }
    match attachment {
        Attachment::Holder => Judgement::of(Cause::Python),
        Attachment::Detached | Attachment::Foreign => Judgement::of(Cause::Native),
        _ => {
            let reason = "runs, but its state in the interpreter could not be read";
            Judgement { idle: false, ..Judgement::unknown(reason) }
        }
    }
}

/// Whether a runnable thread had to wait for a CPU for most of the time since its last sample.
///
/// Both accounts lag: CPU time by up to a tick of the kernel, time in the queue until the thread
/// gets its CPU. So only a wait that is as good as all of the interval counts, and a thread that
/// shares a CPU fairly is taken at its word.
fn starved(cpu: CpuDelta) -> bool {
    let (elapsed, ran, queued) = (cpu.elapsed.0, cpu.ran.0, cpu.queued.0);
    elapsed > 0 && queued >= elapsed / 2 && ran <= elapsed / 8
}

/// A thread that waits in the kernel, but not for the GIL.
fn blocked(attachment: Attachment, waiting: &Waiting, tables: &Tables) -> Judgement {
    let judgement = match attachment {
        Attachment::Foreign => return Judgement::of(Cause::Parked).noted(note::NOT_PYTHON),
        Attachment::Unknown if waiting.is_futex() => {
            Judgement::unknown("a lock or the GIL: the interpreter could not be read")
        }
        _ => waiting.judge(tables),
    };
    let may_park = waiting.may_park && judgement.cause != Cause::Disk;
    let judgement = Judgement { may_park, ..judgement };
    match judgement.cause {
        // The reason of an `unknown` is worth more; a loop's own selector always gives the GIL up,
        // so that what was read of the two belongs to two moments.
        Cause::Unknown | Cause::Parked => judgement,
        _ if attachment == Attachment::Holder => judgement.noted(note::HOLDS_GIL),
        _ => judgement,
    }
}
