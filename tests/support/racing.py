"""Two requests to the API server that are sent at the same instant, over connections that are open already."""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from tests.support.cluster import Cluster
from tests.support.watching import open_connection

Object = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """A request, sent `delay` seconds after the start."""

    method: str
    path: str
    body: Object | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and when, on the monotonic clock."""

    status: int
    body: Object
    at: float

    @property
    def done(self) -> bool:
        """Whether the API server did what was asked."""
        return self.status in (200, 201)

    @property
    def message(self) -> str:
        """Why it did not."""
        return str(self.body.get("message", ""))


class Track:
    """Runs races one after the other, on two connections of its own."""

    def __init__(self, cluster: Cluster) -> None:
        token = cluster.plane.identity("admin").token
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connections = [open_connection(cluster) for _ in range(2)]
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="racer")

    def race(self, first: Send, second: Send) -> tuple[Answer, Answer]:
        """Send both, and return both answers."""
        start = threading.Barrier(2)
        runs: list[Future[Answer]] = [
            self._threads.submit(self._run, connection, send, start)
            for connection, send in zip(self._connections, (first, second), strict=True)
        ]
        return runs[0].result(), runs[1].result()

    def _run(self, connection: http.client.HTTPSConnection, send: Send, start: threading.Barrier) -> Answer:
        body = None if send.body is None else json.dumps(send.body)
        start.wait(timeout=30)
        if send.delay:
            time.sleep(send.delay)
        connection.request(send.method, send.path, body, self._headers)
        response = connection.getresponse()
        content = response.read()
        return Answer(response.status, json.loads(content), time.monotonic())

    def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()


@contextmanager
def tracks(cluster: Cluster, count: int) -> Iterator[list[Track]]:
    """Some tracks that races can use at the same time."""
    opened = [Track(cluster) for _ in range(count)]
    try:
        yield opened
    finally:
        for track in opened:
            track.close()


def run_all(tracks: Sequence[Track], rounds: Iterable[int], race: Callable[[Track, int], T]) -> list[T]:
    """Run every round on the next track that is free; return what they came to, in order of the rounds."""
    free: SimpleQueue[Track] = SimpleQueue()
    for track in tracks:
        free.put(track)

    def one(number: int) -> T:
        track = free.get()
        try:
            return race(track, number)
        finally:
            free.put(track)

    with ThreadPoolExecutor(len(tracks), thread_name_prefix="race") as pool:
        return list(pool.map(one, rounds))


def spread(seconds: Sequence[float]) -> str:
    """How a row of times is distributed, in milliseconds."""
    if not seconds:
        return "none"
    ordered = sorted(second * 1000 for second in seconds)
    high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"n={len(ordered)} median={statistics.median(ordered):.0f} p99={high:.0f} max={ordered[-1]:.0f} ms"
