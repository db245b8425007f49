"""A watch of one collection: every state of every object, and when it arrived here."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from devcluster import watching as devcluster_watching
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


class Watch(devcluster_watching.Watched[Seen]):
    """The events of a collection by name of the object, from the start of the watch on."""

    def __init__(self) -> None:
        super().__init__(_take)

    def wait(self, name: str, test: Callable[[Object], bool], what: str) -> Seen:
        """The first event whose object passes `test`."""
        seen = self.first(name, lambda seen: test(seen.object), PATIENCE)
        assert seen is not None, f"{name}: {what}: not seen in {PATIENCE:g} s; last: {self.events(name)[-1:]}"
        return seen

    def wait_gone(self, name: str) -> Seen:
        """The event of the object's removal."""
        seen = self.first(name, lambda seen: seen.type == "DELETED", PATIENCE)
        assert seen is not None, f"{name} is not gone after {PATIENCE:g} s: {self.events(name)[-1:]}"
        return seen


def _take(line: bytes) -> tuple[str, Seen]:
    event = json.loads(line)
    assert event["type"] in ("ADDED", "MODIFIED", "DELETED"), event
    seen = Seen(time.monotonic(), event["type"], event["object"])
    return seen.object["metadata"]["name"], seen


@contextmanager
def watching(cluster: Cluster, collection: str) -> Iterator[Watch]:
    """Watch a collection as the admin until the end of the block."""
    watch = Watch()
    with devcluster_watching.watching(cluster.plane, collection, watch):
        yield watch


def open_connection(cluster: Cluster, timeout: float | None = 30.0) -> http.client.HTTPSConnection:
    """A connection to the API server that stays open between requests."""
    return devcluster_watching.open_connection(cluster.plane, timeout)
