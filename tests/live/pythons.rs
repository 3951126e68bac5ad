//! The interpreters of this machine.
//!
//! `PYCONC_TEST_PYTHONS` (paths with colons between) names them; without it they are looked for in
//! `PATH`, in pyenv's folder of versions and in `/opt/pythons`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::machine::{finish, in_ci, say};

/// The versions with all features, oldest first.
const FULL: [&str; 9] = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.13t", "3.14", "3.15"];

/// The versions with stacks and causes only.
const OLD: [&str; 3] = ["2.7", "3.6", "3.7"];

/// Says its version, as `3.13t`, and the program that it really is: a command may be a shim.
const WHO: &str = "import sys, sysconfig; print('%d.%d%s %s' % (sys.version_info[0], \
    sys.version_info[1], 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else '', \
    sys.executable))";

/// A CPython.
#[derive(Debug, Clone)]
pub struct Python {
    /// Its version, as `3.11` or `3.13t`.
    pub version: String,
    pub path: PathBuf,
}

impl Python {
    pub fn free_threaded(&self) -> bool {
        self.version.ends_with('t')
    }

    fn ask(path: &Path) -> Option<Self> {
        let child = Command::new(path)
            .args(["-c", WHO])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let output = finish(child, &path.to_string_lossy());
        let text = String::from_utf8(output.stdout).ok()?;
        let (version, path) = text.trim_end().split_once(' ')?;
        Some(Self { version: version.to_owned(), path: path.into() })
    }
}

/// The interpreters with all features, one of each version.
///
/// The first call says which they are. In CI all of them must be there.
pub fn all() -> &'static [Python] {
    static FOUND: OnceLock<Vec<Python>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let (found, missing) = find(&FULL);
        let names: Vec<_> = found.iter().map(|python| python.version.as_str()).collect();
        say(&format!("CPython covered: {}", names.join(" ")));
        if !missing.is_empty() {
            say(&format!("CPython MISSING: {}", missing.join(" ")));
        }
        assert!(missing.is_empty() || !in_ci(), "CI needs every version; missing: {missing:?}");
        assert!(!found.is_empty(), "no CPython found; name some in PYCONC_TEST_PYTHONS");
        found
    })
}

/// One interpreter, for what does not differ between versions.
pub fn any() -> &'static Python {
    all().iter().find(|python| python.version == "3.11").unwrap_or(&all()[0])
}

/// The interpreters of which only stacks and causes are told.
pub fn old() -> &'static [Python] {
    static FOUND: OnceLock<Vec<Python>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let (found, _) = find(&OLD);
        let names: Vec<_> = found.iter().map(|python| python.version.as_str()).collect();
        say(&format!("old CPython covered: {}", names.join(" ")));
        found
    })
}

/// One interpreter of each of these versions, and the versions of which there is none.
fn find(versions: &[&'static str]) -> (Vec<Python>, Vec<&'static str>) {
    let mut missing = Vec::new();
    let mut found = Vec::new();
    let named = std::env::var_os("PYCONC_TEST_PYTHONS");
    let named: Option<Vec<Python>> = named
        .map(|list| std::env::split_paths(&list).filter_map(|path| Python::ask(&path)).collect());
    for version in versions {
        let one = match &named {
            Some(pythons) => pythons.iter().find(|python| python.version == *version).cloned(),
            None => candidates(version)
                .iter()
                .filter_map(|path| Python::ask(path))
                .find(|python| python.version == *version),
        };
        match one {
            Some(python) => found.push(python),
            None => missing.push(*version),
        }
    }
    (found, missing)
}

/// Where an interpreter of a version may be.
fn candidates(version: &str) -> Vec<PathBuf> {
    let name = format!("python{version}");
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(home) = std::env::var_os("HOME") {
        // Its folders are named by full versions, as 3.11.7.
        let prefix = format!("{}.", version.trim_end_matches('t'));
        let installed = std::fs::read_dir(Path::new(&home).join(".pyenv/versions"));
        let matching = installed
            .into_iter()
            .flatten()
            .flatten()
            .filter(|folder| folder.file_name().to_string_lossy().starts_with(&prefix));
        folders.extend(matching.map(|folder| folder.path().join("bin")));
    }
    folders.push(Path::new("/opt/pythons").join(version).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    folders.iter().map(|folder| folder.join(&name)).filter(|path| path.is_file()).collect()
}
