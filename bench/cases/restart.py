"""A controller that hands over to the next one, and what keeping the status live costs."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figures import Figure
from bench.lab import Lab, Space
from bench.objects import execution, http_action, plan, revert, undone_by_http, use, workflow
from devcluster import ServiceProcess


def hand_over(lab: Lab) -> None:
    """SIGTERM in the middle of a run, a new process, and its first call."""
    ends, begins = [], []
    with lab.space("restart") as space:
        url = f"{lab.target.url}/{space.name}/$(executionName)"
        space.create(workflow("slow", [http_action(f"a{n}", f"{url}/{n}?ms=100") for n in range(20)]))
        space.create(plan("slow", [[use("slow")]]))
        for number in range(lab.rounds):
            name = f"run-{number}"
            space.wait_free("slow")
            space.create(execution(name, "slow"))
            space.watch.wait(name, lambda seen: seen.ended >= 2)
            stopped = time.perf_counter()
            lab.controller.stop()
            started = time.perf_counter()
            lab.controller.start()
            space.watch.wait_phase(name)
            calls = lab.target.calls(f"/{space.name}/{name}/")
            ends.append(started - stopped)
            begins.append(min(call.arrived for call in calls if call.arrived > started) - started)
            lab.controller.wait_ready()
    lab.add(
        Figure("restart", "SIGTERM to the end of the process", "s", ends, note="an action of 100 ms was running"),
        Figure("restart", "process start to the run's next call", "s", begins, 3.0, note="after a clean hand-over"),
    )


def tracking(lab: Lab) -> None:
    """A revert of 40 actions of 100 ms each, with the status kept live and with a status at start and end only."""
    live, quiet = [], []
    with lab.space("tracking") as space:
        url = f"{lab.target.url}/{space.name}"
        actions = [undone_by_http(f"a{n}", f"{url}/do/{n}", f"{url}/$(executionName)/{n}?ms=100") for n in range(40)]
        space.create(workflow("undone", actions), plan("undone", [[use("undone")]]))
        for number in range(lab.rounds):
            live.append(_reverted(space, f"live-{number}"))
            with without_status(lab):
                quiet.append(_reverted(space, f"quiet-{number}"))
    percent = [(with_status / statistics.median(quiet) - 1) * 100 for with_status in live]
    lab.add(
        Figure("revert of 40 x 100 ms", "status writer on", "s", live, floor=4.0, note="floor: the calls alone"),
        Figure("revert of 40 x 100 ms", "status writer off", "s", quiet, floor=4.0),
        Figure("revert of 40 x 100 ms", "longer with the status writer by", "%", percent, target=5.0),
    )


@contextmanager
def without_status(lab: Lab) -> Iterator[None]:
    """Have a controller that writes no status between the start and the end of a run, for the block's time."""
    usual = lab.controller
    command = [sys.executable, "-m", "bench.without_status", *usual.command[3:]]
    log = usual.log.with_name("controller-without-status.log")
    quiet = ServiceProcess("controller-without-status", command, log, os.environ, usual.health_port, usual.metrics_port)
    usual.stop()
    quiet.start()
    quiet.wait_ready()
    try:
        yield
    finally:
        quiet.stop()
        usual.start()
        usual.wait_ready()


def _reverted(space: Space, name: str) -> float:
    """Seconds from the first to the last answer of a revert's calls."""
    space.wait_free("undone")
    space.run(execution(name, "undone"))
    space.wait_free("undone")
    space.run(revert(f"{name}-back", "undone", name))
    calls = space.lab.target.calls(f"/{space.name}/{name}-back/")
    return max(call.answered for call in calls) - min(call.arrived for call in calls)
