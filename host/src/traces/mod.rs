//! Traces: what became of each message, as spans of OpenTelemetry, to a collector that speaks OTLP.

#[cfg(feature = "opentelemetry")]
mod attributes;
#[cfg(feature = "opentelemetry")]
mod client;
#[cfg(feature = "opentelemetry")]
mod export;
#[cfg(feature = "opentelemetry")]
mod running;
#[cfg(feature = "opentelemetry")]
mod spans;

use crate::fault::Fault;
use crate::settings::Settings;

#[cfg(feature = "opentelemetry")]
pub(crate) use self::running::Traces;

/// Begins to trace, if there is a collector. It starts a thread: not before the process is hardened.
#[cfg(feature = "opentelemetry")]
pub(crate) fn start(settings: &Settings) -> Result<Option<Traces>, Fault> {
    settings.collector.as_ref().map(|collector| Traces::start(settings, collector)).transpose()
}

/// This build cannot trace.
#[cfg(not(feature = "opentelemetry"))]
pub(crate) enum Traces {}

#[cfg(not(feature = "opentelemetry"))]
impl Traces {
    /// Who is told of messages.
    pub(crate) fn observer(&self) -> std::sync::Arc<dyn umbel_worker::Observer> {
        match *self {}
    }

    /// Sends what waits, for a moment.
    pub(crate) fn end(self) {
        match self {}
    }
}

/// Says that this build cannot, if it was asked to.
#[cfg(not(feature = "opentelemetry"))]
pub(crate) fn start(settings: &Settings) -> Result<Option<Traces>, Fault> {
    match &settings.collector {
        Some(collector) if collector.ours => {
            let what = "traces were asked for (`otlp-endpoint`), but this umbel is built without";
            Err(Fault::usage(what).help("build it with the feature `opentelemetry`"))
        }
        _ => Ok(None),
    }
}
