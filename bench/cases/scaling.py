"""Time and memory against size: actions of a run, runs at once, finished runs that are stored."""

from __future__ import annotations

import statistics

from bench.cases import parallel, stored
from bench.figures import Point
from bench.lab import Lab
from bench.objects import execution, http_action, plan, use, workflow
from bench.processes import cpu_seconds, resident_mb

ACTIONS = (50, 100, 200, 500, 1000)
AT_ONCE = (1, 10, 25, 50, 100, 200)
HISTORY = (0, 1000, 2500, 5000, 10000)
WIDTH = 10
"""Actions of a workflow."""
CALL_MILLISECONDS = 100
RUNS_OF_A_PLAN = 10


def actions(lab: Lab) -> None:
    """Runs of 50 to 1,000 HTTP actions that are answered at once, 10 a stage, all in sequence."""
    with lab.space("actions") as space:
        url = f"{lab.target.url}/{space.name}/$(params.s)"
        space.create(workflow("ten", [http_action(f"a{n}", f"{url}/{n}") for n in range(WIDTH)], ["s"]))
        for size in ACTIONS:
            name = f"plan-{size}"
            space.create(plan(name, [[use("ten", s=f"s{n}")] for n in range(size // WIDTH)]))
            stored.restart(lab.controller)
            seconds = space.timed_runs(name, lambda n, name=name: execution(f"{name}-{n}", name))  # type: ignore[misc]
            _add(lab, "actions of a run", size, seconds, per=size)


def at_once(lab: Lab) -> None:
    """1 to 200 runs at once of 10 calls that take 100 ms each."""
    with lab.space("at-once") as space:
        names = parallel.prepare(space, max(AT_ONCE), WIDTH, CALL_MILLISECONDS)
        for size in AT_ONCE:
            stored.restart(lab.controller)
            before, seconds = cpu_seconds(lab.controller.pid), []
            for number in range(lab.rounds):
                seconds.append(parallel.run_all(space, names[:size], size * 1000 + number)[0])
                space.wait_free(*names[:size])
            cpu = (cpu_seconds(lab.controller.pid) - before) / (size * WIDTH * lab.rounds) * 1e3
            _add(lab, "runs at once", size, seconds, per=1, cpu=cpu)


def history(lab: Lab) -> None:
    """Start of a controller, and a run of 10 actions, with up to 10,000 finished runs of 20 actions."""
    with lab.space("grown") as space:
        url = f"{lab.target.url}/{space.name}/$(executionName)"
        space.create(workflow("now", [http_action(f"a{n}", f"{url}/{n}") for n in range(WIDTH)]))
        space.create(plan("now", [[use("now")]]))
        for size, before in zip(HISTORY, (0, *HISTORY), strict=False):
            if size:
                stored.fill(space, range(before // RUNS_OF_A_PLAN, size // RUNS_OF_A_PLAN), RUNS_OF_A_PLAN)
            starts = [stored.restart(lab.controller) for _ in range(lab.rounds)]
            _add(lab, "finished runs: start to ready", size, starts, per=1)
            seconds = space.timed_runs("now", lambda n, size=size: execution(f"now-{size}-{n}", "now"))  # type: ignore[misc]
            _add(lab, "finished runs: a run of 10 actions", size, seconds, per=1)


def _add(lab: Lab, series: str, size: int, seconds: list[float], *, per: int, cpu: float | None = None) -> None:
    resident = resident_mb(lab.controller.pid)
    each = statistics.median(seconds) / per * 1e3
    lab.results.points.append(Point(series, size, tuple(seconds), each, resident, cpu))
