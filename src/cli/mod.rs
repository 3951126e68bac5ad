//! The command line. Invariant: the only `anyhow`, the only standard output and the only exit code.
