//! Packages that programs of these tests import, in one environment for each Python.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::machine::{finish, say, spawn};
use super::pythons::Python;

/// Packages whose modules have other names.
const IMPORTS: [(&str, &str); 3] =
    [("pillow", "PIL"), ("pyyaml", "yaml"), ("scikit-learn", "sklearn")];

/// The environments that this run of the tests has made, by version.
static MADE: Mutex<BTreeMap<String, Environment>> = Mutex::new(BTreeMap::new());

/// An environment, and what pip was asked for in it.
struct Environment {
    python: Option<PathBuf>,
    installed: BTreeSet<String>,
    missing: BTreeSet<String>,
}

/// A Python with these packages. Says so and returns `None` when they cannot be had here.
pub fn with(python: &Python, packages: &[&str]) -> Option<Python> {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let version = python.version.clone();
    let environment = made.entry(version).or_insert_with(|| Environment::of(python));
    let missing: Vec<_> = packages.iter().filter(|package| !environment.has(package)).collect();
    if !missing.is_empty() {
        say(&format!("left out: {missing:?} on {}, which pip does not get here", python.version));
        return None;
    }
    Some(Python { path: environment.python.clone()?, ..python.clone() })
}

impl Environment {
    /// Makes a new one in the place of an earlier run's.
    fn of(python: &Python) -> Self {
        let name = format!("packages-{}", python.version);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let made = runs(&python.path, &["-m", "venv", "--clear", &folder.to_string_lossy()]);
        Self {
            python: made.then(|| folder.join("bin/python")),
            installed: BTreeSet::new(),
            missing: BTreeSet::new(),
        }
    }

    /// Whether it has a package, which is installed if it can be.
    fn has(&mut self, package: &str) -> bool {
        let Some(python) = &self.python else { return false };
        if !self.installed.contains(package) && !self.missing.contains(package) {
            let install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", package];
            let module = IMPORTS.iter().find(|(name, _)| *name == package);
            let module = module.map_or(package, |(_, module)| module);
            let imports =
                runs(python, &install) && runs(python, &["-c", &format!("import {module}")]);
            let known = if imports { &mut self.installed } else { &mut self.missing };
            known.insert(package.to_owned());
        }
        self.installed.contains(package)
    }
}

fn runs(program: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    finish(spawn(&mut command), "pip").status.success()
}
