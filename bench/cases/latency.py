"""How soon things happen: the first call, the visible end, a finished Job, a cancel."""

from __future__ import annotations

import statistics
import time

from bench.figures import Figure
from bench.lab import Lab, Space
from bench.objects import Json, collection, execution, http_action, job_action, plan, use, workflow

SIZES = (1, 5, 20)
EACH = 5
"""Runs of each size a round."""


def begin_and_end(lab: Lab) -> None:
    """From the creation of an execution to its first call, and from the last answer to the visible end."""
    begins, ends = [], []
    floor = lab.floor()
    with lab.space("latency") as space:
        url = f"{lab.target.url}/{space.name}/$(executionName)"
        for size in SIZES:
            name = f"size-{size}"
            space.create(workflow(name, [http_action(f"a{n}", f"{url}/{n}") for n in range(size)]))
            space.create(plan(name, [[use(name)]]))
            for number in range(lab.rounds * EACH + 1):
                space.wait_free(name)
                run = space.run(execution(f"{name}-{number}", name))
                calls = lab.target.calls(f"/{space.name}/{name}-{number}/")
                if number:
                    begins.append((calls[0].arrived - run.started) * 1e3)
                    ends.append((run.end.at - calls[-1].answered) * 1e3)
    note = f"plans of {', '.join(map(str, SIZES))} actions"
    write = floor.small_write * 1e3
    lab.add(
        Figure("first and last", "creation sent to first call", "ms", begins, 50.0, write, note),
        Figure("first and last", "last answer to Succeeded visible", "ms", ends, 20.0, write, note),
    )


def finished_job(lab: Lab) -> None:
    """From the moment a Job is said to be complete to the action that is seen to have succeeded."""
    took = []
    with lab.space("jobs") as space:
        slow = http_action("after", f"{lab.target.url}/{space.name}/after?ms=1000")
        space.create(workflow("jobs", [job_action("work", space.name), slow]), plan("jobs", [[use("jobs")]]))
        jobs = f"/apis/batch/v1/namespaces/{space.name}/jobs"
        for number in range(lab.rounds * 2):
            name, known = f"run-{number}", _names(space, jobs)
            space.wait_free("jobs")
            space.create(execution(name, "jobs"))
            space.wait(lambda known=known: _names(space, jobs) - known, "the Job")  # type: ignore[misc]
            time.sleep(0.6 + 0.17 * number)  # at another distance from the last status write each time
            started = time.perf_counter()
            _finish(space, f"{jobs}/{(_names(space, jobs) - known).pop()}")
            took.append((space.watch.wait(name, lambda seen: seen.ended >= 1).at - started) * 1e3)
            space.watch.wait_phase(name)
    lab.add(Figure("Job", "complete to its action seen Succeeded", "ms", took, 300.0, note="another action follows"))


def cancel(lab: Lab) -> None:
    """From the annotation to the last action that still starts, in a run that starts one every few milliseconds."""
    late, patches = [], []
    with lab.space("cancel") as space:
        url = f"{lab.target.url}/{space.name}/$(executionName)"
        space.create(workflow("many", [http_action(f"a{n}", f"{url}/{n}?ms=2") for n in range(100)]))
        space.create(plan("many", [[use("many")]]))
        for number in range(lab.rounds * 2):
            name = f"run-{number}"
            space.wait_free("many")
            space.create(execution(name, "many"))
            space.watch.wait(name, lambda seen: seen.phase == "Running")
            time.sleep(0.5)
            sent = time.perf_counter()
            _annotate(space, name)
            patches.append((time.perf_counter() - sent) * 1e3)
            space.watch.wait_phase(name, "Cancelled")
            last = max(call.arrived for call in lab.target.calls(f"/{space.name}/{name}/"))
            late.append(max(0.0, (last - sent) * 1e3))
    note = "floor: the request with the annotation, admission included"
    floor = statistics.median(patches)
    lab.add(Figure("cancel", "annotation sent to the last start", "ms", late, 100.0, floor, note))


def _annotate(space: Space, name: str) -> None:
    path = f"{collection('DRPlanExecution', space.name)}/{name}"
    body = {"metadata": {"annotations": {"dr.bkbcs.tencent.com/cancel": "true"}}}
    space.client.request("PATCH", path, body, "application/merge-patch+json")


def _names(space: Space, jobs: str) -> set[str]:
    return {item["metadata"]["name"] for item in space.client.request("GET", jobs)["items"]}


def _finish(space: Space, path: str) -> None:
    """Say what the Job controller says of a Job whose pod has succeeded."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("SuccessCriteriaMet", "Complete")
    ]
    status: Json = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
    space.client.request("PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json")
