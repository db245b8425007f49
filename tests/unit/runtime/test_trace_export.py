"""Spans on their way out: bounded, counted, never in the way of a run."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.runtime import metrics
from app.runtime.trace_export import TraceExport
from app.runtime.tracing import PastSpan, Traces, identity_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Stuck(SpanExporter):
    """Takes no batch before it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.free = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.free.wait(30)
        return SpanExportResult.SUCCESS


class Broken(SpanExporter):
    """Refuses, or fails in a way that exporters should not."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.error is not None:
            raise self.error
        return SpanExportResult.FAILURE


def counts() -> dict[str, float]:
    found = metrics.trace_spans_total
    return {word: found.labels(result=word)._value.get() for word in ("exported", "failed", "dropped")}


def record(traces: Traces, number: int) -> None:
    for index in range(number):
        traces.record(PastSpan(identity_of("run", index), "", f"span {index}", NOW, NOW, {}))


def since(before: dict[str, float]) -> dict[str, float]:
    return {word: value - before[word] for word, value in counts().items()}


async def test_what_waits_is_sent_at_the_end() -> None:
    before, memory = counts(), InMemorySpanExporter()
    export = TraceExport(memory, service="s", instance="i")
    record(export.traces, 3)
    await export.close(10.0)
    assert len(memory.get_finished_spans()) == 3
    assert since(before) == {"exported": 3, "failed": 0, "dropped": 0}


async def test_spans_say_which_process_made_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    memory = InMemorySpanExporter()
    export = TraceExport(memory, service="drplan-controller", instance="pod_1")
    record(export.traces, 1)
    await export.close(10.0)
    told = memory.get_finished_spans()[0].resource.attributes
    assert (told["service.name"], told["service.instance.id"]) == ("drplan-controller", "pod_1")
    assert told["deployment.environment.name"] == "test"


async def test_spans_beyond_the_queue_are_dropped_and_counted_while_the_collector_hangs() -> None:
    before, stuck = counts(), Stuck()
    export = TraceExport(stuck, service="s", instance="i", queue=5)
    record(export.traces, 12)
    assert since(before) == {"exported": 0, "failed": 0, "dropped": 7}
    stuck.free.set()
    await export.close(10.0)
    assert since(before) == {"exported": 5, "failed": 0, "dropped": 7}


async def test_the_end_does_not_wait_for_a_collector_that_hangs() -> None:
    before, stuck = counts(), Stuck()
    export = TraceExport(stuck, service="s", instance="i")
    record(export.traces, 2)
    await export.close(0.05)
    assert since(before)["dropped"] == 2
    stuck.free.set()


@pytest.mark.parametrize("error", [None, RuntimeError("no")])
async def test_failed_exports_are_counted(error: Exception | None) -> None:
    before = counts()
    export = TraceExport(Broken(error), service="s", instance="i")
    record(export.traces, 4)
    await export.close(10.0)
    assert since(before) == {"exported": 0, "failed": 4, "dropped": 0}
