//! The embedded default: queues and results in one SQLite file, for several processes of one
//! machine at once.
//!
//! *Durable.* Write-ahead log with `synchronous = FULL`: what was published, stored or settled
//! survives a crash of the process and of the machine. All that is ready at the same moment goes
//! into one transaction, so a sync is shared by many.
//!
//! *Leases.* A consumer is a holder with a lease that it renews while it lives, and a locked file
//! that tells at once when its process died. When the lock is gone, or the lease is over and stays
//! so while others watch, whoever looks next puts the holder's messages back to their old places.
//!
//! *Order.* A higher priority goes first, as on RabbitMQ; then first come, first served.
//!
//! *Delayed* messages wait in a table of their own; whoever consumes wakes when one is due.
//!
//! *Discarded* and buried messages stay in the file, with the reason, until somebody replays or
//! deletes them.
//!
//! *Remote control* is a table of what was said within the last minute.
//!
//! Exchanges do not exist here: the routing key names the queue.

mod alive;
mod broker;
mod chords;
mod database;
mod feed;
mod listen;
mod open;
mod queue;
mod results;
mod row;
mod stir;
mod timetable;
mod waiting;

pub use broker::{SqliteBroker, SqliteOptions};
pub use results::SqliteStore;
