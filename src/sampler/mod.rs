//! Evidence, at a pace. Invariant: stamps the time, which nothing after it reads; judges nothing.
