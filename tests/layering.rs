//! The architecture, as a test: which layer may use which, and what is deliberately absent where.
//!
//! Sources are read as tokens, so that paths inside macros count as well.

#![cfg(test)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The layers in the order to read them, each with those that it may use besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("target", &["model"]),
    ("python", &["model", "target"]),
    ("sampler", &["model", "target", "python"]),
    ("catalog", &["model"]),
    ("classify", &["model", "catalog"]),
    ("waits", &["model"]),
    ("profile", &["model"]),
    ("diagnose", &["model", "catalog", "profile"]),
    ("compare", &["model", "profile", "diagnose"]),
    ("output", &["model", "profile", "diagnose", "compare"]),
    ("tui", &["model", "catalog", "profile", "diagnose", "output"]),
    // `target` for the process that it is handed and for how that ended, no more.
    ("session", &["model", "target", "sampler", "catalog", "classify", "waits", "profile"]),
    (
        "cli",
        &[
            "model", "target", "python", "sampler", "catalog", "classify", "waits", "profile",
            "diagnose", "compare", "output", "tui", "session",
        ],
    ),
];

/// What a layer may use besides itself; `None` when there is no such layer.
fn allowed(layer: &str) -> Option<&'static [&'static str]> {
    LAYERS.iter().find(|(name, _)| *name == layer).map(|(_, allowed)| *allowed)
}

/// Layers that know neither the clock nor the file system.
const PURE: &[&str] =
    &["model", "catalog", "classify", "waits", "profile", "diagnose", "compare", "output"];

/// What a pure layer may not name.
const IMPURE: &[&str] = &["Instant", "SystemTime", "fs"];

/// Lines that a file may have before its tests.
const LONGEST: usize = 400;

/// One file of `src`.
struct Source {
    /// Its path below `src`, as `target/maps.rs`.
    path: String,
    text: String,
    /// Whether the file as a whole is declared under `#[cfg(test)]`.
    test_only: bool,
}

impl Source {
    fn layer(&self) -> Option<&str> {
        let first = self.path.split('/').next()?;
        let layer = first.strip_suffix(".rs").unwrap_or(first);
        (!matches!(layer, "lib" | "main")).then_some(layer)
    }

    /// How many modules lead to this file: 1 for a layer's own.
    fn depth(&self) -> usize {
        match self.path.as_str() {
            "lib.rs" | "main.rs" => 0,
            path => path.split('/').filter(|part| *part != "mod.rs").count(),
        }
    }

    fn tokens(&self) -> TokenStream {
        self.text.parse().unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }
}

/// Where in a file the walk is.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    test: bool,
    /// Inside `#[…]`, whose strings are mostly documentation.
    attribute: bool,
}

/// Walks the tokens of a file and collects what is forbidden in it.
struct Walk<'a> {
    source: &'a Source,
    found: Vec<String>,
}

