"""Whatever somebody writes into executions and plans: nothing is done twice, runs end, deletions go through.

Many edits go through one installation, each on a run of its own that stands in its second call: once while the
controller lives, once while none does. Afterwards every execution is deleted and every plan runs anew.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from devcluster import register_webhooks
from devcluster.services import WebhookProcess, unregister_webhooks
from tests.crash.conftest import LONG_LEASE, Rig, replaced
from tests.crash.harness import Crashing
from tests.support.installation import API, FINAL, execution, phases_of, plan, stage, workflow

Json = dict[str, Any]
Edit = Callable[[Json], object]
"""Changes a whole object; what it makes of the status is stored by PUT of the status, the rest by PUT."""
GHOST = "00000000-0000-0000-0000-00000000dead"
FAR = "2999-01-01T00:00:00Z"
ODD = {"type": "Suspended", "status": "True", "reason": "Odd", "message": "by hand", "lastTransitionTime": FAR}


def of_status(**members: Any) -> Edit:
    """Set members of the status, or take those away that are None."""

    def edit(obj: Json) -> None:
        status = {**obj.get("status", {}), **members}
        obj["status"] = {name: value for name, value in status.items() if value is not None}

    return edit


def stages(change: Callable[[list[Json]], object]) -> Edit:
    return lambda obj: change(obj["status"]["stageStatuses"])


def actions(change: Callable[[list[Json]], object]) -> Edit:
    return stages(lambda found: change(found[0]["workflowExecutions"][0]["actionStatuses"]))


def of_metadata(**members: Any) -> Edit:
    return lambda obj: obj["metadata"].update(members)


def annotated(**annotations: str) -> Edit:
    prefix = "dr.bkbcs.tencent.com/"
    return of_metadata(annotations={f"{prefix}{key.replace('_', '-')}": value for key, value in annotations.items()})


def twice(found: list[Json]) -> None:
    found += copy.deepcopy(found)


DONOR: Json = {}
"""The status of another run, sealed by the controller."""


def of_another(obj: Json) -> None:
    obj["status"] = copy.deepcopy(DONOR)


PHASES = ("Pending", "Running", "Succeeded", "Failed", "Cancelled", "Unknown")
EDITS: dict[str, Edit] = {
    **{f"phase-{phase.lower()}": of_status(phase=phase) for phase in PHASES},
    "phase-gone": of_status(phase=None),
    "ended-whole": of_status(phase="Failed", completionTime=FAR, message="x", progress="3/3", summary=None),
    "times": of_status(startTime=FAR, completionTime="1970-01-01T00:00:00Z", duration="-5s"),
    "no-times": of_status(startTime=None, completionTime=None),
    "summary": of_status(summary={"totalActions": -1, "completedActions": 2**31 - 1}, progress="9/1"),
    "sequence-negative": of_status(journalSequence=-(2**63)),
    "sequence-huge": of_status(journalSequence=2**63 - 1),
    "sequence-gone": of_status(journalSequence=None),
    "sequence-ahead": of_status(journalSequence=7),
    "seal-gone": of_status(seal=None),
    "seal-forged": of_status(seal="0" * 64),
    "seal-of-another": lambda obj: obj["status"].update(seal=DONOR["seal"]),
    "status-of-another": of_another,
    "stages-none": of_status(stageStatuses=None),
    "stages-empty": of_status(stageStatuses=[]),
    "stages-twice": stages(twice),
    "stage-unknown": stages(lambda found: found[0].update(name="nobody", dependsOn=["nobody"])),
    "workflows-none": stages(lambda found: found[0].update(workflowExecutions=[])),
    "workflow-other": stages(lambda found: found[0]["workflowExecutions"][0]["workflowRef"].update(name="other")),
    "actions-cut": actions(lambda found: found.pop(0)),
    "actions-backwards": actions(lambda found: found.reverse()),
    "actions-twice": actions(twice),
    "action-attempts": actions(lambda found: found[1].update(attempt=2**31 - 1, retryCount=-1, interruptions=99)),
    "action-waits": actions(lambda found: found[1].update(nextAttemptTime="2999-01-01T00:00:00.000000Z")),
    "action-undone": actions(lambda found: found[0].update(phase="Pending", attempt=0, outputs={})),
    "action-done": actions(lambda found: found[2].update(phase="Succeeded")),
    "action-undecided": actions(lambda found: found[1].update(undecided=True, again=True, reason="Nobody")),
    "conditions": of_status(conditions=[]),
    "conditions-odd": of_status(conditions=[ODD]),
    "observed": of_status(observedGeneration=99, revertedBy="nobody", resolvedParams=[{"name": "x", "value": "y"}]),
    "everything": lambda obj: obj.update(status={}),
    "no-finalizer": of_metadata(finalizers=[]),
    "foreign-finalizer-less": of_metadata(finalizers=["dr.bkbcs.tencent.com/execution-finalizer", "example.com/x"]),
    "owned": of_metadata(ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "nobody", "uid": GHOST}]),
    "no-labels": of_metadata(labels={}, annotations={}),
    "forged-labels": of_metadata(labels={"dr.bkbcs.tencent.com/plan": "other", "dr.bkbcs.tencent.com/operation": "x"}),
    "forged-marks": annotated(adopted_by_controller=GHOST, start_restored="true", resume="perhaps", cancel="no"),
    "plan-changed": lambda obj: obj["spec"].update(planRef="other"),
    "operation-changed": lambda obj: obj["spec"].update(operationType="Revert", revertExecutionRef="other"),
}


PLAN_EDITS: dict[str, Edit] = {
    "unlocked": of_status(currentExecution=None),
    "unlocked-forgotten": of_status(currentExecution=None, executionHistory=None),
    "locked-by-ghost": of_status(currentExecution={"name": "nobody", "uid": GHOST}),
    "locked-by-name": of_status(currentExecution={"name": "phase-failed-run", "namespace": "elsewhere"}),
    "locked-by-another": of_status(currentExecution={"name": "times-run"}),
    "emptied": lambda obj: obj.update(status={}),
    "invalid": of_status(phase="Invalid", observedGeneration=99, conditions=[]),
}


def store(drplan: Crashing, plural: str, name: str, edit: Edit) -> None:
    """Have an edit stored over whatever version there is."""
    path = f"/apis/{API}/namespaces/{drplan.namespace}/{plural}/{name}"

    def done() -> bool:
        before = drplan.cluster.api.get(path)
        changed = copy.deepcopy(before)
        edit(changed)
        code, answer = 200, b""
        if (changed["metadata"], changed["spec"]) != (before["metadata"], before["spec"]):
            code, answer = drplan.cluster.api.raw("PUT", path, {**changed, "status": before.get("status", {})})
        elif changed.get("status") != before.get("status"):
            code, answer = drplan.cluster.api.raw("PUT", f"{path}/status", changed)
        assert code in (200, 409), (name, answer)
        return code == 200

    drplan.wait(done, 20.0)


@contextmanager
def without_admission(rig: Rig) -> Iterator[None]:
    [webhook] = [process for process in rig.plane.services if isinstance(process, WebhookProcess)]
    unregister_webhooks(rig.plane)
    try:
        yield
    finally:
        register_webhooks(rig.plane, webhook)


def begun(drplan: Crashing, names: list[str]) -> None:
    """Start a run of each plan, which stands in its second call."""
    drplan.create(workflow("w-other", [drplan.http("other")]), plan("other", [stage("s", "w-other")]))
    for name in names:
        drplan.site.hold(drplan.path(f"{name}/second"))
        calls = [drplan.http(each) for each in ("first", "second", "third")]
        for call in calls:
            call["http"]["url"] = drplan.url(f"{name}/{call['name']}")
        drplan.create(workflow(f"w-{name}", calls), plan(name, [stage("s", f"w-{name}")]))
    drplan.create(*(execution(f"{name}-run", name) for name in names))
    for name in names:
        drplan.site.wait_for(drplan.path(f"{name}/second"))
        drplan.wait(lambda name=name: phases_of(drplan.status(f"{name}-run")).get("second") == "Running")  # type: ignore[misc]


def calls(drplan: Crashing, name: str, action: str) -> int:
    return len(drplan.site.calls(drplan.path(f"{name}/{action}")))


@pytest.mark.parametrize("lives", [True, False], ids=["alive", "away"])
def test_whatever_is_stored_runs_end_deletions_go_through_and_plans_become_free(
    rig: Rig, drplan: Crashing, lives: bool
) -> None:
    names = [*EDITS, *PLAN_EDITS]
    begun(drplan, names)
    pid = drplan.controller.pid
    DONOR.update(drplan.status(f"{names[-1]}-run"))
    if not lives:
        drplan.controller.kill9()
    with without_admission(rig):
        for name, edit in EDITS.items():
            store(drplan, "drplanexecutions", f"{name}-run", edit)
        for name, edit in PLAN_EDITS.items():
            store(drplan, "drplans", name, edit)
        if not lives:
            drplan.restart()
        # one half goes on to its end, the other is deleted as it stands
        goes_on, deleted = names[::2], names[1::2]
        for name in deleted:
            drplan.remove(f"{name}-run")
        for name in names:
            drplan.site.let_go(drplan.path(f"{name}/second"))
        for name in goes_on:

            def over(name: str = name) -> bool:
                phase = drplan.status(f"{name}-run").get("phase")
                return phase in FINAL and "currentExecution" not in drplan.plan_status(name)

            drplan.wait(over, 60.0, f"{name}: {drplan.status(f'{name}-run')} {drplan.plan_status(name)}")
            status = drplan.status(f"{name}-run")
            told = "changed by somebody else" in status.get("message", "")
            assert status["phase"] == "Succeeded" or told, (name, status)
            assert calls(drplan, name, "third") == (status["phase"] == "Succeeded"), name
        for name in names:
            store_gone(drplan, f"{name}-run", name)
            assert calls(drplan, name, "first") == 1, name
            assert calls(drplan, name, "second") <= (1 if lives else 2), name
    drplan.create(*(execution(f"{name}-again", name) for name in (*names, "other")))
    for name in (*names, "other"):
        drplan.wait_phase(f"{name}-again", "Succeeded", timeout=60.0)
        drplan.wait_unlocked(name)
    if lives:
        assert (drplan.controller.running, drplan.controller.pid) == (True, pid)


def store_gone(drplan: Crashing, name: str, of: str) -> None:
    """Delete an execution, if that was not done yet, and wait until it is gone; a foreign finalizer is its owner's."""
    path = f"/apis/{API}/namespaces/{drplan.namespace}/drplanexecutions/{name}"
    drplan.cluster.api.raw("DELETE", path)

    def gone() -> bool:
        code, body = drplan.cluster.api.raw("GET", path)
        if code == 200 and json.loads(body)["metadata"].get("finalizers") == ["example.com/x"]:
            patch = {"metadata": {"finalizers": None}}
            drplan.cluster.api.raw("PATCH", path, patch, content_type="application/merge-patch+json")
        return bool(code == 404)

    drplan.wait(gone, 60.0, f"{of}: the execution is not gone")


