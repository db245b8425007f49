"""A watch of the executions of one namespace in a thread: when each status could be seen, and how large it was."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

from bench.objects import collection
from devcluster import ControlPlane

PATIENCE = 200.0
"""Seconds that a state is waited for before the benchmark is given up."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One event; `at` is on the clock of `time.perf_counter`, `size` the bytes of the object as the watch sends it."""

    at: float
    size: int
    phase: str
    ended: int
    """Actions that have ended, by the status."""


class Watch:
    """The events by name of the execution."""

    def __init__(self) -> None:
        self._seen: dict[str, list[Seen]] = {}
        self._news = threading.Condition()

    def events(self, name: str) -> list[Seen]:
        """What has been seen of an execution so far, in order."""
        with self._news:
            return list(self._seen.get(name, ()))

    def status_writes(self, name: str) -> tuple[int, int]:
        """How many statuses of an execution have been seen, and how many bytes its objects had with them."""
        with_status = [event for event in self.events(name) if event.phase]
        return len(with_status), sum(event.size for event in with_status)

    def wait(self, name: str, test: Callable[[Seen], bool]) -> Seen:
        """The first event that passes `test`."""

        def found() -> Seen | None:
            return next((seen for seen in self._seen.get(name, ()) if test(seen)), None)

        with self._news:
            if not self._news.wait_for(lambda: found() is not None, PATIENCE):
                raise SystemExit(f"bench: execution {name}: not within {PATIENCE:g} s; {self._seen.get(name, [])[-1:]}")
            seen = found()
        assert seen is not None
        return seen

    def wait_phase(self, name: str, phase: str = "Succeeded") -> Seen:
        """The event with which an execution is in a phase."""
        return self.wait(name, lambda seen: seen.phase == phase)

    def read(self, stream: http.client.HTTPResponse) -> None:
        """Take in events until the connection is closed."""
        with suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
            while line := stream.readline():
                now = time.perf_counter()
                found = orjson.loads(line)["object"]
                status = found.get("status") or {}
                ended = int((status.get("summary") or {}).get("completedActions", 0))
                seen = Seen(now, len(line), status.get("phase", ""), ended)
                with self._news:
                    self._seen.setdefault(found["metadata"]["name"], []).append(seen)
                    self._news.notify_all()


@contextmanager
def watching(plane: ControlPlane, namespace: str) -> Iterator[Watch]:
    """Watch the executions of a namespace as the admin until the end of the block."""
    path = collection("DRPlanExecution", namespace)
    version = plane.api.get(f"{path}?limit=1")["metadata"]["resourceVersion"]
    address = urlsplit(plane.server)
    trust = ssl.create_default_context(cadata=plane.authority.pem.decode())
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=trust)
    headers = {"Authorization": f"Bearer {plane.identity('admin').token}"}
    connection.request("GET", f"{path}?watch=true&resourceVersion={version}", headers=headers)
    stream = connection.getresponse()
    watch = Watch()
    thread = threading.Thread(target=watch.read, args=(stream,), name="bench-watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        if connection.sock is not None:
            connection.sock.shutdown(2)
        thread.join(timeout=5)
        stream.close()
        connection.close()
