//! Scenarios: the whole crate through its doors, and the program as a process.

mod tidy;
