//! Whose code a frame is, and at which line of the user's own code a stack stands.

use serde::Serialize;

use crate::model::{Frame, Function, FunctionId, StackId, State, Tables};

/// A line of the target's code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Site {
    /// The file, as the interpreter names it.
    pub file: String,
    /// The line, 1-based; 0 when the code has none there.
    pub line: u32,
    /// The function.
    pub function: String,
}

/// Who wrote a function, as far as its file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The program's own code.
    User,
    /// An installed package.
    Package,
    /// The standard library.
    Standard,
}

impl Origin {
    /// Who wrote `function`.
    pub(super) fn of(function: &Function) -> Self {
        let file = &*function.file;
        if file.contains("site-packages") || file.contains("dist-packages") {
            Self::Package
        } else if file.starts_with("<frozen") || in_library_folder(file) {
            Self::Standard
        } else {
            Self::User
        }
    }
}

/// Whether a path leads through `lib/python3.x`, or `python3.x` in any folder of libraries.
fn in_library_folder(file: &str) -> bool {
    ["/lib/python", "/lib64/python"].iter().any(|folder| {
        file.split_once(folder)
            .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
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

/// Whether a wait with cause `lock` is one to *enter* a critical section: some thread is in it and
/// has to leave. The other waits are for a signal from another thread (a queue's item, an event, a
/// future's result, a thread's end), and there the other thread's work is what takes the time.
///
/// The call through which the standard library was entered tells: none at all (a lock written in
/// C), or one of the two names of the lock protocol.
pub(super) fn enters_critical_section(tables: &Tables, state: &State) -> bool {
    let mut entry = None;
    for line in lines(tables, state.stack) {
        if Origin::of(line.function) != Origin::Standard {
            return entry.is_none_or(is_lock_protocol);
        }
        entry = Some(line.function);
    }
    false
}

fn is_lock_protocol(function: &Function) -> bool {
    let name = function.name.rsplit('.').next();
    matches!(name, Some("acquire" | "__enter__"))
}

#[cfg(test)]
mod tests {
    use super::Origin;
    use crate::model::Function;

    fn origin(file: &str) -> Origin {
        Origin::of(&Function {
            name: "f".into(),
            qualified: false,
            module: "m".into(),
            file: file.into(),
            first_line: 1,
        })
    }

    #[test]
    fn files_tell_whose_code_it_is() {
        assert_eq!(origin("/srv/app/main.py"), Origin::User);
        assert_eq!(origin("<stdin>"), Origin::User);
        assert_eq!(origin("/home/ann/lib/pythonic/app.py"), Origin::User);
        assert_eq!(origin("/usr/lib/python3.12/threading.py"), Origin::Standard);
        assert_eq!(origin("<frozen importlib._bootstrap>"), Origin::Standard);
        assert_eq!(origin("/usr/lib/python3/dist-packages/six.py"), Origin::Package);
        assert_eq!(origin("/v/lib/python3.12/site-packages/requests/api.py"), Origin::Package);
    }
}
