//! What to do, step by step, with code in the names of the program.

use crate::diagnose::findings::Finding;
use crate::diagnose::site::{Site, lines};
use crate::model::Cause;
use minijinja::{Environment, UndefinedBehavior, context};
use schemars::JsonSchema;
use serde::Serialize;

use super::choice::{Choice, Situation};
use super::elsewhere::call_elsewhere;
use super::gain::{BOUND, IN_FLIGHT};
use super::model::Model;

/// A step towards a model.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Step {
    /// What to do.
    pub what: String,
    /// Where.
    #[serde(rename = "where")]
    pub site: Option<Site>,
    /// The code there, where it could be read.
    pub before: Option<String>,
    /// What to write instead, or what that looks like.
    pub after: Option<String>,
}

/// The recipe of each model that has one.
const RECIPES: [(Model, &str); 11] = [
    (Model::Asyncio, include_str!("recipes/asyncio.jinja")),
    (Model::Threads, include_str!("recipes/threads.jinja")),
    (Model::Processes, include_str!("recipes/processes.jinja")),
    (Model::FreeThreaded, include_str!("recipes/free-threaded.jinja")),
    (Model::LargerChunks, include_str!("recipes/larger-chunks.jinja")),
    (Model::OffloadToExecutor, include_str!("recipes/offload-to-executor.jinja")),
    (Model::ReduceLockScope, include_str!("recipes/reduce-lock-scope.jinja")),
    (Model::BoundFanOut, include_str!("recipes/bound-fan-out.jinja")),
    (Model::FixDeadlock, include_str!("recipes/fix-deadlock.jinja")),
    (Model::CloseOnShutdown, include_str!("recipes/close-on-shutdown.jinja")),
    (Model::FixLeak, include_str!("recipes/fix-leak.jinja")),
];

/// The steps of a choice: the line that is to be changed, the recipe, and what belongs to it.
pub(super) fn steps(situation: &Situation, choice: &Choice) -> Vec<Step> {
    let finding = choice.about.and_then(|id| situation.finding(id));
    let mut steps = Vec::new();
    if let Some(finding) = finding {
        steps.extend(call_elsewhere(situation, choice.model, finding));
    }
    // What was rewritten in its place needs no pattern, and a database's lock is not the program's.
    let rewritten = steps.iter().any(|step: &Step| step.after.is_some())
        || finding.is_some_and(|finding| finding.id == "database-locked");
    if !rewritten {
        let site = finding.and_then(|it| it.site.clone()).or_else(|| busiest(situation));
        steps.extend(recipe(situation, choice.model, finding, site));
    }
    let advice = finding.map(|finding| finding.advice.clone());
    steps.extend(advice.filter(|_| choice.model != Model::Keep).map(|what| Step {
        what,
        site: None,
        before: None,
        after: None,
    }));
    steps
}

fn recipe(
    situation: &Situation,
    model: Model,
    finding: Option<&Finding>,
    site: Option<Site>,
) -> Option<Step> {
    let (_, text) = RECIPES.iter().find(|(of, _)| *of == model)?;
    let evidence = |key: &str| finding.and_then(|it| it.evidence.get(key)?.as_str());
    let function = site.as_ref().map_or("work", |site| &site.function);
    let bare = function.rsplit('.').next().unwrap_or(function);
    let place = site.as_ref().map_or_else(String::new, |site| {
        let file = site.file.rsplit('/').next().unwrap_or_default();
        format!(" ({file}:{})", site.line)
    });
    let meta = &situation.profile.meta;
    let script = meta.command.iter().find(|word| is_script(word));
    let values = context! {
        function,
        bare => if bare.starts_with('<') { "work" } else { bare },
        place,
        modern => is_modern(situation),
        to_thread => to_thread(situation),
        computes => evidence("cause") == Some(Cause::Python.name()),
        cpus => cpus(situation),
        in_flight => IN_FLIGHT as u64,
        bound => BOUND as u64,
        lock => evidence("lock").filter(|name| !name.is_empty()).unwrap_or("the_lock"),
        locks => evidence("locks").unwrap_or("by name, or by id()"),
        build => if version(situation) >= (3, 13) { version_text(situation) } else { "3.14".to_owned() },
        script => script.map_or("PROGRAM", String::as_str),
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let after = environment.render_str(text, values).ok()?;
    let before =
        site.as_ref().and_then(|site| situation.profile.surroundings.source(&site.file, site.line));
    let before = before.map(str::to_owned);
    Some(Step {
        what: model.step().to_owned(),
        site,
        before,
        after: Some(after.trim_end().to_owned()),
    })
}

/// The function that computes most: the outermost of the program's own that a thread runs there.
fn busiest(situation: &Situation) -> Option<Site> {
    let tables = &situation.profile.tables;
    let working = situation.profile.rows().filter(|row| row.state.cause == Cause::Python);
    let row = working.max_by_key(|row| row.samples)?;
    let line = lines(tables, row.state.stack).find(|line| line.is_user())?;
    Some(line.site())
}

/// The CPUs that work may be divided among.
pub(super) fn cpus(situation: &Situation) -> u64 {
    let usable = situation.load.facts.usable_cpus;
    if usable.is_finite() { usable.ceil() as u64 } else { 4 }
}

/// Whether a word of the command line is a file of Python's.
fn is_script(word: &str) -> bool {
    word.rsplit_once('.').is_some_and(|(_, suffix)| suffix == "py")
}

/// The version of Python, as two numbers.
pub(super) fn version(situation: &Situation) -> (u32, u32) {
    let mut parts = situation.profile.meta.python.split('.');
    let mut next = || parts.next().and_then(|part| part.parse().ok()).unwrap_or_default();
    (next(), next())
}

/// The same as `3.14`.
pub(super) fn version_text(situation: &Situation) -> String {
    let (major, minor) = version(situation);
    format!("{major}.{minor}")
}

/// Whether there are `TaskGroup` and `timeout`.
fn is_modern(situation: &Situation) -> bool {
    version(situation) >= (3, 11)
}

/// What runs a call in a thread, up to the call.
pub(super) fn to_thread(situation: &Situation) -> &'static str {
    if version(situation) >= (3, 9) {
        "asyncio.to_thread("
    } else {
        "asyncio.get_running_loop().run_in_executor(None, "
    }
}

#[cfg(test)]
mod tests {
    use super::RECIPES;

    #[test]
    fn every_recipe_can_be_rendered() {
        for (model, text) in RECIPES {
            for modern in [false, true] {
                let mut environment = minijinja::Environment::new();
                environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
                let values = minijinja::context! {
                    function => "Shop.load", bare => "load", place => " (shop.py:3)", modern,
                    to_thread => "asyncio.to_thread(", computes => modern, cpus => 2,
                    in_flight => 8, bound => 50, lock => "self.lock", locks => "a, b",
                    build => "3.14", script => "PROGRAM",
                };
                let rendered = environment.render_str(text, values);
                let rendered = rendered.unwrap_or_else(|error| panic!("{model:?}: {error:#}"));
                assert!(!rendered.contains("{{") && !rendered.contains("{%"), "{rendered}");
            }
        }
    }
}
