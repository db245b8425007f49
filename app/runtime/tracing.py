"""Traces by OpenTelemetry: which ids things have, and how what is over is recorded.

Ids are made from what they stand for and not by chance: the trace of an execution is its uid, a span the hash of what
it is about. So a run stays one trace under the same parents when another leader goes on with it. An HTTP target can be
told its parent before that span exists. And whoever knows an execution's uid has found its trace. A span is
recorded when it is over, in one piece; one that is under way is nothing that a crash could lose.

Only the API of OpenTelemetry is needed here. What sends spans somewhere is `app.runtime.trace_export`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import quote

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

TRACEPARENT = "traceparent"
"""Name of the header by which a called service joins a trace (W3C Trace Context)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

AttributeValue = str | int | bool | Sequence[str]
"""What an attribute may be (OpenTelemetry: attributes)."""
Attributes = Mapping[str, AttributeValue]


class NextIds(Protocol):
    """Gives the next span its ids."""

    def prepare(self, trace_id: int, span_id: int) -> None:
        """Use these for the span that is started next."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened during a span."""

    name: str
    at: datetime
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PastSpan:
    """A span that is over.

    `identity` says what it is about: the uid of an execution and, behind slashes, names or numbers of parts of it, each
    percent-encoded (`identity_of`). `parent` and `link` are identities too. `problem` is what makes it an error, and
    `is_call` says that it is the client's side of a request.
    """

    identity: str
    parent: str
    name: str
    start: datetime
    end: datetime
    attributes: Attributes
    problem: str | None = None
    moments: Sequence[Moment] = ()
    link: str = ""
    is_call: bool = False


class Traces:
    """Takes spans, and tells others where they belong. Without a tracer spans are dropped.

    To be used on one thread: `ids` are prepared for the span that comes next.
    """

    def __init__(self, tracer: Tracer | None = None, ids: NextIds | None = None) -> None:
        self._tracer = tracer
        self._ids = ids

    @property
    def recording(self) -> bool:
        """Whether spans are sent anywhere."""
        return self._tracer is not None

    def record(self, span: PastSpan) -> None:
        """Hand a span over. This never waits and never fails for want of a receiver."""
        if self._tracer is None or self._ids is None:
            return
        own = context_of(span.identity)
        self._ids.prepare(own.trace_id, own.span_id)
        recorded = self._tracer.start_span(
            span.name,
            context=_in_context(span.parent) if span.parent else Context(),
            kind=SpanKind.CLIENT if span.is_call else SpanKind.INTERNAL,
            attributes=span.attributes,
            links=[Link(context_of(span.link))] if span.link else None,
            start_time=_nanoseconds(span.start),
        )
        for moment in span.moments:
            recorded.add_event(moment.name, moment.attributes, _nanoseconds(moment.at))
        if span.problem is not None:
            recorded.set_status(Status(StatusCode.ERROR, span.problem))
        recorded.end(_nanoseconds(max(span.start, span.end)))

    def traceparent(self, identity: str) -> str | None:
        """Return the header value for calls that belong to a span; None when that is not recorded.

        Without a collector nothing is said: a service that samples as its caller does would then record nothing.
        Written here and not by the API's propagator, which takes 16 µs.
        """
        if not self.recording:
            return None
        trace = _trace_number(identity.partition("/")[0])
        return f"00-{format_trace_id(trace)}-{format_span_id(_span_number(identity))}-{TraceFlags.SAMPLED:02x}"

    def exemplar(self, identity: str) -> dict[str, str] | None:
        """Return what leads from an observed value to its span; None when that is not recorded."""
        if not self.recording:
            return None
        context = context_of(identity)
        return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}


def identity_of(uid: str, *path: str | int) -> str:
    """Return the identity of an execution or of a part of it, as idempotency keys have it."""
    return "/".join(quote(str(segment), safe="") for segment in (uid, *path))


def trace_id_of(uid: str) -> str:
    """Return the trace id of an execution, 32 hexadecimal digits: its uid without the dashes."""
    return format_trace_id(_trace_number(uid))


def context_of(identity: str) -> SpanContext:
    """Return the ids of a recorded span: the uid, and the first 8 bytes of the SHA-256 of its identity."""
    return SpanContext(
        trace_id=_trace_number(identity.partition("/")[0]),
        span_id=_span_number(identity),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


def _in_context(identity: str) -> Context:
    return set_span_in_context(NonRecordingSpan(context_of(identity)), Context())


def _span_number(identity: str) -> int:
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") or 1


def _trace_number(uid: str) -> int:
    """Return the number of a trace, never 0, which is no id; a uid that is no UUID is hashed."""
    try:
        number = uuid.UUID(uid).int
    except ValueError:
        number = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:16], "big")
    return number or 1


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
