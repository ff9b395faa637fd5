//! Every metric once: its name, what it means, where it is read.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use umbel_worker::Watch;

use super::process::Process;
use super::queues::Queue;
use super::tasks::Task;
use super::{Monitor, Working};
use crate::plugins::Reloads;

/// All that is to be told, of one moment.
pub(super) struct Page {
    tasks: Vec<Arc<Task>>,
    queues: Vec<Arc<Queue>>,
    /// `None` before it is connected.
    watch: Option<Watch>,
    ready: bool,
    plugins: usize,
    refused: usize,
    reloads: Vec<Reloads>,
    process: Process,
}

impl Page {
    pub(super) fn of(monitor: &Monitor) -> Page {
        Page {
            tasks: monitor.tasks.all(),
            queues: monitor.queues.all(),
            watch: monitor.working.get().map(|Working { watch, .. }| watch.clone()),
            ready: monitor.unready().is_none(),
            plugins: monitor.plugins.loaded(),
            refused: monitor.plugins.refused(),
            reloads: monitor.plugins.reloads(),
            process: Process::look(),
        }
    }

    /// In the OpenMetrics format.
    pub(super) fn write(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        self.messages(&mut writer)?;
        self.times(&mut writer)?;
        self.costs(&mut writer)?;
        if let Some(watch) = &self.watch {
            worker(watch, &mut writer)?;
        }
        self.rest(&mut writer)?;
        self.process.write(&mut writer)
    }
}

impl Page {
    fn messages(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let received = self.tasks.iter().flat_map(|task| {
            task.received_so_far().into_iter().map(move |(queue, count)| (task, queue, count))
        });
        let received: Vec<_> = received.collect();
        writer.counters(
            "umbel_tasks_received",
            "Task messages taken from a queue; one that is delivered again counts again",
            received.iter().map(|(task, queue, count)| {
                ([("task", &*task.name), ("queue", &*queue.name)], *count)
            }),
        )?;
        writer.counters(
            "umbel_tasks_ended",
            "Task messages that are settled, by what became of them",
            each(self.tasks.iter(), Task::ended_so_far, "end"),
        )?;
        writer.counters(
            "umbel_task_faults",
            "Runs that did not return, by reason; those that are retried included",
            each(self.running(), Task::faults_so_far, "fault"),
        )?;
        writer.counters(
            "umbel_messages_malformed",
            "Messages that are no task requests, and were put aside",
            self.queues.iter().map(|queue| ([("queue", &*queue.name)], queue.malformed_so_far())),
        )
    }

    fn times(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.histograms(
            "umbel_task_runtime_seconds",
            "Time from the start of a run to its end",
            self.running().map(|task| (&*task.name, &task.runtime)),
        )?;
        writer.histograms(
            "umbel_task_wait_seconds",
            "Time in this worker from receipt to run: for a slot, a rate limit, or by its own countdown",
            self.running().map(|task| (&*task.name, &task.wait)),
        )?;
        writer.histograms(
            "umbel_task_queue_seconds",
            "Time from publishing to receipt, of messages that say when they were published (AMQP's \
             timestamp, in whole seconds unless the server adds milliseconds) and that ran; by the \
             clocks of two machines, and with the time that a countdown or an earlier delivery took",
            self.running().map(|task| (&*task.name, &task.queue)),
        )
    }

    fn costs(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let cpu = self.running().map(|task| ([("task", &*task.name)], task.cpu().as_secs_f64()));
        let help = "CPU time of runs, and of what the host did for them";
        writer.counters("umbel_task_cpu_seconds", help, cpu)?;
        writer.histograms(
            "umbel_task_memory_bytes",
            "Most memory that a run had",
            self.running().map(|task| (&*task.name, &task.memory)),
        )?;
        let help = "Fuel that runs consumed, where it is metered";
        self.sums(writer, "umbel_task_fuel", help, |task| &task.fuel)?;
        let help = "Bytes of results";
        self.sums(writer, "umbel_task_output_bytes", help, |task| &task.output)?;
        let help = "Calls of the host by runs";
        self.sums(writer, "umbel_task_host_calls", help, |task| &task.host_calls)?;
        let help = "Requests that runs sent over the network";
        self.sums(writer, "umbel_task_requests", help, |task| &task.requests)
    }