impl Walk<'_> {
    fn report(&mut self, token: &TokenTree, what: &str) {
        let line = token.span().start().line;
        self.found.push(format!("src/{}:{line}: {what}", self.source.path));
    }

    fn walk(&mut self, tokens: TokenStream, place: Place) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        // Set by `#[cfg(test)]` for as long as the item that it belongs to.
        let mut test_item = false;
        for (index, tree) in trees.iter().enumerate() {
            let here = Place { test: place.test || test_item, ..place };
            match tree {
                TokenTree::Ident(name) => {
                    self.word(&name.to_string(), tree, &trees[index + 1..], here);
                }
                TokenTree::Literal(literal) => self.literal(&literal.to_string(), tree, here),
                TokenTree::Punct(mark) => test_item &= mark.as_char() != ';',
                TokenTree::Group(group) => {
                    let attribute =
                        group.delimiter() == Delimiter::Bracket && is_attribute(&trees[..index]);
                    let module = index >= 2 && is_word(&trees[index - 2], "mod");
                    self.walk(
                        group.stream(),
                        Place {
                            depth: here.depth + usize::from(module),
                            attribute: here.attribute || attribute,
                            ..here
                        },
                    );
                    if attribute && compact(group.stream()) == "cfg(test)" {
                        test_item = true;
                    } else if group.delimiter() == Delimiter::Brace {
                        test_item = false;
                    }
                }
            }
        }
    }

    /// Judges a word and the path that it may begin.
    fn word(&mut self, word: &str, tree: &TokenTree, rest: &[TokenTree], place: Place) {
        let layer = self.source.layer();
        let next = segments_after(rest);
        match word {
            "crate" => {
                for target in &next {
                    if let Some(what) = self.forbidden_use(target, place.test) {
                        self.report(tree, &what);
                    }
                }
            }
            "super" if next.iter().any(|name| name == "super") => {
                self.report(tree, "`super::super` climbs; write `crate::layer::…`");
            }
            "super" if place.depth <= 1 => {
                self.report(tree, "`super::` climbs out of the layer; write `crate::layer::…`");
            }
            "pyconc" => {
                for target in next {
                    if self.source.path != "main.rs" || target != "cli" {
                        self.report(tree, &format!("`pyconc::{target}`: main.rs uses cli alone"));
                    }
                }
            }
            "unsafe" | "target_os" if layer != Some("target") => {
                self.report(tree, &format!("`{word}` belongs to target"));
            }
            "anyhow" if !matches!(layer, Some("cli") | None) => {
                self.report(tree, "`anyhow` belongs to cli");
            }
            _ if IMPURE.contains(&word)
                && !place.test
                && layer.is_some_and(|layer| PURE.contains(&layer)) =>
            {
                self.report(tree, &format!("`{word}`: this layer has no clock and opens no file"));
            }
            _ => {}
        }
    }

    /// Why this file may not use `crate::target`, if it may not.
    fn forbidden_use(&self, target: &str, test: bool) -> Option<String> {
        let layer = self.source.layer()?;
        let allowed = allowed(layer)?;
        if self::allowed(target).is_none() {
            return Some(format!("`crate::{target}` is no layer: nothing lives at the root"));
        }
        // A test makes its input with what the layers below it need.
        let below = |name: &&str| self::allowed(name).is_some_and(|list| list.contains(&target));
        let fine =
            target == layer || allowed.contains(&target) || (test && allowed.iter().any(below));
        (!fine).then(|| format!("{layer} may not use {target}"))
    }

    fn literal(&mut self, literal: &str, tree: &TokenTree, place: Place) {
        // The suffix alone, and a package's own file, are the language's and no library's.
        let stem = literal.strip_suffix(".py\"").and_then(|path| path.rsplit(['/', '"']).next());
        let names_python_file = stem
            .is_some_and(|stem| !matches!(stem, "" | "__init__") && !stem.contains(' '))
            || literal.contains("base_events");
        if names_python_file
            && !place.test
            && !place.attribute
            && self.source.layer() != Some("catalog")
        {
            self.report(tree, "names of Python files live in probes/");
        }
    }
}

/// What is forbidden in one file.
fn violations(source: &Source) -> Vec<String> {
    let mut walk = Walk { source, found: Vec::new() };
    let place = Place { depth: source.depth(), test: source.test_only, attribute: false };
    walk.walk(source.tokens(), place);
    if let Some(layer) = source.layer()
        && allowed(layer).is_none()
    {
        walk.found.push(format!("src/{}: `{layer}` is not a layer", source.path));
    }
    let lines = source.text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
    if lines > LONGEST {
        walk.found.push(format!("src/{}: {lines} lines before its tests", source.path));
    }
    walk.found
}

/// What is wrong with the crate's root: it declares the layers in their order, and nothing else.
fn root_violations(source: &Source) -> Vec<String> {
    let file = syn::parse_file(&source.text).expect("lib.rs is Rust");
    let mut found = Vec::new();
    let mut next = 0;
    for item in &file.items {
        match item {
            syn::Item::Mod(module) if module.content.is_none() => {
                let name = module.ident.to_string();
                match LAYERS.iter().position(|(layer, _)| *layer == name) {
                    Some(place) if place >= next => next = place + 1,
                    Some(_) => found.push(format!("src/lib.rs: `{name}` is out of order")),
                    None => found.push(format!("src/lib.rs: `{name}` is not a layer")),
                }
            }
            _ => found.push("src/lib.rs: declares layers only, no re-exports and no items".into()),
        }
    }
    found
}

/// The files that open the lint against unsafe code: one at most.
fn unsafe_files(sources: &[Source]) -> Vec<&str> {
    let names_unsafe = |source: &&Source| {
        contains_word(source.tokens(), "unsafe") || contains_word(source.tokens(), "unsafe_code")
    };
    sources.iter().filter(names_unsafe).map(|source| source.path.as_str()).collect()
}

