//! Evidence to tag and cause. Invariant: pure functions of a thread's sample and the catalogue.
