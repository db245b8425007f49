"""`make bench`: how long runs take on a real API server, beside the physical floor measured in the same run.

The floor is what the API server itself needs on this machine for one small ConfigMap write and one small status write,
asked by a bare client. Figures are medians of `--rounds` rounds; nothing here passes or fails. `--only admission`
measures the admission service instead, `--only runs` leaves it out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from app.cli.dev_up import crds_folder
from app.models.base import API_VERSION
from bench.admission import AdmissionRow, ServiceFigures, measure_admission, print_admission
from bench.target import Target
from devcluster import ControlPlane, register_webhooks, start_controller, start_webhook

STAGES, ACTIONS = 50, 4
PATIENCE = 120.0
NAMESPACE = "bench"


@dataclass(frozen=True)
class Row:
    """One line of the table: median seconds, how many things were done in that time, the ratio to the floor."""

    case: str
    seconds: float
    things: int
    per_thing_ms: float
    to_floor: float


class Bench:
    """Plans, runs and times them on one control plane."""

    def __init__(self, plane: ControlPlane, target: Target) -> None:
        self._api = plane.api
        self._target = target
        self._api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})

    def prepare(self) -> None:
        """Make the workflows and plans, and wait until they are valid."""
        calls = [
            {"name": f"a{n}", "type": "HTTP", "http": {"method": "POST", "url": f"{self._target.url}/{n}"}}
            for n in range(ACTIONS)
        ]
        manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: $(params.s)-{0}, namespace: {1}}}\n"
        objects = [
            {"name": f"a{n}", "type": "KubernetesResource", "resource": {"manifest": manifest.format(n, NAMESPACE)}}
            for n in range(ACTIONS)
        ]
        self._create("DRWorkflow", "calls", {"actions": calls})
        self._create("DRWorkflow", "objects", {"actions": objects, "parameters": [{"name": "s", "required": True}]})
        for name in ("calls", "objects"):
            uses = [{"workflowRef": {"name": name}, "params": [{"name": "s", "value": f"s{n}"}]} for n in range(STAGES)]
            stages = [{"name": f"s{n}", "workflows": [use]} for n, use in enumerate(uses)]
            self._create("DRPlan", f"plan-{name}", {"stages": stages})
            _until(lambda name=name: self._phase("drplans", f"plan-{name}") == "Ready")  # type: ignore[misc]

    def execute(self, name: str, plan: str) -> float:
        """Run a plan; return the seconds from the creation of the execution to its visible end."""
        return self._run(name, {"planRef": plan, "operationType": "Execute"})

    def revert(self, name: str, plan: str, target: str) -> float:
        """Take a run back; return the seconds from the creation of the execution to its visible end."""
        return self._run(name, {"planRef": plan, "operationType": "Revert", "revertExecutionRef": target})

    def first_call(self, name: str, plan: str) -> float:
        """Run a plan; return the seconds from before the creation of the execution to its first outgoing call."""
        before = len(self._target.calls)
        started = time.perf_counter()
        self.execute(name, plan)
        return self._target.calls[before] - started

    def small_write(self, number: int) -> float:
        """Write one small ConfigMap; return the seconds."""
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"floor-{number}"}, "data": {"a": "b"}}
        started = time.perf_counter()
        self._api.request("POST", path, body)
        return time.perf_counter() - started

    def _run(self, name: str, spec: dict[str, Any]) -> float:
        started = time.perf_counter()
        self._create("DRPlanExecution", name, spec)
        _until(lambda: self._phase("drplanexecutions", name) == "Succeeded")
        return time.perf_counter() - started

    def _create(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        path = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{kind.lower()}s"
        self._api.request(
            "POST", path, {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
        )

    def _phase(self, plural: str, name: str) -> str:
        found = self._api.get(f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{plural}/{name}")
        return str((found.get("status") or {}).get("phase", ""))


def measure(bench: Bench, rounds: int) -> list[Row]:
    """Measure every case; the floor comes first."""
    bench.prepare()
    floor = statistics.median(bench.small_write(number) for number in range(100))
    rows = [Row("floor: one small ConfigMap write", floor, 1, floor * 1e3, 1.0)]
    things = STAGES * ACTIONS

    def add(case: str, count: int, once: Callable[[int], float]) -> None:
        seconds = statistics.median(once(number) for number in range(rounds))
        rows.append(Row(case, seconds, count, seconds / count * 1e3, seconds / count / floor))

    add(f"execute {STAGES} x {ACTIONS} HTTP", things, lambda n: bench.execute(f"calls-{n}", "plan-calls"))
    reverts: list[float] = []

    def objects(number: int) -> float:
        seconds = bench.execute(f"objects-{number}", "plan-objects")
        reverts.append(bench.revert(f"objects-{number}-back", "plan-objects", f"objects-{number}"))
        return seconds

    add(f"execute {STAGES} x {ACTIONS} ConfigMaps", things, objects)
    back = statistics.median(reverts)
    rows.append(Row("revert them", back, things, back / things * 1e3, back / things / floor))
    add("create execution -> first call", 1, lambda n: bench.first_call(f"first-{n}", "plan-calls"))
    return rows


def main() -> None:
    """Measure and print the table, or JSON with `--json`."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds a case; the median counts (default 3)")
    parser.add_argument("--only", choices=("runs", "admission"), help="measure just this part")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of an admission round (default 4)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    rows: list[Row] = []
    admission: tuple[list[AdmissionRow], ServiceFigures] | None = None
    with ControlPlane("minimal") as plane, Target().serving() as target:
        plane.api.install_crds(crds_folder())
        if arguments.only != "runs":
            admission = measure_admission(plane, rounds=arguments.rounds, seconds=arguments.seconds)
        if arguments.only != "admission":
            plane.install_clusternet()
            register_webhooks(plane, start_webhook(plane))
            start_controller(plane)
            rows = measure(Bench(plane, target), arguments.rounds)
    if arguments.json:
        _print_json(rows, admission)
        return
    if rows:
        _print_rows(rows, arguments.rounds)
    if admission is not None:
        print_admission(*admission, arguments.rounds)


def _print_json(rows: list[Row], admission: tuple[list[AdmissionRow], ServiceFigures] | None) -> None:
    out: dict[str, Any] = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "rows": [asdict(row) for row in rows]}
    if admission is not None:
        out["admission"] = {"rows": [asdict(row) for row in admission[0]], "service": asdict(admission[1])}
    print(json.dumps(out, indent=2))


def _print_rows(rows: list[Row], rounds: int) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, median of {rounds}")
    print(f"{'case':<36}{'seconds':>9}{'things':>8}{'ms each':>9}{'x floor':>9}")
    for row in rows:
        print(f"{row.case:<36}{row.seconds:>9.3f}{row.things:>8}{row.per_thing_ms:>9.2f}{row.to_floor:>9.1f}")


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + PATIENCE
    while not condition():
        if time.perf_counter() > deadline:
            raise SystemExit(f"bench: not within {PATIENCE:.0f} s")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
