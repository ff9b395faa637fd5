//! Tracing while a worker runs: the SDK, set up and ended.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use umbel_worker::Observer;

use super::client::Client;
use super::export::{self, Losses};
use super::spans::Spans;
use crate::fault::Fault;
use crate::settings::{COLLECTOR_HELP, Collector, Settings, TRACES_PROTOCOL, check_collector};

/// How long the last spans may take to leave.
const FAREWELL: Duration = Duration::from_secs(3);

/// Tracing, until it ends.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    spans: Arc<Spans>,
    losses: Arc<Losses>,
}

impl Traces {
    pub(super) fn start(settings: &Settings, collector: &Collector) -> Result<Traces, Fault> {
        let wrong = |why: &str| {
            Fault::usage(format!("the address of the collector of traces is wrong: {why}"))
                .help(COLLECTOR_HELP)
        };
        check_collector(&collector.url).map_err(|why| wrong(&why))?;
        if let Some(protocol) = &collector.foreign_protocol {
            tracing::warn!(
                "traces leave as {TRACES_PROTOCOL}, not as {protocol} which the environment asks for: the \
                 collector's port for HTTP is usually 4318"
            );
        }
        let losses = Arc::new(Losses::default());
        let client = Client::new(collector, Arc::clone(&losses))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&collector.url)
            .build()
            .map_err(|error| Fault::usage(format!("traces cannot be exported: {error}")))?;
        let processor = export::processor(exporter, collector.queue, Arc::clone(&losses));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(settings))
            .with_span_processor(processor)
            .build();
        let spans = Arc::new(Spans::new(provider.tracer("umbel"), settings));
        Ok(Traces { provider, spans, losses })
    }

    /// Who is told of messages.
    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        Arc::<Spans>::clone(&self.spans)
    }

    /// Sends what waits, for a moment.
    pub(crate) fn end(self) {
        // What does not leave now is counted among the losses.
        let _ = self.provider.shutdown_with_timeout(FAREWELL);
        self.losses.sum_up();
    }
}

/// Who we are. What the variables of OpenTelemetry say is stronger.
fn resource(settings: &Settings) -> Resource {
    let own = [
        KeyValue::new("service.name", "umbel"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", settings.node.clone()),
    ];
    let found = Resource::builder().build();
    // Where nobody named us, the SDK says so.
    let is_named = |value: &Value| !value.as_str().starts_with("unknown_service");
    let said = found.iter().filter(|(_, value)| is_named(value));
    let said = said.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty().with_attributes(own).with_attributes(said).build()
}
