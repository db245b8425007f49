"""Memory of a controller with much history: `python -m bench.large_history` (5,000 finished runs of 1,000 actions).

The runs are put into etcd as the API server stores them, because to write 5,000 of them takes it long. It would keep
all of them in memory, about ten times their size; with `--no-watch-cache` it reads them from etcd each time instead,
which makes each page slower for the controller, and nothing else different.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.models.base import GROUP
from app.models.names import ADOPTED_ANNOTATION, FINALIZER, OPERATION_LABEL, PLAN_LABEL
from bench.cases.stored import settle
from bench.client import Client
from bench.floor import finished_status
from bench.objects import Json, collection, execution, http_action, plan, use, workflow
from bench.processes import resident_mb
from devcluster import ControlPlane, start_controller
from drplan.dev_up import crds_folder

NAMESPACE = "history"
WIDTH = 20
"""Actions of a stage."""
THREADS = 4
STEADY_SECONDS = 30.0


def main() -> None:
    """Print what a controller takes at its start and in the steady state, a JSON line."""
    parser = argparse.ArgumentParser(prog="python -m bench.large_history", description=__doc__)
    parser.add_argument("--plans", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--actions", type=int, default=1000)
    parser.add_argument("--no-watch-cache", action="store_true", help="for machines without memory for 20 GB more")
    asked = parser.parse_args()
    flags = ["--watch-cache=false"] if asked.no_watch_cache else []
    with ControlPlane("minimal", api_server_flags=flags) as plane:
        plane.api.install_crds(crds_folder())
        plane.install_clusternet()
        plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        with Client(plane.server, plane.authority.pem, plane.identity("admin").token) as admin:
            size = _fill(plane, admin, asked.plans, asked.runs, asked.actions)
        print(f"stored {asked.runs} runs of {size} bytes", file=sys.stderr)
        started = time.perf_counter()
        controller = start_controller(plane, wait=False)
        controller.wait_ready(600.0)
        ready = time.perf_counter() - started
        at_start = {"resident": resident_mb(controller.pid), "peak": _peak_mb(controller.pid)}
        settle(controller)
        time.sleep(STEADY_SECONDS)
        steady = {"resident": resident_mb(controller.pid), "peak": _peak_mb(controller.pid)}
        figures = {"ready_seconds": round(ready, 1), "start_mb": at_start, "steady_mb": steady}
        print(json.dumps({**vars(asked), "bytes_a_run": size, "load": os.getloadavg()[0], **figures}))


def _fill(plane: ControlPlane, admin: Client, plans: int, runs: int, actions: int) -> int:
    """Store plans and finished runs; return the bytes of one run."""
    admin.request(
        "POST",
        collection("DRWorkflow", NAMESPACE),
        workflow("w", [http_action(f"a{n:04}", f"http://127.0.0.1:1/{n}") for n in range(WIDTH)]),
    )
    stages = [[use("w")] for _ in range(actions // WIDTH)]
    for number in range(plans):
        admin.request("POST", collection("DRPlan", NAMESPACE), plan(f"plan-{number}", stages))
    _store(admin, execution("run", "plan-0"), actions)
    etcd = _etcd_url(plane)
    key = f"/registry/{GROUP}/drplanexecutions/{NAMESPACE}/"
    with Client(etcd) as client:
        found = client.request("POST", "/v3/kv/range", {"key": _base64(f"{key}run".encode())})
    stored = json.loads(base64.b64decode(found["kvs"][0]["value"]))
    with ThreadPoolExecutor(THREADS) as pool:
        shares = (range(first, runs, THREADS) for first in range(THREADS))
        list(pool.map(lambda share: _put(etcd, key, stored, share, plans), shares))
    return len(json.dumps(stored))


def _put(etcd: str, key: str, stored: Json, numbers: range, plans: int) -> None:
    with Client(etcd) as client:
        for number in numbers:
            name, owner = f"run-{number}", f"plan-{number % plans}"
            stored_name = {"name": name, "uid": str(uuid.uuid4())}
            labels = {**stored["metadata"]["labels"], PLAN_LABEL: owner}
            metadata = {**stored["metadata"], **stored_name, "labels": labels}
            value = {**stored, "metadata": metadata, "spec": {**stored["spec"], "planRef": owner}}
            body = {"key": _base64(f"{key}{name}".encode()), "value": _base64(json.dumps(value).encode())}
            client.request("POST", "/v3/kv/put", body)


def _store(admin: Client, obj: Json, actions: int) -> None:
    """Store the pattern: a finished run with all that the controller would put on it."""
    path = collection("DRPlanExecution", NAMESPACE)
    labels = {PLAN_LABEL: obj["spec"]["planRef"], OPERATION_LABEL: "Execute"}
    seen = {"finalizers": [FINALIZER], "labels": labels, "annotations": {ADOPTED_ANNOTATION: "benchmark"}}
    made = admin.request("POST", path, {**obj, "metadata": {**obj["metadata"], **seen}})
    made["status"] = finished_status("w", NAMESPACE, actions, WIDTH)
    admin.request("PUT", f"{path}/{obj['metadata']['name']}/status", made)


def _etcd_url(plane: ControlPlane) -> str:
    flag = "--listen-client-urls="
    return next(part.removeprefix(flag) for part in plane.components["etcd"].command if part.startswith(flag))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _peak_mb(pid: int | None) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
