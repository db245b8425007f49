"""Sending spans to a collector by OTLP (http/protobuf). This module needs the extra `otel`, and is its only user.

The SDK's batch processor does it, in a thread of its own: what is recorded waits in a bounded queue, a batch leaves
every second, and one that the collector does not take in time is given up. Every span is counted by what became of it.
Headers, certificates and compression come from OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_HEADERS`, ...).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.tracing import Traces

log = get_logger(__name__)

QUEUE_SPANS = 4096
"""Spans that wait at most; further ones are dropped."""
BATCH_SPANS = 512
"""Spans sent at once at most."""
INTERVAL_MILLISECONDS = 1000
"""How long a span waits for others, and so what a process that is killed loses."""
EXPORT_SECONDS = 5.0
"""How long one batch is tried, repetitions included."""
TRACES_PATH = "/v1/traces"
"""Where a collector takes spans, below its address (OTLP specification)."""


class TraceExport:
    """Spans on their way to a collector. `exporter` is another than OTLP's in tests."""

    def __init__(self, exporter: SpanExporter, *, service: str, instance: str, queue: int = QUEUE_SPANS) -> None:
        own = {"service.name": service, "service.version": version("drplan"), "service.instance.id": instance}
        ids = _GivenIds()
        self._queue = _BoundedQueue(exporter, queue)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(own).merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
            id_generator=ids,
        )
        self._provider.add_span_processor(self._queue)
        self.traces = Traces(self._provider.get_tracer("drplan", version("drplan")), ids)
        """Takes the spans."""

    async def close(self, seconds: float) -> None:
        """Send what waits, for so long; what is left then is lost with the process."""
        # the SDK's own time-outs are longer, and its thread ends with the process
        ending = threading.Thread(target=self._provider.shutdown, name="traces/end", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, seconds)
        if left := self._queue.waiting:
            metrics.trace_spans_total.labels(result="dropped").inc(left)
            log.warning("spans not sent at the end", spans=left)


def export_to(endpoint: str, *, service: str, instance: str) -> TraceExport:
    """Return an export to the collector at `endpoint`, an http:// or https:// address."""
    address = endpoint.rstrip("/")
    exporter = OTLPSpanExporter(
        endpoint=address if address.endswith(TRACES_PATH) else f"{address}{TRACES_PATH}", timeout=EXPORT_SECONDS
    )
    return TraceExport(exporter, service=service, instance=instance)


class _GivenIds(IdGenerator):
    """The ids that were prepared for the span that is started next."""

    def __init__(self) -> None:
        self._trace_id = 0
        self._span_id = 0

    def prepare(self, trace_id: int, span_id: int) -> None:
        self._trace_id, self._span_id = trace_id, span_id

    def generate_trace_id(self) -> int:
        return self._trace_id

    def generate_span_id(self) -> int:
        return self._span_id


class _BoundedQueue(SpanProcessor):
    """The SDK's batch processor, which drops without telling how much, behind a gate that counts."""

    def __init__(self, exporter: SpanExporter, limit: int) -> None:
        self._limit = limit
        self._waiting = 0
        self._lock = threading.Lock()
        self._batches = BatchSpanProcessor(
            _Counting(exporter, self._leave),
            max_queue_size=limit,
            schedule_delay_millis=INTERVAL_MILLISECONDS,
            max_export_batch_size=min(BATCH_SPANS, limit),
        )

    @property
    def waiting(self) -> int:
        """Spans that were taken and of which nothing is known yet."""
        return self._waiting

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            full = self._waiting >= self._limit
            self._waiting += not full
        if full:
            metrics.trace_spans_total.labels(result="dropped").inc()
        else:
            self._batches.on_end(span)

    def shutdown(self) -> None:
        self._batches.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._batches.force_flush(timeout_millis)

    def _leave(self, spans: int) -> None:
        with self._lock:
            self._waiting -= spans


class _Counting(SpanExporter):
    """Counts what became of the spans, also when the exporter fails in a way it does not report."""

    def __init__(self, exporter: SpanExporter, leave: Callable[[int], None]) -> None:
        self._exporter = exporter
        self._leave = leave

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            word = "exported" if result is SpanExportResult.SUCCESS else "failed"
            metrics.trace_spans_total.labels(result=word).inc(len(spans))
            self._leave(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)
