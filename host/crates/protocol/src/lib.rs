//! Celery's wire: bytes to meaning and back. Pure: no IO, no clock.

pub mod beat;
pub mod body;
pub mod canvas;
pub mod chord;
pub mod control;
pub mod envelope;
pub mod event;
pub mod message;
pub mod names;
pub mod record;
pub mod repr;
mod signature;
pub mod time;
mod v1;
