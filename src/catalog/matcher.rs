//! Finds the probe for a thread's stack, and remembers what it found.

use rustc_hash::FxHashMap;

use crate::model::{Cause, Function, StackId, Tables};

use super::probe::Probe;
use super::{Catalog, PatternId};

/// The frame, by module and function, that stands outside all others of a thread whose event loop is
/// in a step: not all loops have frames of their own.
const STEP: (&str, &str) = ("event-loop", "step");

/// What is asked of a [`Matcher`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Query {
    /// The thread's Python stack.
    pub stack: StackId,
    /// Whether the thread is in a step of an event loop, by other evidence than its frames.
    pub in_step: bool,
    /// The system call that the thread is in, by its name.
    pub syscall: Option<&'static str>,
    /// [`Cause::Parked`] asks for probes that say that the thread is idle by design; any other for
    /// those that say more about a thread with that cause.
    pub cause: Cause,
}

/// Finds probes for the stacks of one set of [`Tables`].
///
/// Names are compared once for each function, stacks once for each query.
#[derive(Debug)]
pub struct Matcher<'c> {
    catalog: &'c Catalog,
    /// Of each function, by its id: the catalogue's patterns that it fits.
    functions: Vec<Box<[PatternId]>>,
    /// The patterns that a step of an event loop fits.
    step: Box<[PatternId]>,
    found: FxHashMap<Query, Option<&'c Probe>>,
}

impl<'c> Matcher<'c> {
    /// A matcher that has seen nothing yet.
    #[must_use]
    pub fn new(catalog: &'c Catalog) -> Self {
        let step = catalog.patterns_of(&Function {
            name: STEP.1.into(),
            qualified: true,
            module: STEP.0.into(),
            file: "".into(),
            first_line: 0,
        });
        Self { catalog, functions: Vec::new(), step, found: FxHashMap::default() }
    }

    /// The catalogue's first probe for `query`.
    ///
    /// `tables` must be the same at each call; they may have grown.
    pub fn find(&mut self, tables: &Tables, query: Query) -> Option<&'c Probe> {
        if let Some(known) = self.found.get(&query) {
            return *known;
        }
        for function in tables.functions.since(self.functions.len()) {
            self.functions.push(self.catalog.patterns_of(function));
        }
        let mut stack: Vec<_> = tables
            .frames_of(query.stack)
            .filter_map(|id| tables.frames.get(id))
            .filter_map(|frame| self.functions.get(usize::from(frame.function)))
            .map(|patterns| &**patterns)
            .collect();
        if query.in_step {
            stack.push(&self.step);
        }
        stack.reverse();
        let found = self.catalog.first(&stack, query.syscall, query.cause);
        self.found.insert(query, found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{Matcher, Query};
    use crate::catalog::Catalog;
    use crate::model::{Cause, Frame, Function, StackId, Tables};

    const FILE: &str = r#"
        [[probe]]
        id = "narrow"
        cause = "sleep"
        frames = ["...", "lib:nap", "..."]
        syscall = ["clock_nanosleep"]
        title = "t"
        why = "w"
        advice = "a"
        hit = ["lib:nap | clock_nanosleep"]
        miss = ["lib:nap | poll"]
    "#;

    fn push(tables: &mut Tables, caller: StackId, module: &str, name: &str) -> StackId {
        let function = tables.functions.intern(Function {
            name: name.into(),
            qualified: true,
            module: module.into(),
            file: "".into(),
            first_line: 1,
        });
        let frame = tables.frames.intern(Frame { function, line: 7 });
        tables.push_frame(caller, frame)
    }

    #[test]
    fn stack_cause_and_syscall_must_all_fit() {
        let catalog = Catalog::extended(vec![("own.toml".into(), FILE.into())]).unwrap();
        let mut matcher = Matcher::new(&catalog);
        let mut tables = Tables::default();
        let main = push(&mut tables, StackId::EMPTY, "app", "main");
        let query =
            |stack, syscall, cause| Query { stack, in_step: false, syscall: Some(syscall), cause };
        let nothing = query(main, "clock_nanosleep", Cause::Sleep);
        assert_eq!(matcher.find(&tables, nothing), None);

        // The tables grow between two calls, as they do while a program is sampled.
        let nap = push(&mut tables, main, "lib", "nap");
        let inner = push(&mut tables, nap, "app", "callback");
        for stack in [nap, inner, nap] {
            let hit = matcher.find(&tables, query(stack, "clock_nanosleep", Cause::Sleep));
            assert_eq!(hit.map(|probe| &*probe.id), Some("narrow"));
        }
        assert_eq!(matcher.find(&tables, query(nap, "poll", Cause::Sleep)), None);
        assert_eq!(matcher.find(&tables, query(nap, "clock_nanosleep", Cause::Lock)), None);
        assert_eq!(matcher.find(&tables, query(nap, "clock_nanosleep", Cause::Parked)), None);
        assert_eq!(matcher.find(&tables, query(StackId(99), "poll", Cause::Sleep)), None);
        let step = Query { in_step: true, ..query(main, "poll", Cause::Network) };
        assert_eq!(matcher.find(&tables, step).map(|probe| &*probe.id), Some("network-on-loop"));
    }
}