fn contains_word(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|tree| match tree {
        TokenTree::Group(group) => contains_word(group.stream(), word),
        tree => is_word(&tree, word),
    })
}

fn is_word(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(name) if name == word)
}

fn is_mark(tree: Option<&TokenTree>, mark: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// Whether a `[…]` after these tokens is an attribute's.
fn is_attribute(before: &[TokenTree]) -> bool {
    match before {
        [.., hash, bang] if is_mark(Some(bang), '!') => is_mark(Some(hash), '#'),
        [.., hash] => is_mark(Some(hash), '#'),
        [] => false,
    }
}

fn compact(tokens: TokenStream) -> String {
    tokens.to_string().replace(' ', "")
}

/// The segments that follow `crate` or `super`: one, or the heads of a group `{a::b, c}`.
fn segments_after(rest: &[TokenTree]) -> Vec<String> {
    if !is_mark(rest.first(), ':') || !is_mark(rest.get(1), ':') {
        return Vec::new();
    }
    match rest.get(2) {
        Some(TokenTree::Group(group)) => {
            let trees: Vec<TokenTree> = group.stream().into_iter().collect();
            trees
                .split(|tree| is_mark(Some(tree), ','))
                .filter_map(<[_]>::first)
                .map(ToString::to_string)
                .collect()
        }
        Some(tree) => vec![tree.to_string()],
        None => Vec::new(),
    }
}

/// All files of `src`.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "rs") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let test_only = test_only_files(&paths);
    let read = |path: &PathBuf| Source {
        path: path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned(),
        text: std::fs::read_to_string(path).expect("a source can be read"),
        test_only: test_only.contains(path),
    };
    paths.iter().map(read).collect()
}

/// The files that a `mod.rs` declares under `#[cfg(test)]`.
fn test_only_files(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for path in paths.iter().filter(|path| path.ends_with("mod.rs")) {
        let text = std::fs::read_to_string(path).expect("a source can be read");
        for item in syn::parse_file(&text).expect("a source is Rust").items {
            if let syn::Item::Mod(module) = item
                && module.attrs.iter().any(|attribute| {
                    matches!(&attribute.meta, syn::Meta::List(list)
                        if list.path.is_ident("cfg") && list.tokens.to_string() == "test")
                })
            {
                found.insert(path.with_file_name(format!("{}.rs", module.ident)));
            }
        }
    }
    found
}

