//! pyconc says what every thread of a live CPython process does and why it waits, and turns that
//! into a verdict and a recommendation: which concurrency model the program wants, and why.
//!
//! The modules are layers, listed in the order to read them. Each says in its first line what is
//! deliberately absent from it; `tests/layering.rs` checks who may use whom.

pub mod model;

pub mod target;

pub mod python;

pub mod sampler;

pub mod catalog;

pub mod classify;

pub mod waits;

pub mod profile;

pub mod diagnose;

pub mod compare;

pub mod output;

pub mod tui;

pub mod session;

pub mod cli;
