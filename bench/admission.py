"""What admission costs: reviews per second and latencies over HTTPS, start-up time and memory of the service.

One `drplan webhook` process with a real API server behind it for look-ups; the load comes from `bench.load`, a process
of its own, straight to the service's port, so that the API server's own share of an admission is not in the figures.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from app.kube.registrations import mutate_path, validate_path
from app.kube.resources import PLANS, WORKFLOWS
from app.models.base import API_VERSION
from bench.load import Order, Outcome
from bench.reviews import (
    NAMESPACE,
    NEW_VARIANTS,
    STAGES,
    WORKFLOWS_EACH,
    plan_reviews,
    workflow,
    workflow_reviews,
    workflow_updates,
)
from devcluster import ControlPlane, WebhookProcess, start_webhook

WARM_UP_SECONDS = 1.0
PATIENCE = 120.0
STORED_ACTIONS = 5
"""Actions of each workflow that the plan refers to."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of review."""

    name: str
    path: str
    bodies: list[bytes]


@dataclass(frozen=True, slots=True)
class AdmissionRow:
    """One line of the table: medians of the rounds, and the round with the most reviews a second."""

    case: str
    kilobytes: float
    connections: int
    per_second: float
    best_per_second: float
    p50_ms: float
    best_p50_ms: float
    p99_ms: float
    best_p99_ms: float
    server_us: float
    """Processor time that the service took for one review: what is left when the machine is busy with other things."""
    client_us: float
    """Processor time that the load generator itself took for one review."""
    refused: int


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """What the process takes, apart from reviews."""

    start_to_ready_seconds: float
    resident_mb_at_start: float
    resident_mb_after_load: float


def cases() -> list[Case]:
    """Every case of the benchmark.

    Rules remember what they found out about short texts. What is `new` was not there before, or is long forgotten; the
    25 manifests in each workflow of 100 actions are too many to be remembered anyway.
    """
    validate = validate_path(WORKFLOWS)
    stored = stored_names()
    return [
        *(Case(f"workflow of {size} actions, seen", validate, workflow_reviews(size)) for size in (5, 20)),
        *(Case(f"workflow of {size} actions, new", validate, workflow_reviews(size, NEW_VARIANTS)) for size in (5, 20)),
        Case("workflow of 100 actions, new", validate, workflow_reviews(100)),
        Case("update of 20 actions", validate, workflow_updates(20)),
        Case("defaults of 20 actions", mutate_path(WORKFLOWS), workflow_reviews(20)),
        Case(f"plan of {STAGES} x {WORKFLOWS_EACH} workflows", validate_path(PLANS), plan_reviews(stored)),
    ]


def stored_names() -> list[str]:
    """Names of the workflows that the plan refers to, each once."""
    return [f"stored-{n}" for n in range(STAGES * WORKFLOWS_EACH)]


def measure_admission(
    plane: ControlPlane, *, rounds: int, seconds: float, starts: int = 3
) -> tuple[list[AdmissionRow], ServiceFigures]:
    """Measure everything on a control plane that has the CRDs."""
    _store_workflows(plane)
    ready = statistics.median(_start_once(plane, f"webhook-start-{n}") for n in range(starts))
    service = start_webhook(plane, name="webhook-bench", cert_dir=plane.directory / "bench-certificates")
    at_start = resident_mb(service)
    with TemporaryDirectory() as folder:
        rows = [
            _measure(service, case, connections, rounds, seconds, Path(folder))
            for case in cases()
            for connections in (1, 8)
        ]
    figures = ServiceFigures(ready, at_start, resident_mb(service))
    service.stop()
    return rows, figures


