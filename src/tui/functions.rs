//! The functions of a profile, each with the samples in itself and below it.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::model::{Cause, FunctionId, Origin};
use crate::profile::Profile;

/// A function at work, or waiting.
#[derive(Debug, Clone, Default)]
pub(super) struct FunctionRow {
    /// Its name.
    pub(super) name: String,
    /// Its file and first line.
    pub(super) place: String,
    /// Whether it is the program's own.
    pub(super) own: bool,
    /// Thread samples in the function itself.
    pub(super) inner: u64,
    /// Thread samples in it, or in what it called.
    pub(super) total: u64,
    /// Those by cause, in the order of [`Cause::ALL`].
    pub(super) causes: [u64; Cause::ALL.len()],
    /// Who called it, with samples.
    pub(super) callers: Vec<(String, u64)>,
}

impl FunctionRow {
    /// What it is mostly at.
    pub(super) fn mostly(&self) -> Option<Cause> {
        let most = self.causes.iter().zip(Cause::ALL).max_by_key(|(samples, _)| **samples)?;
        (*most.0 > 0).then_some(most.1)
    }
}

/// Callers of a function that are named.
const CALLERS: usize = 12;

/// The functions of all threads that are not parked.
pub(super) fn functions(profile: &Profile) -> Vec<FunctionRow> {
    let tables = &profile.tables;
    let mut rows: FxHashMap<FunctionId, FunctionRow> = FxHashMap::default();
    let mut callers: FxHashMap<(FunctionId, FunctionId), u64> = FxHashMap::default();
    for row in profile.rows().filter(|row| row.state.cause != Cause::Parked) {
        let mut met = BTreeSet::new();
        let mut callee: Option<FunctionId> = None;
        for frame in tables.frames_of(row.state.stack) {
            let Some(frame) = tables.frames.get(frame) else { continue };
            let known = rows.entry(frame.function).or_default();
            if callee.is_none() {
                known.inner += row.samples;
            }
            // A function that calls itself is in a stack more than once.
            if met.insert(frame.function) {
                known.total += row.samples;
                if let Some(sum) = known.causes.get_mut(row.state.cause as usize) {
                    *sum += row.samples;
                }
            }
            if let Some(callee) = callee.filter(|callee| *callee != frame.function) {
                *callers.entry((callee, frame.function)).or_default() += row.samples;
            }
            callee = Some(frame.function);
        }
    }
    let name = |id: FunctionId| {
        tables
            .functions
            .get(id)
            .map_or_else(|| "?".to_owned(), |function| function.name.to_string())
    };
    for ((callee, caller), samples) in callers {
        if let Some(row) = rows.get_mut(&callee) {
            row.callers.push((name(caller), samples));
        }
    }
    let mut rows: Vec<FunctionRow> = rows
        .into_iter()
        .filter_map(|(id, row)| {
            let function = tables.functions.get(id)?;
            let mut callers = row.callers;
            callers.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            callers.truncate(CALLERS);
            Some(FunctionRow {
                name: function.name.to_string(),
                place: format!("{}:{}", function.file, function.first_line),
                own: Origin::of(function) == Origin::User,
                callers,
                ..row
            })
        })
        .collect();
    rows.sort_by(|a, b| {
        b.inner.cmp(&a.inner).then_with(|| (&a.name, &a.place).cmp(&(&b.name, &b.place)))
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::functions;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::model::Cause;

    #[test]
    fn a_function_that_calls_itself_counts_once() {
        let mut fixture = Fixture::new(1);
        let thread = fixture.thread("main");
        let stack = ["a.py:main:1", "a.py:fib:2", "a.py:fib:2", "a.py:fib:3"];
        fixture.spend(thread, 60, &Doing::new(Cause::Python, &stack));
        fixture.spend(thread, 40, &Doing::new(Cause::Sleep, &["a.py:main:1"]));
        let rows = functions(&fixture.profile);
        let told: Vec<_> = rows.iter().map(|row| (&*row.name, row.inner, row.total)).collect();
        assert_eq!(told, [("fib", 60, 60), ("main", 40, 100)]);
        assert_eq!(rows[0].callers, [("main".to_owned(), 60)]);
        assert_eq!(rows[1].mostly(), Some(Cause::Python));
    }
}
