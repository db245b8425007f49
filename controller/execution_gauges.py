"""Metrics of the executions that exist, computed from the cache when somebody asks.

Every controller process shows them, leader or not, so that an execution that nobody runs is seen as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import product
from typing import Any

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.kube.cache import Cache
from app.kube.stream import EventType
from app.models.phases import Operation, Phase
from app.rules.unfinished import is_parked
from controller.services import utc_now

_PHASES = tuple(phase for phase in Phase if phase is not Phase.SKIPPED)
_UNFINISHED = (Phase.PENDING, Phase.RUNNING, Phase.UNKNOWN)
HELP = {
    "drplan_stored_executions": "Executions that exist, by operation and phase; each controller process says the same.",
    "drplan_oldest_execution_timestamp_seconds": "Start of the oldest execution of a phase, for Pending ones their "
    "creation; absent when there is none. Parked ones, which wait for a word of a user, do not count.",
    "drplan_oldest_execution_progress_timestamp_seconds": "When the Running execution that has not moved for longest "
    "last moved, as far as this process saw it; absent when none runs.",
    "drplan_last_success_timestamp_seconds": "End of the latest successful execution that still exists; absent when "
    "there is none.",
}
"""What each of these metrics says."""
LABELS: dict[str, tuple[str, ...]] = {
    "drplan_stored_executions": ("operation", "phase"),
    "drplan_oldest_execution_timestamp_seconds": ("phase",),
    "drplan_oldest_execution_progress_timestamp_seconds": (),
    "drplan_last_success_timestamp_seconds": ("operation",),
}
"""Their labels."""


class ExecutionGauges(Collector):
    """Collects what the cache of executions says. Times come from `now`, for tests."""

    def __init__(self, cache: Cache, now: Callable[[], datetime] = utc_now) -> None:
        self._cache = cache
        self._now = now
        self._moved: dict[str, tuple[int, float]] = {}
        """Of each Running execution, by uid: its journal sequence last seen, and when that was new."""
        cache.subscribe(self._on_change)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield the names, for the registry's check that each is used once."""
        for name, text in HELP.items():
            yield GaugeMetricFamily(name, text)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metrics of this moment."""
        counts: Counter[tuple[str, str]] = Counter(dict.fromkeys(product(Operation, _PHASES), 0))
        oldest: dict[str, float] = {}
        latest: dict[str, float] = {}
        for execution in self._cache.items():
            status = execution.get("status") or {}
            operation, phase = _operation_of(execution), phase_of(execution)
            counts[operation, phase] += 1
            if phase in _UNFINISHED and not (phase is Phase.PENDING and is_parked(execution)):
                began = status.get("startTime") or execution["metadata"].get("creationTimestamp")
                _keep(oldest, phase, began, min)
            elif phase is Phase.SUCCEEDED:
                _keep(latest, operation, status.get("completionTime"), max)
        yield _family("drplan_stored_executions", dict(counts))
        yield _family("drplan_oldest_execution_timestamp_seconds", {(k,): v for k, v in oldest.items()})
        moved = min((at for _, at in self._moved.values()), default=None)
        still = {} if moved is None else {(): moved}
        yield _family("drplan_oldest_execution_progress_timestamp_seconds", still)
        yield _family("drplan_last_success_timestamp_seconds", {(k,): v for k, v in latest.items()})

    def _on_change(self, event: EventType, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        del event
        if new is None or phase_of(new) is not Phase.RUNNING:
            gone = new or old
            if gone is not None:
                self._moved.pop(gone["metadata"]["uid"], None)
            return
        uid, sequence = new["metadata"]["uid"], int((new.get("status") or {}).get("journalSequence") or 0)
        if uid not in self._moved or self._moved[uid][0] != sequence:
            self._moved[uid] = sequence, self._now().timestamp()


def phase_of(execution: dict[str, Any]) -> Phase:
    """Return the phase of a stored execution; one that nobody has touched is Pending, one nobody knows Unknown."""
    try:
        return Phase((execution.get("status") or {}).get("phase") or "")
    except ValueError:
        return Phase.UNKNOWN


def _operation_of(execution: dict[str, Any]) -> str:
    operation = (execution.get("spec") or {}).get("operationType")
    return Operation.REVERT if operation == Operation.REVERT else Operation.EXECUTE


def _keep(found: dict[str, float], key: str, stamp: str | None, choose: Callable[[float, float], float]) -> None:
    """Put the time `stamp` into `found`, if `choose` prefers it to what is there."""
    if not stamp:
        return
    seconds = datetime.fromisoformat(stamp).timestamp()
    found[key] = choose(found.get(key, seconds), seconds)


def _family(name: str, values: dict[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, HELP[name], labels=LABELS[name])
    for key, value in values.items():
        family.add_metric([str(part) for part in key], value)
    return family
