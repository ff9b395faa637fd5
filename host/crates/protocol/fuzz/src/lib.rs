//! What must hold for any bytes that a broker may hand over.

pub mod mutate;
pub mod seeds;
pub mod targets;
