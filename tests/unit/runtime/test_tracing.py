"""Ids of spans and the header that tells them to others."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.engine.names import ActionIdentity
from app.runtime.trace_export import TraceExport
from app.runtime.tracing import Traces, context_of, identity_of, trace_id_of

UID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"


def test_the_trace_id_is_the_uid_without_dashes() -> None:
    assert trace_id_of(UID) == "0f1e2d3c4b5a49788695a4b3c2d1e0f0"


@pytest.mark.parametrize("uid", ["run-1", "", "00000000-0000-0000-0000-000000000000"])
def test_other_uids_have_a_valid_trace_id_too(uid: str) -> None:
    assert len(trace_id_of(uid)) == 32
    assert context_of(identity_of(uid)).is_valid


def test_the_identity_of_an_action_is_its_idempotency_key() -> None:
    assert identity_of(UID, "stage / one", 2, "äction") == str(ActionIdentity(UID, "stage / one", 2, "äction"))


def test_a_span_id_is_the_hash_of_its_identity() -> None:
    identity = identity_of(UID, "one", 0, "a")
    assert f"{context_of(identity).span_id:016x}" == hashlib.sha256(identity.encode()).hexdigest()[:16]


async def test_the_header_is_what_others_read_and_there_only_when_the_span_is_recorded() -> None:
    export = TraceExport(InMemorySpanExporter(), service="s", instance="i")
    identity = identity_of(UID, "one", 0, "a")
    header = export.traces.traceparent(identity)
    assert header is not None
    read = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": header})).get_span_context()
    own = context_of(identity)
    assert (read.trace_id, read.span_id, read.trace_flags.sampled) == (own.trace_id, own.span_id, True)
    assert Traces().traceparent(identity) is None
    await export.close(10.0)


async def test_exemplars_point_to_recorded_spans_only() -> None:
    export = TraceExport(InMemorySpanExporter(), service="s", instance="i")
    identity = identity_of(UID)
    assert Traces().exemplar(identity) is None
    assert export.traces.exemplar(identity) == {
        "trace_id": trace_id_of(UID),
        "span_id": f"{context_of(identity).span_id:016x}",
    }
    await export.close(10.0)


def test_without_a_collector_the_controller_loads_nothing_of_the_extra() -> None:
    """In a process of its own, since tests before this one have loaded it."""
    check = (
        "import sys, controller.main\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    answer = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout == "[]\n"
