//! Tests against live processes: each measures with the program `pyconc` itself.
//!
//! They are one test program, so that those that measure can keep the others off the machine.

#![cfg(test)]

mod blocks;
mod collector;
mod commands;
mod compare;
mod confusion;
mod corpus;
mod errors;
mod examples;
mod explain;
mod exports;
mod gentle;
mod gil;
mod holders;
mod locks;
mod loops;
mod machine;
mod numbers;
mod packages;
mod program;
mod pyconc;
mod pythons;
mod recordings;
mod servers;
mod shutdown;
mod stacks;
mod tasks;
mod top;
mod troubles;
mod waits;
