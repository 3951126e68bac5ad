//! Where a process has its interpreter, and which version that is.

use std::path::Path;

use super::layout::{Layout, Version};
use crate::model::{Address, Pid};
use crate::target::{Mapping, Memory, Process};

/// CPython's state, found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// `_PyRuntime`; null for versions that have none or are read by other means.
    pub address: Address,
    /// The version.
    pub version: Version,
}

/// Why no interpreter was found.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The process has none.
    #[error("process {pid} is not CPython ({program})")]
    NotPython {
        /// The process.
        pid: Pid,
        /// Its program.
        program: String,
    },
    /// It is another Python.
    #[error("process {pid} runs PyPy, whose memory pyconc cannot read; only CPython is supported")]
    PyPy {
        /// The process.
        pid: Pid,
    },
    /// CPython, but which one is not to be told.
    #[error("process {pid} has a CPython of a version that cannot be told")]
    NoVersion {
        /// The process.
        pid: Pid,
    },
    /// The kernel does not show the process's memory map.
    #[error("reading the memory map of process {pid}: {source}")]
    Maps {
        /// The process.
        pid: Pid,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

impl Runtime {
    /// Finds the interpreter of a process.
    ///
    /// # Errors
    /// When there is none, or none that can be read.
    pub fn find(process: &Process) -> Result<Self, LocateError> {
        let pid = process.pid();
        let maps = process.maps().map_err(|source| LocateError::Maps { pid, source })?;
        let mut candidates = candidates(&maps);
        candidates.sort_by_key(|candidate| candidate.rank);
        for candidate in &candidates {
            if let Some(found) = Self::in_file(process, candidate) {
                return found;
            }
        }
        if maps.iter().any(|mapping| file_name(mapping).contains("pypy")) {
            return Err(LocateError::PyPy { pid });
        }
        // 3.6 and older have no `_PyRuntime`: the file's name is all there is.
        match candidates.iter().find_map(|candidate| candidate.version) {
            Some(version) => Ok(Self { address: Address::NULL, version }),
            None => Err(LocateError::NotPython { pid, program: program(process) }),
        }
    }

    fn in_file(process: &Process, candidate: &Candidate<'_>) -> Option<Result<Self, LocateError>> {
        let image = process.elf(candidate.mapping).ok()?;
        // From the quickest to the slowest: the symbol table of a large program takes a while.
        let address = image
            .exported("_PyRuntime")
            .or_else(|| image.section(".PyRuntime").map(|section| section.address))
            .or_else(|| image.symbol("_PyRuntime"))?;
        let memory = process.memory();
        let version = Layout::published_version(&memory, address)
            .ok()
            .flatten()
            .or_else(|| {
                // `Py_Version` holds `PY_VERSION_HEX` since 3.11.
                let symbol = image.exported("Py_Version")?;
                let mut bytes = [0; 4];
                let span = crate::target::Span { address: symbol, len: bytes.len() };
                memory.read(&[span], &mut bytes).ok()?;
                Some(Version::from_hex(u32::from_ne_bytes(bytes)))
            })
            .or(candidate.version)
            .or_else(|| by_py_spy(process));
        Some(match version {
            Some(version) => Ok(Self { address, version }),
            None => Err(LocateError::NoVersion { pid: process.pid() }),
        })
    }
}

/// A mapped file that may hold the interpreter.
struct Candidate<'a> {
    mapping: &'a Mapping,
    /// Lower is looked at earlier.
    rank: u8,
    version: Option<Version>,
}

/// One candidate per file: shared libraries first, since the program beside one is a mere stub.
fn candidates(maps: &[Mapping]) -> Vec<Candidate<'_>> {
    let mut found: Vec<Candidate<'_>> = Vec::new();
    let program = maps.iter().find(|mapping| mapping.path.is_some());
    for mapping in maps.iter().filter(|mapping| mapping.path.is_some()) {
        if found.iter().any(|known| known.mapping.path == mapping.path) {
            continue;
        }
        let name = file_name(mapping);
        let rank = if name.starts_with("libpython") {
            0
        } else if name.starts_with("python") {
            1
        } else if program.is_some_and(|program| program.path == mapping.path) {
            2
        } else {
            continue;
        };
        found.push(Candidate { mapping, rank, version: version_in(name) });
    }
    found
}

fn file_name(mapping: &Mapping) -> &str {
    mapping
        .path
        .as_deref()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn program(process: &Process) -> String {
    process.command_line().into_iter().next().unwrap_or_else(|| "unknown program".to_owned())
}

/// The version in a file's name: `libpython3.8.so.1.0`, `python3.10`, `python2.7`.
fn version_in(name: &str) -> Option<Version> {
    let rest = name.trim_start_matches("lib").strip_prefix("python")?;
    let (major, rest) = rest.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (minor, rest) = rest.split_at_checked(digits)?;
    Some(Version {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        micro: None,
        free_threaded: rest.starts_with('t'),
    })
}

/// The version as py-spy finds it: in the interpreter's own text, when no name and no symbol tell.
fn by_py_spy(process: &Process) -> Option<Version> {
    let process = remoteprocess::Process::new(process.live_pid()?).ok()?;
    let info = py_spy::python_process_info::PythonProcessInfo::new(&process).ok()?;
    let version = py_spy::python_process_info::get_python_version(&info, &process).ok()?;
    Some(Version {
        major: u8::try_from(version.major).ok()?,
        minor: u8::try_from(version.minor).ok()?,
        micro: u8::try_from(version.patch).ok(),
        free_threaded: false,
    })
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn versions_are_found_in_names() {
        let found = |name| version_in(name).map(|version| version.to_string());
        assert_eq!(found("libpython3.8.so.1.0").as_deref(), Some("3.8"));
        assert_eq!(found("python3.13t").as_deref(), Some("3.13t"));
        assert_eq!(found("python2.7").as_deref(), Some("2.7"));
        for name in ["python", "python3", "pythonista", "libpythonic.so"] {
            assert_eq!(found(name), None, "{name}");
        }
    }
}
