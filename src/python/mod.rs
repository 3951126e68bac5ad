//! The interpreter's memory, read. Invariant: no version test outside `layout`; never writes to the target.
