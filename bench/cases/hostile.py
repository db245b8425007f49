"""Objects made to hold up an event loop or to fill memory, sent to the API server with both processes running."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure
from bench.lab import Lab
from devcluster import ServiceProcess
from tests.security.corpus import CORPUS

CASE = "hostile objects"
STALL_MS = 50.0
PEAK_MB = 256 * 1.048576
SETTLE_SECONDS = 10.0
"""Time for the controller to look at what was stored last."""
_PLURALS = {"DRWorkflow": "drworkflows", "DRPlan": "drplans", "DRPlanExecution": "drplanexecutions"}


@dataclass(slots=True)
class Stall:
    """The longest answer of a process to a request that costs it nothing, in ms: its event loop was held up as long."""

    longest: float = 0.0
    own: float = 0.0
    """The longest by the processor time of its process (see `bench.stall`)."""
    when: float = 0.0
    """When that was, in seconds since the epoch."""


def hostile(lab: Lab) -> None:
    """Create the whole corpus; the longest stall of each event loop meanwhile, and the memory of each process."""
    processes = {"webhook service": lab.webhook, "controller": lab.controller}
    with lab.space("hostile") as space:
        lab.plane.api.raw("GET", "/readyz")
        begun: list[tuple[float, str]] = []
        with watched(lab.webhook) as webhook, watched(lab.controller) as controller:
            for number, (name, make) in enumerate(CORPUS.items()):
                obj = make()
                begun.append((time.time(), name))
                obj["metadata"] = {"name": f"hostile-{number}", "namespace": space.name}
                path = f"/apis/{obj['apiVersion']}/namespaces/{space.name}/{_PLURALS[obj['kind']]}"
                status, body = lab.plane.api.raw("POST", path, obj)
                if status >= 500:
                    print(f"{name}: {status} {body[:300]!r}", file=sys.stderr)
            time.sleep(SETTLE_SECONDS)
    for (what, process), stall in zip(processes.items(), (webhook, controller), strict=True):
        name = next((name for start, name in reversed(begun) if start <= stall.when), "")
        lab.add(
            Figure(
                CASE, f"{what}: longest answer", "ms", [stall.longest], note="with the processor's other work in it"
            ),
            Figure(
                CASE,
                f"{what}: longest stall of the event loop",
                "ms",
                [stall.own],
                STALL_MS,
                note=f"{len(CORPUS)} objects, at most the processor time that it used; the longest at or after: {name}",
            ),
            Figure(CASE, f"{what}: peak memory", "MB", [_peak_mb(process.pid)], PEAK_MB),
        )


@contextmanager
def watched(process: ServiceProcess) -> Iterator[Stall]:
    """Measure a process by `bench.stall` until the end of the block."""
    stall = Stall()
    command = [sys.executable, "-m", "bench.stall", str(process.metrics_port), str(process.pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:  # noqa: S603
        try:
            yield stall
        finally:
            said, _ = watcher.communicate(timeout=60)
    stall.longest, stall.own, stall.when = map(float, said.split())


def _peak_mb(pid: int | None) -> float:
    """The most memory that a process has had resident, in MB (10^6 bytes)."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6
