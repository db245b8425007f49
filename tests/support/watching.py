"""A watch of one collection in a thread: every state of every object, and when it arrived here."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.support.cluster import Cluster

Object = dict[str, Any]
PATIENCE = 30.0
"""Seconds that a state is waited for before the test fails."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One event; `at` is on the monotonic clock."""

    at: float
    type: str
    object: Object


class Watch:
    """The events of a collection by name of the object, from the start of the watch on."""

    def __init__(self) -> None:
        self._seen: dict[str, list[Seen]] = {}
        self._news = threading.Condition()

    def events(self, name: str) -> list[Seen]:
        """What has been seen of an object so far, in order."""
        with self._news:
            return list(self._seen.get(name, ()))

    def wait(self, name: str, test: Callable[[Object], bool], what: str) -> Seen:
        """The first event whose object passes `test`."""

        def found() -> Seen | None:
            return next((seen for seen in self._seen.get(name, ()) if test(seen.object)), None)

        with self._news:
            if not self._news.wait_for(lambda: found() is not None, PATIENCE):
                raise AssertionError(
                    f"{name}: {what}: not seen in {PATIENCE:g} s; last: {self._seen.get(name, ())[-1:]}"
                )
            seen = found()
        assert seen is not None
        return seen

    def wait_gone(self, name: str) -> Seen:
        """The event of the object's removal."""

        def found() -> Seen | None:
            return next((seen for seen in self._seen.get(name, ()) if seen.type == "DELETED"), None)

        with self._news:
            if not self._news.wait_for(lambda: found() is not None, PATIENCE):
                raise AssertionError(f"{name} is not gone after {PATIENCE:g} s: {self._seen.get(name, ())[-1:]}")
            seen = found()
        assert seen is not None
        return seen

    def read(self, stream: http.client.HTTPResponse) -> None:
        """Take in events until the connection is closed."""
        with suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
            while line := stream.readline():
                event = json.loads(line)
                assert event["type"] in ("ADDED", "MODIFIED", "DELETED"), event
                seen = Seen(time.monotonic(), event["type"], event["object"])
                with self._news:
                    self._seen.setdefault(seen.object["metadata"]["name"], []).append(seen)
                    self._news.notify_all()


@contextmanager
def watching(cluster: Cluster, collection: str) -> Iterator[Watch]:
    """Watch a collection as the admin until the end of the block."""
    version = cluster.api.get(f"{collection}?limit=1")["metadata"]["resourceVersion"]
    connection = open_connection(cluster, timeout=None)
    headers = {"Authorization": f"Bearer {cluster.plane.identity('admin').token}"}
    connection.request("GET", f"{collection}?watch=true&resourceVersion={version}", headers=headers)
    stream = connection.getresponse()
    assert stream.status == 200, stream.read()
    watch = Watch()
    thread = threading.Thread(target=watch.read, args=(stream,), name="watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        if connection.sock is not None:
            connection.sock.shutdown(2)
        thread.join(timeout=5)
        stream.close()
        connection.close()


def open_connection(cluster: Cluster, timeout: float | None = 30.0) -> http.client.HTTPSConnection:
    """A connection to the API server that stays open between requests."""
    address = urlsplit(cluster.plane.server)
    trust = ssl.create_default_context(cadata=cluster.plane.authority.pem.decode())
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, timeout=timeout, context=trust)
    connection.connect()
    return connection