    fn rest(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let help = "Whether it takes messages, as /readyz says";
        writer.gauge("umbel_ready", help, u64::from(self.ready))?;
        writer.gauge("umbel_plugins_loaded", "Plugin files that serve", self.plugins as u64)?;
        let help = "Plugin files that are there, but refused";
        writer.gauge("umbel_plugins_refused", help, self.refused as u64)?;
        let reloads = self.reloads.iter().flat_map(|reloads| {
            let outcomes = reloads.outcomes.iter();
            outcomes.map(|(outcome, count)| {
                ([("plugin", reloads.plugin.as_str()), ("outcome", outcome)], *count)
            })
        });
        let help = "Changes of plugins after the start, by what came of them";
        writer.counters("umbel_plugin_reloads", help, reloads)?;
        let version = [("version", env!("CARGO_PKG_VERSION")), ("arch", std::env::consts::ARCH)];
        let build = [(version, 1_u64)];
        writer.gauges("umbel_build_info", "Which Umbel this is", build)
    }

    /// Tasks of whose runs there is something to tell.
    fn running(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.iter().filter(|task| task.runs())
    }

    fn sums(
        &self,
        writer: &mut Writer<'_>,
        name: &str,
        help: &str,
        sum: impl Fn(&Task) -> &AtomicU64,
    ) -> fmt::Result {
        let sums =
            self.running().map(|it| ([("task", &*it.name)], sum(it).load(Ordering::Relaxed)));
        writer.counters(name, help, sums)
    }
}

/// The counts of one kind, each with its task and its word.
fn each<'a, I: Iterator<Item = (&'static str, u64)> + 'a>(
    tasks: impl Iterator<Item = &'a Arc<Task>>,
    counts: impl Fn(&'a Task) -> I,
    label: &'static str,
) -> impl Iterator<Item = (Labels<'a, 2>, u64)> {
    tasks.flat_map(move |task| {
        counts(task).map(move |(word, count)| ([("task", &*task.name), (label, word)], count))
    })
}

fn worker(watch: &Watch, writer: &mut Writer<'_>) -> fmt::Result {
    writer.gauge("umbel_slots", "Tasks that may run at once", watch.slots() as u64)?;
    writer.gauge("umbel_slots_in_use", "Tasks that run now", watch.taken() as u64)?;
    let help = "Messages that wait here for their time, outside of slots";
    writer.gauge("umbel_messages_held", help, watch.held() as u64)?;
    let broker = watch.broker();
    let help = "Whether the connections that messages are taken over stand";
    writer.gauge("umbel_broker_connected", help, u64::from(broker.is_connected()))?;
    let help = "How often such a connection was lost and came back";
    writer.counter("umbel_broker_reconnects", help, broker.reconnects())?;
    let help = "Events that nobody will hear of, for the broker was too slow";
    writer.counter("umbel_events_dropped", help, watch.events_dropped())
}

/// Names and values of labels.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// Writes whole families. The `_total` of counters is added to their names.
pub(super) struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeCounterValue,
    ) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    fn counters<'a, const N: usize, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, V)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value)));
        self.family(name, help, MetricType::Counter, samples)
    }

    fn gauges<'a, const N: usize, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, V)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.family(name, help, MetricType::Gauge, samples)
    }

    /// By task.
    fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (&'a str, &'a Histogram)>,
    ) -> fmt::Result {
        let samples = samples.map(|(task, histogram)| ([("task", task)], histogram.clone()));
        self.family(name, help, MetricType::Histogram, samples)
    }

    fn family<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: impl Iterator<Item = (Labels<'a, N>, impl EncodeMetric)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, sample) in samples {
            sample.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
