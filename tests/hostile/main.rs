//! The hostile suite: what tasks, messages and operators' mistakes may try, and what must come of it.
//! `lines` is its table of contents.

mod behaviours;
mod cancelling;
mod chords;
mod forks;
mod imports;
mod lines;
mod messages;
mod operators;
mod values;
