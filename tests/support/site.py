"""A small HTTP server that plays the site a plan acts on: it records every call, and answers as tests tell it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One request that arrived. `at` is on the monotonic clock."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer: status, body, headers, after `delay` seconds. A refusal says nothing unless it is given words."""

    status: int = 200
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


class Site:
    """Records calls. By default every path answers 200; `/status/503` answers 503, `/delay/1.5` answers after 1.5 s.

    `script` gives a path a row of answers, the last of which stays. `hold` keeps calls to a path waiting until
    `let_go`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._scripts: dict[str, list[Answer]] = {}
        self._held: dict[str, threading.Event] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode("utf-8", "replace")
                answer = site._take(Call(self.command, self.path, dict(self.headers), body, time.monotonic()))
                words = "ok" if answer.status < 400 else ""
                payload = (words if answer.body is None else answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(payload)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _serve  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                return

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @contextmanager
    def serving(self) -> Iterator[Site]:
        """Serve until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            for event in self._held.values():
                event.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(timeout=5)

    def script(self, path: str, *answers: Answer) -> None:
        """Give `path` these answers, one a call; the last one stays."""
        with self._lock:
            self._scripts[path] = list(answers)

    def hold(self, path: str) -> None:
        """Keep calls to `path` waiting until `let_go(path)`."""
        with self._lock:
            self._held[path] = threading.Event()

    def let_go(self, path: str) -> None:
        """Answer the calls that wait for `path`, and all later ones."""
        with self._lock:
            event = self._held.pop(path)
        event.set()

    def calls(self, path: str | None = None, *, prefix: str | None = None) -> list[Call]:
        """Return the calls so far, in order of arrival: all, of one path, or below a prefix."""
        with self._lock:
            return [
                call
                for call in self._calls
                if (path is None or call.path == path) and (prefix is None or call.path.startswith(prefix))
            ]

    def count(self, prefix: str = "/") -> Counter[str]:
        """Return how often each path below `prefix` was called."""
        return Counter(call.path for call in self.calls(prefix=prefix))

    def wait_for(self, path: str, times: int = 1, timeout: float = 20.0) -> list[Call]:
        """Wait until `path` was called so often; return the calls."""
        deadline = time.monotonic() + timeout
        while len(found := self.calls(path)) < times:
            if time.monotonic() > deadline:
                raise AssertionError(f"{path} was called {len(found)} times in {timeout} s, expected {times}")
            time.sleep(0.01)
        return found

    def _take(self, call: Call) -> Answer:
        with self._lock:
            self._calls.append(call)
            script = self._scripts.get(call.path)
            answer = (script.pop(0) if len(script) > 1 else script[0]) if script else _default(call)
            held = self._held.get(call.path)
        if held is not None:
            held.wait(timeout=60)
        if answer.delay:
            time.sleep(answer.delay)
        return answer


def _default(call: Call) -> Answer:
    parts = call.path.strip("/").split("/")
    if parts[0] == "status" and len(parts) > 1:
        status = int(parts[1])
        return Answer(status=status, body=json.dumps({"status": status}) if status < 400 else None)
    if parts[0] == "delay" and len(parts) > 1:
        return Answer(delay=float(parts[1]))
    return Answer()
