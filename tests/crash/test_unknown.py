"""A write in doubt and a long outage: the run stands still until somebody looks (design: the run; phase Unknown)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from devcluster.services import ServiceProcess
from tests.crash.conftest import Rig
from tests.crash.harness import Crashing
from tests.support.installation import FAST_LEASE, config_map_action, execution, phases_of, plan, stage, workflow
from tests.support.proxy import hold, lose_answer, lose_request, request_to
from tests.support.site import Site

RESUME = "dr.bkbcs.tencent.com/resume"
UNKNOWN_AFTER = 0.5


pytestmark = pytest.mark.xdist_group("unknown")


@pytest.fixture(scope="module")
def doubter(rig: Rig) -> Iterator[ServiceProcess]:
    """A controller that calls an outcome unknown after half a second, in the place of the usual one."""
    rig.controller.stop()
    controller = rig.start("doubting", *FAST_LEASE, f"--unknown-after={UNKNOWN_AFTER}")
    yield controller
    rig.proxy.clear()
    controller.stop()


@pytest.fixture
def doubting(rig: Rig, site: Site, doubter: ServiceProcess) -> Crashing:
    """drplan with that controller, and a new namespace."""
    return Crashing(rig.cluster, site, rig.cluster.namespace("crash"), rig.proxy, doubter)


def suspended(drplan: Crashing) -> dict[str, object]:
    """Bring a run into phase Unknown: the answer to a POST is lost, then the journal cannot be written for long."""
    retry = {"retryPolicy": {"limit": 3, "interval": "50ms", "backoffMultiplier": "1.0"}}
    made = config_map_action("b", "marker", drplan.namespace, **retry)
    drplan.create(workflow("w", [drplan.http("a"), made, drplan.http("c")]), plan("p", [stage("s", "w")]))
    drplan.proxy.on(request_to("POST", f"/{drplan.namespace}/configmaps"), lose_answer)
    drplan.proxy.on(request_to("GET", "/configmaps/marker"), lose_request, times=None)
    outage = drplan.proxy.on(drplan.entry("AttemptFailed", "e", 0, 0, 1), hold)
    drplan.create(execution("e", "p"))
    outage.wait()
    time.sleep(2 * UNKNOWN_AFTER)
    outage.release()
    status: dict[str, object] = drplan.wait_phase("e", "Unknown")
    drplan.proxy.clear()
    return status


def test_run_of_unknown_outcome_goes_on_when_told_to(doubting: Crashing) -> None:
    status = suspended(doubting)
    assert "did not answer a write of an action" in str(status["message"])
    [condition] = [c for c in status["conditions"] if c["type"] == "Suspended"]  # type: ignore[attr-defined]
    assert (condition["status"], condition["reason"]) == ("True", "OutcomeUnknown")
    assert doubting.plan_status("p")["currentExecution"]["name"] == "e"
    uid = doubting.uid("cm", "marker")
    assert doubting.calls() == {"a": 1}
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{doubting.namespace}/drplanexecutions/e"
    doubting.merge(path, {"metadata": {"annotations": {RESUME: "true"}}})
    ended = doubting.ended("e")
    assert phases_of(ended) == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded"}
    assert doubting.uid("cm", "marker") == uid
    assert doubting.calls() == {"a": 1, "c": 1}
    assert RESUME not in doubting.get("drpe", "e")["metadata"]["annotations"]


def test_run_of_unknown_outcome_can_be_cancelled(doubting: Crashing) -> None:
    suspended(doubting)
    doubting.cancel("e")
    ended = doubting.ended("e", "Cancelled")
    assert phases_of(ended) == {"a": "Succeeded", "b": "Cancelled", "c": "Skipped"}
