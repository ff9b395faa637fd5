# A client that OpenTelemetry's own instrumentation of Celery traces.
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
CeleryInstrumentor().instrument(tracer_provider=provider)


def known(name):
    """A task that this client can name; the instrumentation leaves the spans of others open."""
    @app.task(name=name)
    def task(*args):
        """It runs elsewhere."""

    return task


add, xsum, fail = known("tasks.add"), known("tasks.xsum"), known("tasks.fail")
fan_out = known("flow.fan_out")


def traced(canvas):
    """Sends it, and waits for the end; tells the trace, the span that sent it, and the result."""
    finished.clear()
    with provider.get_tracer("client").start_as_current_span("client"):
        sent = canvas.apply_async()
    result = sent.get(timeout=100, propagate=False)
    producer = finished.get_finished_spans()[0].context
    return {"trace": f"{producer.trace_id:032x}", "span": f"{producer.span_id:016x}",
            "result": result if isinstance(result, (int, list)) else repr(result)}
