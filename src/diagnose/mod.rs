//! Verdict, findings, recommendation. Invariant: a finding always has numbers, evidence and advice.