#[test]
fn every_layer_keeps_to_its_neighbours() {
    let sources = sources();
    assert!(sources.len() > 10, "src was not found");
    let mut found: Vec<String> = sources.iter().flat_map(violations).collect();
    let root = sources.iter().find(|source| source.path == "lib.rs").expect("lib.rs is there");
    found.extend(root_violations(root));
    let unsafe_files = unsafe_files(&sources);
    if unsafe_files.len() > 1 {
        found.push(format!("unsafe code in more than one file: {unsafe_files:?}"));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

mod the_test_can_fail {
    use super::{Source, root_violations, unsafe_files, violations};

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into(), test_only: false }
    }

    #[test]
    fn what_is_allowed_passes() {
        for (path, text) in [
            ("model/mod.rs", "mod ids; pub use self::ids::Pid;"),
            ("model/tables.rs", "use super::ids::Pid; use crate::model::Tid;"),
            ("python/layout/mod.rs", "use super::Gil; use crate::{model::Pid, target::Process};"),
            ("target/sys.rs", "fn f() { unsafe { g() } } #[cfg(target_os = \"linux\")] fn g() {}"),
            ("profile/mod.rs", "#[cfg(test)] mod tests { use super::X; fn f() { fs::read(p); } }"),
            ("classify/mod.rs", "//! not `threading.py\"`\n#[doc = \"a.py\"] fn f() {}"),
            ("classify/mod.rs", "#[cfg(test)] mod tests { const A: &str = \"threading.py\"; }"),
            ("catalog/mod.rs", "const A: &str = \"asyncio/base_events.py\";"),
            ("python/a.rs", "fn f() { a.ends_with(\".py\") || a.ends_with(\"/__init__.py\"); }"),
            ("output/a.rs", "#[cfg(test)] mod tests { use crate::catalog::Catalog; }"),
            ("cli/mod.rs", "use anyhow::Context; use crate::session::Session;"),
            ("main.rs", "use pyconc::cli; fn main() { anyhow::anyhow!(\"\"); }"),
            ("model/a.rs", "pub(crate) fn f() {} pub(in crate::model) fn g() {}"),
        ] {
            let found = violations(&source(path, text));
            assert!(found.is_empty(), "{path}: {text}\n{found:?}");
        }
    }

    #[test]
    fn what_is_forbidden_is_found() {
        for (path, text, expected) in [
            ("model/mod.rs", "use crate::target::Process;", "model may not use target"),
            ("target/a.rs", "use crate::{model::Pid, python::Gil};", "target may not use python"),
            ("sampler/a.rs", "use crate::catalog::Catalog;", "sampler may not use catalog"),
            ("classify/mod.rs", "fn f() { crate::profile::g(); }", "classify may not use profile"),
            (
                "output/a.rs",
                "fn f() { w!(\"{}\", crate::python::X); }",
                "output may not use python",
            ),
            ("session/a.rs", "use crate::diagnose::diagnose;", "session may not use diagnose"),
            ("profile/a.rs", "#[cfg(test)] mod t { use crate::cli::X; }", "may not use cli"),
            ("model/a.rs", "use crate::Helper;", "nothing lives at the root"),
            ("model/a.rs", "use crate::*;", "nothing lives at the root"),
            ("helpers/a.rs", "fn f() {}", "`helpers` is not a layer"),
            ("util.rs", "use crate::model::Pid;", "`util` is not a layer"),
            ("python/layout/a.rs", "use super::super::Gil;", "climbs"),
            ("python/layout/a.rs", "use super::{super::Gil, b};", "climbs"),
            ("python/mod.rs", "use super::target::Process;", "climbs out of the layer"),
            ("python.rs", "fn f() { super::target::open(); }", "climbs out of the layer"),
            ("output/a.rs", "use pyconc::python::Gil;", "main.rs uses cli alone"),
            ("main.rs", "use pyconc::session::Session;", "main.rs uses cli alone"),
            ("python/a.rs", "fn f() { unsafe { g() } }", "`unsafe` belongs to target"),
            ("cli/a.rs", "#[cfg(target_os = \"linux\")] fn f() {}", "`target_os` belongs"),
            ("profile/a.rs", "use anyhow::Result;", "`anyhow` belongs to cli"),
            ("classify/a.rs", "fn f() { std::time::Instant::now(); }", "no clock"),
            ("output/a.rs", "fn f() { std::fs::File::create(p); }", "opens no file"),
            ("diagnose/a.rs", "#[cfg(test)] mod t {} fn f() { Instant::now(); }", "no clock"),
            ("classify/a.rs", "fn f() { p.ends_with(\"threading.py\"); }", "live in probes/"),
            ("python/a.rs", "const A: &str = \"asyncio/tasks.py\";", "live in probes/"),
            ("output/a.rs", "#[cfg(test)] mod t { use crate::target::X; }", "may not use target"),
            ("python/a.rs", "const A: &str = \"asyncio.base_events\";", "live in probes/"),
            ("model/a.rs", &"\n".repeat(401), "401 lines before its tests"),
        ] {
            let found = violations(&source(path, text));
            assert!(found.iter().any(|what| what.contains(expected)), "{path}: {text}\n{found:?}");
        }
    }

    #[test]
    fn the_root_holds_layers_in_their_order() {
        let found = |text| root_violations(&source("lib.rs", text)).len();
        assert_eq!(found("//! x\npub mod model; pub mod python; pub mod cli;"), 0);
        assert_eq!(found("pub mod python; pub mod model;"), 1);
        assert_eq!(found("pub mod model; pub mod util;"), 1);
        assert_eq!(found("pub mod model; pub use model::Pid;"), 1);
        assert_eq!(found("pub mod model { pub struct A; }"), 1);
    }

    #[test]
    fn unsafe_code_in_two_files_is_found() {
        let sources = [
            source("target/a.rs", "#![allow(unsafe_code)] fn f() { unsafe { g() } }"),
            source("target/b.rs", "fn f() { m!(unsafe { g() }) }"),
            source("target/c.rs", "//! no unsafe code here\nfn f() {}"),
        ];
        assert_eq!(unsafe_files(&sources), ["target/a.rs", "target/b.rs"]);
    }
}
