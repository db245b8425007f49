"""A Service in miniature: one loopback address that sends connections to those replicas that are ready."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from devcluster.services import WebhookProcess

PROBE_SECONDS = 0.2


class Balancer:
    """Serves in a thread of its own. A connection stays with its replica, as with kube-proxy."""

    def __init__(self, port: int, replicas: Sequence[WebhookProcess]) -> None:
        self.port = port
        self._replicas = replicas
        self._ready: tuple[WebhookProcess, ...] = ()
        self._turn = itertools.count()
        self._stop = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    @contextmanager
    def serving(self) -> Iterator[Balancer]:
        started = threading.Event()
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=lambda: loop.run_until_complete(self._serve(started)), name="balancer")
        thread.start()
        try:
            assert started.wait(10)
            yield self
        finally:
            loop.call_soon_threadsafe(self._stop.set)
            thread.join(10)
            loop.close()

    async def _serve(self, started: threading.Event) -> None:
        probing = asyncio.create_task(self._probe())
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        started.set()
        await self._stop.wait()
        server.close()
        for task in (probing, *self._open):
            task.cancel()
        await asyncio.gather(probing, *self._open, return_exceptions=True)

    async def _probe(self) -> None:
        """Look which replicas are ready, as the kubelet does for the endpoints of a Service."""
        while True:
            answers = await asyncio.gather(*(asyncio.to_thread(replica.ready) for replica in self._replicas))
            self._ready = tuple(r for r, ready in zip(self._replicas, answers, strict=True) if ready)
            await asyncio.sleep(PROBE_SECONDS)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await self._forward(reader, writer)
        writer.close()
        self._open.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._ready:
            return
        replica = self._ready[next(self._turn) % len(self._ready)]
        there, back = await asyncio.open_connection("127.0.0.1", replica.webhook_port)
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            back.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
