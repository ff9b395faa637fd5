//! The engine from outside: real components, written as text, loaded and run.

#![expect(clippy::unwrap_used, reason = "tests")]

mod confinement;
mod loading;
mod support;
mod values;
