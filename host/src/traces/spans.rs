//! The spans of a message: its own, from receipt to settlement, and within it the wait for its run,
//! the run, the storing of what came of it, and the settlement.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, Span};
use umbel_protocol::message::Message;
use umbel_value::{Map, Value};
use umbel_worker::{End, Observer, Story, Times};

use super::attributes::{bounded, of_message, of_run, system};
use crate::settings::Settings;

/// Hears of messages and makes spans of them.
pub(super) struct Spans {
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
    /// Of messages in our care, by where these are.
    open: Mutex<HashMap<usize, Span>>,
    node: String,
    system: &'static str,
}

impl Spans {
    pub(super) fn new(tracer: SdkTracer, settings: &Settings) -> Self {
        Self {
            tracer,
            propagator: TraceContextPropagator::new(),
            open: Mutex::default(),
            node: settings.node.clone(),
            system: system(settings.broker.scheme),
        }
    }

    /// The span of a message, as the child of whatever its sender says.
    fn begin(&self, message: &Message) -> Span {
        let parent = self.propagator.extract_with_context(&Context::new(), &Read(&message.headers));
        self.tracer
            .span_builder(format!("run/{}", bounded(&message.task)))
            .with_kind(SpanKind::Consumer)
            .start_with_context(&self.tracer, &parent)
    }

    /// The parts of a message's way.
    fn parts(&self, parent: &Context, story: &Story<'_>) {
        let Times { received, started, ran, recorded, settled, .. } = story.times;
        let part = |name: &'static str, from: Option<Instant>, to: Option<Instant>| {
            let (from, to) = (wall(&story.times, from?), wall(&story.times, to?));
            let builder = self.tracer.span_builder(name).with_start_time(from);
            Some((builder.start_with_context(&self.tracer, parent), to))
        };
        let end = |part: Option<(Span, SystemTime)>| {
            if let Some((mut span, to)) = part {
                span.end_with_timestamp(to);
            }
        };
        end(part("queue wait", Some(received), started.or(recorded).or(settled)));
        let mut run = part("run", started, ran);
        if let (Some((span, _)), Some(told)) = (&mut run, &story.run) {
            span.set_attributes(of_run(told));
            if let Some(fault) = told.fault {
                span.set_status(Status::error(fault));
            }
        }
        end(run);
        end(part("store", ran, recorded));
        end(part("ack", recorded, settled));
    }

    fn open(&self) -> MutexGuard<'_, HashMap<usize, Span>> {
        // Nothing panics while it is held; if something did, it is still whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Spans {
    fn received(&self, message: &Message, _queue: &str) {
        let span = self.begin(message);
        self.open().insert(place(message), span);
    }

    fn sending(&self, parent: &Message, headers: &mut Map) {
        let mut open = self.open();
        let span = open.entry(place(parent)).or_insert_with(|| self.begin(parent));
        let context = Context::new().with_remote_span_context(span.span_context().clone());
        drop(open);
        self.propagator.inject_context(&context, &mut Written(headers));
        if let Some(baggage) = parent.headers.get(BAGGAGE) {
            headers.entry(BAGGAGE.to_owned()).or_insert_with(|| baggage.clone());
        }
    }

    fn settled(&self, story: &Story<'_>) {
        let Some(mut span) = self.open().remove(&place(story.message)) else { return };
        if !span.is_recording() {
            return;
        }
        let parent = Context::new().with_remote_span_context(span.span_context().clone());
        self.parts(&parent, story);
        span.set_attributes(of_message(story, &self.node, self.system));
        if story.times.started.is_none() {
            span.update_name(format!("receive/{}", bounded(&story.message.task)));
        }
        let fault = story.run.and_then(|run| run.fault);
        if let End::Failed | End::Unregistered = story.end {
            span.set_status(Status::error(fault.unwrap_or(story.end.name())));
        }
        span.end_with_timestamp(wall(
            &story.times,
            story.times.settled.unwrap_or_else(Instant::now),
        ));
    }
}

/// What the senders of messages say besides the trace; handed on as it is.
const BAGGAGE: &str = "baggage";

/// Tells messages apart while they are in our care (see [`Observer`]).
fn place(message: &Message) -> usize {
    std::ptr::from_ref(message).addr()
}

/// A moment on the wall clock.
fn wall(times: &Times, moment: Instant) -> SystemTime {
    SystemTime::from(times.at) + moment.saturating_duration_since(times.received)
}

/// The headers of a message, to be read.
struct Read<'a>(&'a Map);

impl Extractor for Read<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// The headers of a message, to be written. What is empty is left out.
struct Written<'a>(&'a mut Map);

impl Injector for Written<'_> {
    fn set(&mut self, key: &str, value: String) {
        match value.is_empty() {
            true => drop(self.0.shift_remove(key)),
            false => drop(self.0.insert(key.to_owned(), value.into())),
        }
    }
}
