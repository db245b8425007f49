"""The physical floor: what the API server and the target need for bare requests, one after another."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.client import Client
from bench.objects import Json, collection

WRITES, STATUS_WRITES, CALLS = 60, 10, 60
TIMES = {"startTime": "2026-03-01T10:00:00Z", "completionTime": "2026-03-01T10:00:20Z", "duration": "1s"}
_FILLING = "x" * 1000


@dataclass(frozen=True, slots=True)
class Floor:
    """Median seconds of one request on one connection that stays open."""

    small_write: float
    """PUT of a ConfigMap of 1 kB."""
    status_write: float
    """PUT of the status of an execution of 200 actions."""
    status_bytes: int
    call: float
    """POST to the target, which answers at once."""

    @property
    def action(self) -> float:
        """What one action of a sequence cannot do without: its record and its call."""
        return self.small_write + self.call


def measure(client: Client, namespace: str, finished: str, target_url: str, actions: int = 200) -> Floor:
    """Measure in a namespace in which nobody works any more; the status of `finished`, a run, is written over."""
    with Client(target_url) as target:
        call = _median(CALLS, lambda _: target.send("POST", "/floor/call", b"{}"))
    path = f"{collection('ConfigMap', namespace)}/floor"
    write = _median(WRITES, lambda number: client.request("PUT", path, config_map(number)))
    path = f"{collection('DRPlanExecution', namespace)}/{finished}"
    stored = client.request("GET", path)
    stored["status"] = finished_status("floor", namespace, actions)

    def write_status(number: int) -> None:
        nonlocal stored
        stored["status"]["message"] = str(number)
        stored = client.request("PUT", f"{path}/status", stored)

    status = _median(STATUS_WRITES, write_status)
    return Floor(write, status, len(json.dumps(stored["status"])), call)


def finished_status(workflow: str, namespace: str, actions: int, width: int = 20) -> Json:
    """The status of a finished run of HTTP actions, `width` a stage."""
    stages = []
    for first in range(0, actions, width):
        done = [
            {"name": f"a{n:04}", "type": "HTTP", "attempt": 1, "phase": "Succeeded", "message": "HTTP 200", **TIMES}
            for n in range(first, min(first + width, actions))
        ]
        used: Json = {"workflowRef": {"name": workflow, "namespace": namespace}, "phase": "Succeeded", **TIMES}
        stages.append({"name": f"s{first:04}", "phase": "Succeeded", **TIMES, "workflowExecutions": [used]})
        used["actionStatuses"] = done
    return {"phase": "Succeeded", **TIMES, "stageStatuses": stages}


def config_map(number: int) -> Json:
    """The small object, another one for every number."""
    data = {"number": str(number), "filling": _FILLING}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "floor"}, "data": data}


def _median(count: int, work: Callable[[int], object]) -> float:
    return statistics.median(_timed(work, number) for number in range(count))


def _timed(work: Callable[[int], object], number: int) -> float:
    started = time.perf_counter()
    work(number)
    return time.perf_counter() - started
