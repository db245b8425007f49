"""The HTTP target of the benchmark, in a thread of its own: answers at once and notes when each call came."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Target:
    """`calls` has the time of each call, on the clock of `time.perf_counter`."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()

    @contextmanager
    def serving(self) -> Iterator[Target]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self._serve, name="bench-target", daemon=True)
        thread.start()
        self._ready.wait(timeout=10)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(timeout=5)
            self._loop.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._answer, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.calls.append(time.perf_counter())
        writer.write(_ANSWER)
        await writer.drain()
        writer.close()
