//! The engine from outside: real components, written as text, loaded and run.

#![expect(clippy::unwrap_used, reason = "tests")]

mod amounts;
mod concurrent;
mod confinement;
mod deadlines;
mod loading;
mod sending;
mod support;
mod values;
