"""An OpenTelemetry collector on the loopback interface: takes spans by OTLP (http/protobuf), shows them as a tree."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Span:
    """One span that arrived. Ids are hexadecimal, as in headers; times are nanoseconds; `process` made it."""

    trace: str
    id: str
    parent: str
    name: str
    start: int
    end: int
    attributes: dict[str, Any]
    error: str | None
    links: tuple[tuple[str, str], ...]
    events: tuple[str, ...]
    process: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A span and what is under it, by name: of a run that was taken over, starts are whole seconds."""

    name: str
    parts: tuple[Tree, ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.name, *(f"  {line}" for part in self.parts for line in str(part).splitlines())])


class Collector:
    """Keeps every span. While `status` is no 2xx, it refuses them."""

    def __init__(self) -> None:
        self.status = 200
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                known = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
                status = collector.status if known else 404
                if status == 200:
                    collector._take(body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @contextmanager
    def serving(self) -> Iterator[Collector]:
        """Serve until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(timeout=5)

    def trace(self, trace_id: str) -> list[Span]:
        """Return what has arrived of a trace, in the order of the starts."""
        with self._lock:
            found = [span for span in self._spans if span.trace == trace_id]
        return sorted(found, key=lambda span: (span.start, -span.end))

    def wait(self, trace_id: str, name: str, timeout: float = 20.0) -> list[Span]:
        """Wait until the span `name` has arrived; return the trace. A run's own span is the last one of it."""
        deadline = time.monotonic() + timeout
        while name not in [span.name for span in self.trace(trace_id)]:
            assert time.monotonic() < deadline, f"no span {name!r}, only {[s.name for s in self.trace(trace_id)]}"
            time.sleep(0.05)
        return self.trace(trace_id)

    def _take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        spans = []
        for group in request.resource_spans:
            process = str(_attributes(group.resource.attributes)["service.instance.id"])
            spans += [_span(span, process) for scope in group.scope_spans for span in scope.spans]
        with self._lock:
            self._spans += spans


def tree_of(spans: Sequence[Span]) -> Tree:
    """Return the one tree that spans make up; none may be there twice, and none without its parent."""
    assert len({span.id for span in spans}) == len(spans), [span.name for span in spans]
    (root,) = [span for span in spans if not span.parent]
    used: list[str] = []

    def tree(span: Span) -> Tree:
        used.append(span.id)
        parts = sorted((part for part in spans if part.parent == span.id), key=lambda part: part.name)
        return Tree(span.name, tuple(map(tree, parts)))

    whole = tree(root)
    assert len(used) == len(spans), [span.name for span in spans if span.id not in used]
    return whole


def _span(span: Any, process: str) -> Span:
    return Span(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        error=span.status.message if span.status.code == 2 else None,
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        events=tuple(event.name for event in span.events),
        process=process,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
