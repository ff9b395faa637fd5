//! Brokers and result stores behind five small seams. Carries bodies unopened; cannot spell task.

pub mod address;
pub mod broker;
pub mod delivery;
pub mod presence;
pub mod reconnect;
pub mod results;
pub mod timetable;

#[cfg(feature = "amqp")]
pub mod amqp;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
