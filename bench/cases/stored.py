"""What the processes cost that have nothing to do: a controller with much history, and the webhook service."""

from __future__ import annotations

import time

from app.models.names import ADOPTED_ANNOTATION, FINALIZER, OPERATION_LABEL, PLAN_LABEL
from bench.client import Client
from bench.figures import Figure
from bench.floor import finished_status
from bench.lab import Lab, Space
from bench.objects import Json, collection, execution, http_action, plan, use, workflow
from bench.processes import cpu_seconds, resident_mb
from devcluster import ServiceProcess, register_webhooks, start_webhook, unregister_webhooks

PLANS, RUNS_EACH, ACTIONS = 500, 10, 20
IDLE_SECONDS = 20.0
QUIET_CHECKS = 10
"""How often in a row nothing may be queued before a controller counts as settled."""


def history(lab: Lab) -> None:
    """500 plans and 5,000 finished executions of 20 actions: start, memory, and processor time without work."""
    with lab.space("history") as space:
        fill(space, range(PLANS), RUNS_EACH)
        starts = [restart(lab.controller) for _ in range(lab.rounds)]
        time.sleep(5)
        resident = resident_mb(lab.controller.pid)
        idle = _idle_percent(lab.controller.pid)
    case = f"{PLANS} plans, {PLANS * RUNS_EACH} finished runs"
    lab.add(
        Figure(case, "controller: start to ready", "s", starts, 5.0),
        Figure(case, "controller: resident memory", "MB", [resident], 150.0),
        Figure(case, "controller: CPU when idle", "%", [idle], 1.0, note=f"of one core, over {IDLE_SECONDS:.0f} s"),
    )


def service(lab: Lab) -> None:
    """Start and memory of a webhook service that has answered nothing yet."""
    starts, resident = [], []
    for number in range(lab.rounds):
        started = time.perf_counter()
        process = start_webhook(
            lab.plane, name=f"webhook-{number}", cert_dir=lab.plane.directory / "bench-certificates"
        )
        starts.append(time.perf_counter() - started)
        resident.append(resident_mb(process.pid))
        process.stop()
    lab.add(
        Figure("webhook service", "start to ready", "s", starts, 2.0),
        Figure("webhook service", "resident memory", "MB", resident, 90.0),
    )


def fill(space: Space, plans: range, runs_each: int) -> None:
    """Store plans with finished runs while nobody watches, and let the controller see all of it once."""
    lab = space.lab
    lab.controller.stop()
    unregister_webhooks(lab.plane)
    url = f"{lab.target.url}/{space.name}/$(executionName)"
    if not plans.start:
        space.create(workflow("stored", [http_action(f"a{n:04}", f"{url}/{n}") for n in range(ACTIONS)]))
    space.create_at_once(plan(f"plan-{number}", [[use("stored")]]) for number in plans)
    space.at_once(
        lambda client, obj: _store_run(client, space.name, obj),
        (execution(f"run-{n}-{m}", f"plan-{n}") for n in plans for m in range(runs_each)),
    )
    register_webhooks(lab.plane, lab.webhook)
    lab.controller.start()
    lab.controller.wait_ready()
    settle(lab.controller)


def settle(controller: ServiceProcess) -> None:
    """Wait until a controller has nothing left to do."""
    quiet = 0
    while quiet < QUIET_CHECKS:
        lines = [
            line
            for line in controller.metrics().splitlines()
            if line.startswith(("drplan_queue_depth", "drplan_leader "))
        ]
        leads = "drplan_leader 1.0" in lines
        waiting = sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("drplan_queue_depth"))
        quiet = quiet + 1 if leads and not waiting else 0
        time.sleep(0.2)


def restart(controller: ServiceProcess) -> float:
    """Stop a controller and start it; return the seconds from its start until it is ready."""
    controller.stop()
    started = time.perf_counter()
    controller.start()
    controller.wait_ready()
    took = time.perf_counter() - started
    settle(controller)
    return took


def _store_run(client: Client, namespace: str, obj: Json) -> None:
    """Store a finished run with all that the controller would put on it."""
    path = collection("DRPlanExecution", namespace)
    labels = {PLAN_LABEL: obj["spec"]["planRef"], OPERATION_LABEL: "Execute"}
    seen = {"finalizers": [FINALIZER], "labels": labels, "annotations": {ADOPTED_ANNOTATION: "benchmark"}}
    made = client.request("POST", path, {**obj, "metadata": {**obj["metadata"], **seen}})
    made["status"] = finished_status("stored", namespace, ACTIONS)
    client.request("PUT", f"{path}/{obj['metadata']['name']}/status", made)


def _idle_percent(pid: int | None) -> float:
    before = cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    return (cpu_seconds(pid) - before) / IDLE_SECONDS * 100
