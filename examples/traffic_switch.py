"""The traffic switch of the demo: an HTTP server that remembers what it was told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER_SECONDS = 1.5
"""A real switch takes its time; it also gives the onlooker a chance to see the run at work."""


class TrafficSwitch:
    """Counts the calls it gets. `calls` lists method, path and idempotency key of each."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        switch = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                switch.calls.append((self.command, self.path, self.headers.get("Idempotency-Key", "")))
                time.sleep(ANSWER_SECONDS)
                body = f"traffic goes to {self.path.rpartition('/')[2]}\n".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[TrafficSwitch]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, name="traffic-switch", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(timeout=5)
