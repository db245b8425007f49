"""A watch of the executions of one namespace: when each status could be seen, and how large it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

from bench.objects import collection
from devcluster import ControlPlane
from devcluster import watching as devcluster_watching

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


class Watch(devcluster_watching.Watched[Seen]):
    """The events by name of the execution."""

    def __init__(self) -> None:
        super().__init__(_take)

    def status_writes(self, name: str) -> tuple[int, int]:
        """How many statuses of an execution have been seen, and how many bytes its objects had with them."""
        with_status = [event for event in self.events(name) if event.phase]
        return len(with_status), sum(event.size for event in with_status)

    def wait(self, name: str, test: Callable[[Seen], bool]) -> Seen:
        """The first event that passes `test`."""
        seen = self.first(name, test, PATIENCE)
        if seen is None:
            raise SystemExit(f"bench: execution {name}: not within {PATIENCE:g} s; {self.events(name)[-1:]}")
        return seen

    def wait_phase(self, name: str, phase: str = "Succeeded") -> Seen:
        """The event with which an execution is in a phase."""
        return self.wait(name, lambda seen: seen.phase == phase)


def _take(line: bytes) -> tuple[str, Seen]:
    now = time.perf_counter()
    found = orjson.loads(line)["object"]
    status = found.get("status") or {}
    ended = int((status.get("summary") or {}).get("completedActions", 0))
    return found["metadata"]["name"], Seen(now, len(line), status.get("phase", ""), ended)


@contextmanager
def watching(plane: ControlPlane, namespace: str) -> Iterator[Watch]:
    """Watch the executions of a namespace as the admin until the end of the block."""
    watch = Watch()
    with devcluster_watching.watching(plane, collection("DRPlanExecution", namespace), watch):
        yield watch
