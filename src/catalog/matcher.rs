//! Finds the probe for a thread's stack, and remembers what it found.

use rustc_hash::FxHashMap;

use crate::model::{Cause, StackId, Tables};

use super::probe::Probe;
use super::{Catalog, PatternId};

/// What is asked of a [`Matcher`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Query {
    /// The thread's Python stack.
    pub stack: StackId,
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
    found: FxHashMap<Query, Option<&'c Probe>>,
}

impl<'c> Matcher<'c> {
    /// A matcher that has seen nothing yet.
    #[must_use]
    pub fn new(catalog: &'c Catalog) -> Self {
        Self { catalog, functions: Vec::new(), found: FxHashMap::default() }
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
        let query = |stack, syscall, cause| Query { stack, syscall: Some(syscall), cause };
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
    }
}
