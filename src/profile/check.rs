//! Whether a block can be counted: it may come from a file that somebody made to do harm.

use crate::model::{Deadlock, FrameId, Tables, Tag};

use super::block::{Block, Lane};
use super::lengths::Lengths;

/// The most entries of a table: far more than any program has, and memory that any machine has.
const MAX_ENTRIES: usize = 1 << 24;

/// Why a block cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AbsorbError {
    /// Something refers to a table's entry that is not there.
    #[error("there is no {what} {id}, only {known}")]
    Unknown {
        /// The kind of entry.
        what: &'static str,
        /// Its id.
        id: u32,
        /// How many entries there are.
        known: usize,
    },
    /// An entry is added that the table has.
    #[error("a {what} is given twice")]
    Repeated {
        /// The kind of entry.
        what: &'static str,
    },
    /// A table would grow without bounds.
    #[error("there are more than {MAX_ENTRIES} entries for {what}")]
    TooMany {
        /// The kind of entry.
        what: &'static str,
    },
    /// A state has the tag that only a step's length gives.
    #[error("state {id} has a tag that no state can have")]
    Tag {
        /// The state.
        id: usize,
    },
    /// The lanes are not one a thread, in the threads' order.
    #[error("the lane of thread {thread} is out of order")]
    LaneOrder {
        /// The thread.
        thread: u32,
    },
    /// A lane's runs do not fit the block.
    #[error("the lane of thread {thread} does not fit the block's {samples} samples")]
    LaneLength {
        /// The thread.
        thread: u32,
        /// The block's samples.
        samples: usize,
    },
}

/// Whether all ids of `block` lead somewhere and its lanes fit it, `tables` being what the blocks
/// before it gave. Duplicate entries are found when they are added.
pub(super) fn check(tables: &Tables, block: &Block) -> Result<(), AbsorbError> {
    let lengths = Lengths {
        functions: sum("function", tables.functions.len(), block.functions.len())?,
        frames: sum("frame", tables.frames.len(), block.frames.len())?,
        stacks: sum("stack", tables.stacks.len(), block.stacks.len())?,
        descriptors: sum("descriptor", tables.descriptors.len(), block.descriptors.len())?,
        labels: sum("label", tables.labels.len(), block.labels.len())?,
        states: sum("state", tables.states.len(), block.states.len())?,
        threads: check_threads(tables.threads.len(), block)?,
    };
    check_entries(tables, block, &lengths)?;
    for lanes in block.lanes.windows(2) {
        if let [before, after] = lanes
            && before.thread >= after.thread
        {
            return Err(AbsorbError::LaneOrder { thread: after.thread.0 });
        }
    }
    for lane in &block.lanes {
        check_lane(lane, block.intervals.len(), &lengths)?;
    }
    for (sight, _) in &block.waits.sights {
        check_site(sight.site, &lengths)?;
        if let Some(holder) = sight.holder {
            known("thread", holder.thread.0, lengths.threads)?;
            known("state", holder.state.0, lengths.states)?;
            check_site(holder.site, &lengths)?;
        }
    }
    for (executor, _) in &block.waits.full_executors {
        check_site(executor.site, &lengths)?;
        for worker in &executor.workers {
            known("thread", worker.0, lengths.threads)?;
        }
    }
    for deadlock in &block.waits.deadlocks {
        check_deadlock(deadlock, &lengths)?;
    }
    for look in &block.looks {
        for stack in look.stacks() {
            known("stack", stack.0, lengths.stacks + 1)?;
        }
        for function in look.functions() {
            known("function", function.0, lengths.functions)?;
        }
    }
    for end in &block.steps {
        known("thread", end.thread.0, lengths.threads)?;
        let coroutine = end.task.as_ref().and_then(|task| task.coroutine);
        coroutine.map_or(Ok(()), |id| known("function", id.0, lengths.functions))?;
    }
    Ok(())
}

fn check_site(site: Option<FrameId>, lengths: &Lengths) -> Result<(), AbsorbError> {
    site.map_or(Ok(()), |frame| known("frame", frame.0, lengths.frames))
}

fn check_deadlock(deadlock: &Deadlock, lengths: &Lengths) -> Result<(), AbsorbError> {
    for wait in deadlock.ring.iter().chain(&deadlock.victims) {
        known("thread", wait.thread.0, lengths.threads)?;
        check_site(wait.site, lengths)?;
        for owner in &wait.owners {
            owner.thread.map_or(Ok(()), |it| known("thread", it.0, lengths.threads))?;
            check_site(owner.site, lengths)?;
        }
    }
    Ok(())
}

fn sum(what: &'static str, before: usize, added: usize) -> Result<usize, AbsorbError> {
    let sum = before.saturating_add(added);
    if sum > MAX_ENTRIES { Err(AbsorbError::TooMany { what }) } else { Ok(sum) }
}

fn known(what: &'static str, id: u32, known: usize) -> Result<(), AbsorbError> {
    if (id as usize) < known { Ok(()) } else { Err(AbsorbError::Unknown { what, id, known }) }
}

/// New threads come in order, without gaps.
fn check_threads(mut threads: usize, block: &Block) -> Result<usize, AbsorbError> {
    for &(id, _) in &block.threads {
        known("thread", id.0, threads.saturating_add(1))?;
        threads = threads.max(usize::from(id) + 1);
    }
    sum("thread", threads, 0)
}

fn check_entries(tables: &Tables, block: &Block, lengths: &Lengths) -> Result<(), AbsorbError> {
    for frame in &block.frames {
        known("function", frame.function.0, lengths.functions)?;
    }
    for (index, stack) in block.stacks.iter().enumerate() {
        known("frame", stack.frame.0, lengths.frames)?;
        // A stack's id is one above its index, and its caller is older.
        known("stack", stack.caller.0, tables.stacks.len() + index + 1)?;
    }
    for (index, state) in block.states.iter().enumerate() {
        known("stack", state.stack.0, lengths.stacks + 1)?;
        state.descriptor.map_or(Ok(()), |id| known("descriptor", id.0, lengths.descriptors))?;
        state.note.map_or(Ok(()), |id| known("label", id.0, lengths.labels))?;
        if state.tag == Tag::EventLoopBlocking {
            return Err(AbsorbError::Tag { id: tables.states.len() + index });
        }
    }
    Ok(())
}

fn check_lane(lane: &Lane, samples: usize, lengths: &Lengths) -> Result<(), AbsorbError> {
    known("thread", lane.thread.0, lengths.threads)?;
    let mut covered = 0_u64;
    let mut present = 0_u64;
    for run in &lane.runs {
        covered = covered.saturating_add(u64::from(run.samples));
        if let Some(state) = run.state {
            known("state", state.0, lengths.states)?;
            present = present.saturating_add(u64::from(run.samples));
        }
    }
    let mut waited = 0_u64;
    for &(holder, samples) in &lane.gil_waits {
        known("thread", holder.0, lengths.threads)?;
        waited = waited.saturating_add(u64::from(samples));
    }
    let fits = waited <= present && covered <= samples as u64 && u64::from(lane.held) <= present;
    if fits && lane.runs.iter().all(|run| run.samples > 0) {
        Ok(())
    } else {
        Err(AbsorbError::LaneLength { thread: lane.thread.0, samples })
    }
}
