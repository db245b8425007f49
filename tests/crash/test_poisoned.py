"""An object at which the process ends does so once, whatever its kind: the next process leaves it alone and goes on.

The process is really killed, in the middle of its work on the object. Nothing but a file and a record outlive it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.suspects import MOST_ENDS, NAME
from devcluster import start_controller
from devcluster.services import ServiceProcess
from tests.crash.conftest import LONG_LEASE, Rig
from tests.crash.harness import Crashing
from tests.support.cluster import REPOSITORY
from tests.support.installation import execution, plan, stage, workflow

POISON = Path(__file__).parent / "poison"
KINDS = {"poison-w": "drw", "poison-p": "drp", "poison-e": "drpe"}
RECORD = f"/api/v1/namespaces/drplan-system/configmaps/{NAME}"


@pytest.fixture
def poisoned(rig: Rig, drplan: Crashing, tmp_path: Path) -> Iterator[ServiceProcess]:
    """A controller that these objects end, in place of the one of all tests."""
    rig.controller.kill9()
    drplan.free_lease()
    process = start_controller(
        rig.plane,
        name="poisoned",
        arguments=(*LONG_LEASE, f"--last-work-file={tmp_path}/work"),
        env={"PYTHONPATH": f"{POISON}:{REPOSITORY}"},
    )
    yield process
    if process.running:
        process.kill9()
    rig.cluster.api.raw("DELETE", RECORD)
    drplan.free_lease()


def condition(drplan: Crashing, name: str) -> dict[str, Any]:
    status = drplan.get(KINDS[name], name).get("status") or {}
    found = [each for each in status.get("conditions") or () if each["type"] == "SetAside"]
    return found[0] if found else {}


def is_left_alone(drplan: Crashing, name: str) -> bool:
    if KINDS[name] == "drpe":
        return bool(drplan.status(name).get("phase") == "Failed")
    return condition(drplan, name).get("reason") == "EndedProcess"


def test_no_object_ends_the_process_twice(drplan: Crashing, poisoned: ServiceProcess) -> None:
    action = drplan.http("call")
    drplan.apply(workflow("w", [action]), plan("good", [stage("s", "w")]), plan("other", [stage("s", "w")]))
    drplan.run("before", "good")
    for name in KINDS:
        made = {
            "drw": workflow(name, [action]),
            "drp": plan(name, [stage("s", "w")]),
            "drpe": execution(name, "other"),
        }[KINDS[name]]
        drplan.apply(made)
        drplan.wait(lambda: not poisoned.running, 60.0, f"the process did not end at {name}")
        drplan.free_lease()
        poisoned.start()
        drplan.wait(lambda name=name: is_left_alone(drplan, name), 60.0, f"{name} is not left alone")  # type: ignore[misc]
        assert poisoned.running
    drplan.apply(plan("uses", [stage("s", "poison-w")]))
    drplan.wait(lambda: drplan.plan_status("uses").get("observedGeneration"), 60.0)
    drplan.run("after", "good", timeout=60.0)
    assert poisoned.running
    assert "has ended while it worked on this object" in drplan.status("poison-e")["message"]
    assert drplan.get("drw", "poison-w")["status"]["phase"] == "Invalid"
    told = drplan.cluster.api.get(f"/apis/events.k8s.io/v1/namespaces/{drplan.namespace}/events")["items"]
    about = {each["regarding"]["name"] for each in told if each["reason"] == "SetAside"}
    assert about >= set(KINDS)
    metric = next(line for line in poisoned.metrics().splitlines() if line.startswith("drplan_set_aside_total{"))
    assert float(metric.rsplit(" ", 1)[1]) >= 1
    # what changed is looked at again, and what is deleted goes
    drplan.apply(workflow("poison-w", [{**action, "name": "cured"}]))
    drplan.wait(lambda: drplan.get("drw", "poison-w")["status"].get("phase") == "Ready", 60.0)
    assert not condition(drplan, "poison-w")
    drplan.kubectl("delete", "drpe", "poison-e", "--wait=false")
    drplan.wait(lambda: not drplan.exists("drpe", "poison-e"), 60.0)
    deadline = time.monotonic() + 60.0
    uid = drplan.get("drw", "poison-w")["metadata"]["uid"]
    while uid in (record := drplan.cluster.api.get(RECORD)["data"]):
        assert time.monotonic() < deadline, record
        time.sleep(0.1)
    assert sorted(json.loads(entry)[1] for entry in record.values()) == [MOST_ENDS] * 2
