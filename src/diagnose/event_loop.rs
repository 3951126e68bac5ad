//! Where a stack stands with respect to the event loop that its thread runs.

use crate::model::note::EVENT_LOOP_SELECTOR;
use crate::model::{Cause, StackId, Tables};
use crate::profile::ThreadProfile;

use super::site::{Line, common_depth, lines, outermost_user};

/// The most selector stacks that are compared with a step's; a loop has one, seldom two.
const MOST_SELECTOR_STACKS: usize = 8;

/// The stacks with which the loop waits in its own selector.
pub(super) fn selector_stacks(tables: &Tables, thread: &ThreadProfile) -> Vec<StackId> {
    let states = thread.states.keys().filter_map(|&(id, _)| tables.states.get(id));
    let mut stacks: Vec<_> = states
        .filter(|state| {
            let note = tables.note(state);
            note == Some(EVENT_LOOP_SELECTOR) || state.cause == Cause::Parked
        })
        .map(|state| state.stack)
        .collect();
    stacks.sort_unstable();
    stacks.dedup();
    stacks.truncate(MOST_SELECTOR_STACKS);
    stacks
}

/// The outermost function of the user's within the step: what the loop called.
///
/// The frames that a step has in common with the loop's wait in its selector are the program's
/// start and the loop itself. A loop that was never seen waiting is told by the change of
/// authors: the program's start, then the library that runs the loop, then the handler.
pub(super) fn handler<'a>(
    tables: &'a Tables,
    selectors: &[StackId],
    stack: StackId,
) -> Option<Line<'a>> {
    let shared = selectors.iter().map(|&other| common_depth(tables, other, stack)).max();
    if let Some(shared) = shared.filter(|&shared| shared > 0) {
        return outermost_user(tables, stack, shared);
    }
    let outermost = || {
        let mut users = lines(tables, stack).filter(Line::is_user).collect::<Vec<_>>();
        users.pop()
    };
    within_loop(tables, stack).or_else(outermost)
}

/// Whether a stack is in a step of the loop, and not before the loop's start or after its end: it
/// has the loop's own frames, those of its wait in the selector but for the innermost.
pub(super) fn is_in_step(tables: &Tables, selectors: &[StackId], stack: StackId) -> bool {
    if selectors.is_empty() {
        return within_loop(tables, stack).is_some();
    }
    selectors.iter().any(|&selector| {
        let shared = common_depth(tables, selector, stack);
        shared > 0 && shared + 1 >= lines(tables, selector).count()
    })
}

/// The first of the user's own lines behind the library that runs the loop, where the program's own
/// start shows.
fn within_loop(tables: &Tables, stack: StackId) -> Option<Line<'_>> {
    let mut all: Vec<_> = lines(tables, stack).collect();
    all.reverse();
    let inner = all.into_iter().skip_while(|line| !line.is_user());
    inner.skip_while(Line::is_user).find(Line::is_user)
}