def print_admission(rows: Sequence[AdmissionRow], figures: ServiceFigures, rounds: int) -> None:
    """Print the table as text."""
    print(f"admission, one service process; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {rounds} rounds:")
    print("median (best)")
    print(
        f"{'case':<28}{'kB':>6}{'conns':>6}{'reviews/s':>16}{'p50 ms':>16}{'p99 ms':>18}"
        f"{'server us':>11}{'client us':>11}"
    )
    for row in rows:
        rate = f"{row.per_second:.0f} ({row.best_per_second:.0f})"
        p50, p99 = f"{row.p50_ms:.2f} ({row.best_p50_ms:.2f})", f"{row.p99_ms:.2f} ({row.best_p99_ms:.2f})"
        print(
            f"{row.case:<28}{row.kilobytes:>6.1f}{row.connections:>6}{rate:>16}{p50:>16}{p99:>18}"
            f"{row.server_us:>11.0f}{row.client_us:>11.0f}"
        )
        if row.refused:
            print(f"  {row.refused} of these reviews were refused: the figures are about something else")
    print(f"start to ready: {figures.start_to_ready_seconds:.2f} s")
    print(
        f"resident: {figures.resident_mb_at_start:.0f} MB at start, {figures.resident_mb_after_load:.0f} MB after load"
    )


def resident_mb(service: WebhookProcess) -> float:
    """Resident memory of the process in MB (10^6 bytes)."""
    status = Path(f"/proc/{service.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def service_cpu(service: WebhookProcess) -> float:
    """Seconds of processor time that the process has used."""
    fields = Path(f"/proc/{service.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measure(
    service: WebhookProcess, case: Case, connections: int, rounds: int, seconds: float, folder: Path
) -> AdmissionRow:
    bodies, authority = folder / "bodies", folder / "ca.crt"
    bodies.write_bytes(b"\n".join(case.bodies))
    authority.write_bytes(service.ca_pem)
    order = Order(service.webhook_port, str(authority), case.path, str(bodies), connections, seconds, WARM_UP_SECONDS)
    outcomes, server_us = [], []
    for _ in range(rounds):
        before = service_cpu(service)
        outcomes.append(_load(order))
        server_us.append((service_cpu(service) - before) / outcomes[-1].reviews_in_all * 1e6)
    rates = [outcome.reviews / outcome.seconds for outcome in outcomes]
    p50s = [percentile(outcome.latencies, 50) * 1e3 for outcome in outcomes]
    p99s = [percentile(outcome.latencies, 99) * 1e3 for outcome in outcomes]
    return AdmissionRow(
        case=case.name,
        kilobytes=statistics.mean(map(len, case.bodies)) / 1e3,
        connections=connections,
        per_second=statistics.median(rates),
        best_per_second=max(rates),
        p50_ms=statistics.median(p50s),
        best_p50_ms=min(p50s),
        p99_ms=statistics.median(p99s),
        best_p99_ms=min(p99s),
        server_us=min(server_us),
        client_us=statistics.median(outcome.client_cpu / outcome.reviews * 1e6 for outcome in outcomes),
        refused=sum(outcome.reviews - outcome.allowed for outcome in outcomes),
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _load(order: Order) -> Outcome:
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(  # noqa: S603  (our own module)
        command, input=json.dumps(asdict(order)), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise SystemExit(f"bench: the load generator failed:\n{done.stderr}")
    return Outcome(**json.loads(done.stdout))


def _start_once(plane: ControlPlane, name: str) -> float:
    """Seconds from the start of a process to its first `/readyz` that answers 200."""
    started = time.perf_counter()
    service = start_webhook(plane, name=name, wait=False)
    while not service.ready():
        if time.perf_counter() - started > PATIENCE:
            raise SystemExit("bench: the webhook service does not become ready")
        time.sleep(0.01)
    took = time.perf_counter() - started
    service.stop()
    return took


def _store_workflows(plane: ControlPlane) -> None:
    plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for name in stored_names():
        spec = workflow(name, STORED_ACTIONS)["spec"]
        metadata = {"name": name, "namespace": NAMESPACE}
        plane.api.apply({"apiVersion": API_VERSION, "kind": "DRWorkflow", "metadata": metadata, "spec": spec})
