"""Controllers whose clocks are minutes off take over from each other: nothing is timed out, delayed or repeated."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.crash.conftest import Rig
from tests.crash.harness import Crashing, key_of
from tests.crash.starving import starved
from tests.support.installation import FAST_LEASE, execution, plan, stage, workflow
from tests.support.site import Answer

CLOCKS = (600, -600, 70, -70)
"""Seconds by which the clocks of one controller after the other are ahead."""


@pytest.fixture(autouse=True)
def usual(rig: Rig, drplan: Crashing) -> Iterator[None]:
    """Have the usual controller again afterwards."""
    rig.controller.kill9()
    drplan.free_lease()
    yield
    drplan.free_lease()
    rig.controller.start().wait_ready()


def test_a_run_goes_through_the_hands_of_controllers_with_other_clocks(rig: Rig, drplan: Crashing) -> None:
    """Each is killed in the midst of a call, and the next one waits for its lease and takes it up."""
    calls = [f"c{n}" for n in range(len(CLOCKS))]
    for call in calls:
        drplan.site.hold(drplan.path(call))
    drplan.site.script(drplan.path("again"), Answer(503), Answer(200))
    again = drplan.http("again", retryPolicy={"limit": 2, "interval": "1s"}, timeout="3m")
    drplan.create(
        workflow("w", [*(drplan.http(call, timeout="3m") for call in calls), again]), plan("p", [stage("s", "w")])
    )
    began = datetime.now(UTC)
    drplan.create(execution("e", "p"))
    for number, (call, ahead) in enumerate(zip(calls, CLOCKS, strict=True)):
        controller = starved(rig, f"clock-{number}", *FAST_LEASE, clock=ahead)
        drplan.controller = controller
        if number:
            drplan.site.wait_for(drplan.path(calls[number - 1]), times=2, timeout=60.0)
            drplan.site.let_go(drplan.path(calls[number - 1]))
        drplan.site.wait_for(drplan.path(call), timeout=60.0)
        if number < len(CLOCKS) - 1:
            controller.kill9()
    drplan.site.let_go(drplan.path(calls[-1]))
    status = drplan.ended("e")
    assert drplan.calls() == {**dict.fromkeys(calls[:-1], 2), calls[-1]: 1, "again": 2}
    for call in calls:
        assert len({key_of(each) for each in drplan.site.calls(drplan.path(call))}) == 1
    slack = timedelta(seconds=5)
    for moment in (status["startTime"], status["completionTime"]):
        assert began - slack <= datetime.fromisoformat(moment) <= datetime.now(UTC) + slack
    drplan.controller.kill9()
