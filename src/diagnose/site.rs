//! Whose code a frame is, and at which line of the user's own code a stack stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Frame, Function, FunctionId, Origin, StackId, Tables};

/// A line of the target's code.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema, Deserialize,
)]
pub struct Site {
    /// The file, as the interpreter names it.
    pub file: String,
    /// The line, 1-based; 0 when the code has none there.
    pub line: u32,
    /// The function.
    pub function: String,
}

impl Site {
    /// Where a function begins.
    pub(super) fn of(function: &Function) -> Self {
        Self {
            file: function.file.to_string(),
            line: function.first_line,
            function: function.name.to_string(),
        }
    }
}

/// A frame with its function at hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// The function's id.
    pub(super) id: FunctionId,
    /// The function.
    pub(super) function: &'a Function,
    /// The line.
    pub(super) line: u32,
}

impl Line<'_> {
    /// Whether this is the program's own code.
    pub(super) fn is_user(&self) -> bool {
        Origin::of(self.function) == Origin::User
    }

    /// This line, owned.
    pub(super) fn site(&self) -> Site {
        Site {
            file: self.function.file.to_string(),
            line: self.line,
            function: self.function.name.to_string(),
        }
    }
}

/// The lines of a stack, innermost first.
pub(super) fn lines(tables: &Tables, stack: StackId) -> impl Iterator<Item = Line<'_>> {
    tables.frames_of(stack).filter_map(|id| {
        let &Frame { function: id, line } = tables.frames.get(id)?;
        Some(Line { id, function: tables.functions.get(id)?, line })
    })
}

/// Where the user's own code stands: the innermost of its lines, or the innermost line at all in a
/// stack that has none of them.
pub(super) fn innermost_user(tables: &Tables, stack: StackId) -> Option<Line<'_>> {
    lines(tables, stack).find(Line::is_user).or_else(|| lines(tables, stack).next())
}

/// The outermost line of the user's own code, a few of the stack's outermost frames left out.
pub(super) fn outermost_user(tables: &Tables, stack: StackId, left_out: usize) -> Option<Line<'_>> {
    let all: Vec<_> = lines(tables, stack).collect();
    let inner = all.len().saturating_sub(left_out);
    all.into_iter().take(inner).rev().find(Line::is_user)
}

/// How many frames two stacks have in common at their outer end; lines do not matter.
pub(super) fn common_depth(tables: &Tables, one: StackId, other: StackId) -> usize {
    let functions = |stack| {
        let mut ids: Vec<_> = lines(tables, stack).map(|line| line.id).collect();
        ids.reverse();
        ids
    };
    functions(one).iter().zip(&functions(other)).take_while(|(a, b)| a == b).count()
}
