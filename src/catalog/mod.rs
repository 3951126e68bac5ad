//! The detection catalogue. Invariant: names and advice come from `probes/*.toml`; no Python file is named in `src/`.