def test_an_execution_that_is_parked_lets_go_of_its_plan(rig: Rig, drplan: Crashing) -> None:
    """A crash between the lock and the first status, and nobody for long: what is not run holds nothing."""
    with replaced(rig, drplan, "impatient", *LONG_LEASE, "--resume-within=1") as hasty:
        hasty.create(workflow("w", [hasty.http("a")]), plan("p", [stage("s", "w")]))
        hasty.wait(lambda: hasty.plan_status("p").get("phase") == "Ready")
        locked = hasty.status_of_plan("p", lambda status: "currentExecution" in status)
        crash = hasty.killed_after(locked)
        begun_at = time.monotonic()
        hasty.create(execution("e", "p"))
        hasty.crash(crash)
        assert hasty.plan_status("p")["currentExecution"]["name"] == "e"
        hasty.wait(lambda: time.monotonic() - begun_at > 4)  # its age counts in whole seconds
        hasty.restart()
        hasty.wait(lambda: any(c["reason"] == "CreatedLongAgo" for c in hasty.status("e").get("conditions", ())))
        hasty.wait_unlocked("p")
        assert hasty.plan_status("p").get("executionHistory", []) == []
        hasty.create(execution("f", "p"))
        hasty.ended("f")
        path = f"/apis/{API}/namespaces/{hasty.namespace}/drplanexecutions/e"
        hasty.merge(path, {"metadata": {"annotations": {"dr.bkbcs.tencent.com/resume": "true"}}})
        hasty.ended("e")
        assert hasty.calls() == {"a": 2}
