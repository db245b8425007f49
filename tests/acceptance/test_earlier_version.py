"""AC9 and AC10: objects as the Go operator stored them are read, listed and reverted.

They are stored while no controller runs; then ours takes over. No completionTime on executions, no conditions, no
labels, `Canceled`, a jobRef without apiVersion, history records and locks without uid, Reverts without stageStatuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from app.models.names import FINALIZER
from tests.acceptance.stories import (
    CLUSTERNET,
    check_tracked,
    conditions_of,
    localization_action,
    messages_of,
    outline,
    put_status,
    stage_of,
    undone_by_http,
    without_controller,
)
from tests.support.cluster import Cluster
from tests.support.installation import (
    Installation,
    check_summary,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("earlier-version")

START, END = "2025-03-01T10:00:00Z", "2025-03-01T10:00:09Z"
POD = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "registry.invalid/c"}]}
JOB_SPEC = {"backoffLimit": 0, "template": {"spec": POD}}
NO_SNAPSHOT = " (reverted from recorded outputs and the live definitions, because {} left no snapshot)"


def _action(name: str, phase: str = "Succeeded", message: str = "", **outputs: Any) -> dict[str, Any]:
    """An ActionStatus of the Go operator: no type, no duration, no attempt."""
    times = {"startTime": START, "completionTime": END} if phase not in ("Pending", "Running") else {}
    more = {"outputs": outputs} if outputs else {}
    return {"name": name, "phase": phase, "message": message or f"{name} done", **times, **more}


def _workflow(name: str, namespace: str, phase: str, *actions: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "workflowRef": {"name": name, "namespace": namespace},
        "phase": phase,
        "startTime": START,
        "completionTime": END,
        "duration": "9s",
        "progress": f"{len(actions)}/{len(actions)} actions completed",
        "actionStatuses": [dict(action) for action in actions],
    }


def _stage(name: str, phase: str, *workflows: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "phase": phase,
        "startTime": START,
        "completionTime": END,
        "duration": "9.000213s",
        "workflowExecutions": [dict(item) for item in workflows],
    }


def _status(phase: str, *stages: Mapping[str, Any], message: str = "") -> dict[str, Any]:
    """A DRPlanExecutionStatus of the Go operator: no completionTime, no conditions."""
    return {
        "phase": phase,
        "startTime": START,
        "message": message or "All stages completed successfully",
        "stageStatuses": [dict(item) for item in stages],
        "summary": {"totalStages": len(stages), "completedStages": len(stages)},
    }


class Earlier:
    """What the earlier version left behind."""

    def __init__(self, drplan: Installation) -> None:
        self.drplan = drplan
        self.ns = drplan.namespace

    def store(self, name: str, plan_name: str, status: Mapping[str, Any], **spec: Any) -> None:
        """Store an execution with the finalizer that the Go operator put on it, and its status."""
        stored = execution(name, plan_name, **spec)
        stored["metadata"]["finalizers"] = [FINALIZER]
        self.post(f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{self.ns}/drplanexecutions", stored)
        put_status(self.drplan, "drplanexecutions", name, status)

    def store_plan(self, name: str, *stages: Mapping[str, Any], last: str, phase: str, locked: bool = False) -> None:
        """Store a plan, its status and its one history record."""
        self.drplan.apply(plan(name, stages))
        record = {"name": last, "namespace": self.ns, "operationType": "Execute", "phase": phase, "startTime": START}
        status: dict[str, Any] = {
            "phase": "Executed" if phase == "Succeeded" else "Ready",
            "observedGeneration": 1,
            "executionHistory": [record],
        }
        if phase == "Succeeded":
            status["lastExecutionRef"] = last
        if locked:
            status["currentExecution"] = {"name": last, "namespace": self.ns}
        put_status(self.drplan, "drplans", name, status)

    def post(self, path: str, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object and return it as stored."""
        answer = self.drplan.cluster.api.request("POST", path, dict(obj))
        assert isinstance(answer, dict)
        return answer

    def config_map(self, name: str) -> dict[str, Any]:
        """Create a ConfigMap as the Go operator did, without any mark; return the reference it recorded."""
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        uid = self.post(f"/api/v1/namespaces/{self.ns}/configmaps", obj)["metadata"]["uid"]
        return {"apiVersion": "v1", "kind": "ConfigMap", "namespace": self.ns, "name": name, "uid": uid}

    def localization(self, name: str) -> dict[str, Any]:
        """Create a Localization; return the reference that was recorded."""
        obj = {"apiVersion": "apps.clusternet.io/v1alpha1", "kind": "Localization", "metadata": {"name": name}}
        uid = self.post(f"{CLUSTERNET}/namespaces/{self.ns}/localizations", {**obj, "spec": {}})["metadata"]["uid"]
        return {"apiVersion": obj["apiVersion"], "kind": "Localization", "namespace": self.ns, "name": name, "uid": uid}

    def job(self, name: str) -> dict[str, Any]:
        """Create a Job; return the reference that was recorded, which has no apiVersion."""
        obj = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": JOB_SPEC}
        uid = self.post(f"/apis/batch/v1/namespaces/{self.ns}/jobs", obj)["metadata"]["uid"]
        return {"kind": "Job", "namespace": self.ns, "name": name, "uid": uid}

    def subscription(self, name: str) -> dict[str, Any]:
        """Create a child Subscription; return the reference that was recorded, which has no uid."""
        obj = {"apiVersion": "apps.clusternet.io/v1alpha1", "kind": "Subscription", "metadata": {"name": name}}
        self.post(f"{CLUSTERNET}/namespaces/{self.ns}/subscriptions", {**obj, "spec": {}})
        return {"apiVersion": obj["apiVersion"], "kind": "Subscription", "namespace": self.ns, "name": name}


@pytest.fixture(scope="module")
def earlier(installed: Cluster, site: Site) -> Installation:
    """A namespace with what the Go operator left, after our controller has taken over."""
    drplan = Installation(installed, site, installed.namespace("earlier"))
    with without_controller(drplan):
        left = Earlier(drplan)
        _ordinary_run(left)
        _cancelled_run(left)
        _run_of_an_edited_plan(left)
        _run_in_flight(left)
        _run_without_stages(left)
        _old_reverts(left)
    return drplan


def _ordinary_run(left: Earlier) -> None:
    ns, url = left.ns, f"{left.drplan.site.url}/{left.ns}"
    job = {"name": "job", "type": "Job", "job": {"namespace": ns, "template": {"spec": JOB_SPEC}}}
    left.drplan.apply(
        workflow("old", [undone_by_http("switch", f"{url}/old"), localization_action("loc", "old-loc", ns)]),
        workflow("old-2", [config_map_action("cm", "old-cm", ns), job]),
    )
    left.store_plan("old", stage("one", "old"), stage("two", "old-2"), last="old-run", phase="Succeeded")
    one = _workflow(
        "old",
        ns,
        "Succeeded",
        _action("switch", httpResponse={"statusCode": 200, "body": "ok"}),
        _action("loc", localizationRef=left.localization("old-loc")),
    )
    two = _workflow(
        "old-2",
        ns,
        "Succeeded",
        _action("cm", resourceRef=left.config_map("old-cm")),
        _action("job", jobRef=left.job("old-job")),
    )
    left.store("old-run", "old", _status("Succeeded", _stage("one", "Succeeded", one), _stage("two", "Succeeded", two)))


def _cancelled_run(left: Earlier) -> None:
    ns, url = left.ns, f"{left.drplan.site.url}/{left.ns}"
    left.drplan.apply(
        workflow("c1", [config_map_action("made", "c1", ns)]),
        workflow(
            "c2",
            [
                config_map_action("also-made", "c2", ns),
                http_action("broken", f"{url}/broken"),
                http_action("cut-off", f"{url}/cut"),
            ],
        ),
        workflow("c3", [http_action("never", f"{url}/never")]),
    )
    stages = [stage("s1", "c1"), stage("s2", "c2"), stage("s3", "c3")]
    left.store_plan("canceled", *stages, last="canceled-run", phase="Canceled")
    status = _status(
        "Canceled",
        _stage("s1", "Succeeded", _workflow("c1", ns, "Succeeded", _action("made", resourceRef=left.config_map("c1")))),
        _stage(
            "s2",
            "Failed",
            _workflow(
                "c2",
                ns,
                "Failed",
                _action("also-made", resourceRef=left.config_map("c2")),
                _action("broken", "Failed", "unexpected status code: 500"),
                _action("cut-off", "Canceled", "canceled due to FailFast"),
            ),
        ),
        {"name": "s3", "phase": "Skipped", "message": "Canceled by user", "workflowExecutions": [
            {"workflowRef": {"name": "c3", "namespace": ns}, "phase": "Pending", "message": "pending"},
        ]},
        message="Execution canceled by user",
    )  # fmt: skip
    left.store("canceled-run", "canceled", {**status, "completionTime": END})


def _run_of_an_edited_plan(left: Earlier) -> None:
    """The plan has since lost a stage, and its workflow is gone."""
    ns = left.ns
    left.drplan.apply(workflow("kept", [http_action("kept", f"{left.drplan.site.url}/{ns}/kept")]))
    left.store_plan("edited", stage("kept", "kept"), last="edited-run", phase="Succeeded")
    children = [left.subscription("child-a"), left.subscription("child-b")]
    lost = _workflow(
        "lost",
        ns,
        "Succeeded",
        _action("lost-job", jobRef=left.job("lost-job")),
        _action("lost-subs", subscriptionRefs=children),
        _action("lost-call", httpResponse={"statusCode": 204}),
    )
    left.store("edited-run", "edited", _status("Succeeded", _stage("lost", "Succeeded", lost)))


def _run_in_flight(left: Earlier) -> None:
    ns, url = left.ns, f"{left.drplan.site.url}/{left.ns}"
    actions = [
        config_map_action("before", "flight", ns),
        http_action("during", f"{url}/during"),
        http_action("after", f"{url}/after"),
    ]
    left.drplan.apply(workflow("flight", actions))
    left.store_plan("flight", stage("s", "flight"), last="flight-run", phase="Pending", locked=True)
    running = {
        "workflowRef": {"name": "flight", "namespace": ns},
        "phase": "Running",
        "startTime": START,
        "currentAction": "during",
        "progress": "1/3 actions completed",
        "actionStatuses": [
            _action("before", resourceRef=left.config_map("flight")),
            _action("during", "Running", "action during running"),
            _action("after", "Pending", "pending"),
        ],
    }
    stages = {"name": "s", "phase": "Running", "startTime": START, "workflowExecutions": [running]}
    left.store("flight-run", "flight", {"phase": "Running", "startTime": START, "stageStatuses": [stages]})


def _run_without_stages(left: Earlier) -> None:
    left.drplan.apply(workflow("bare", [http_action("call", f"{left.drplan.site.url}/{left.ns}/bare")]))
    left.store_plan("bare", stage("s", "bare"), last="bare-run", phase="Failed")
    left.store(
        "bare-run", "bare", {"phase": "Failed", "startTime": START, "message": "resolving plan global params: x"}
    )


OLD_MESSAGE = "Plan reverted successfully: 2 stage(s) rolled back, 3 action(s) rolled back, 0 stage(s) skipped"


def _old_reverts(left: Earlier) -> None:
    """Reverts without stageStatuses, of a plan that has run before."""
    left.drplan.apply(workflow("back", [http_action("call", f"{left.drplan.site.url}/{left.ns}/back")]))
    left.store_plan("back", stage("s", "back"), last="back-run", phase="Succeeded")
    done = _stage("s", "Succeeded", _workflow("back", left.ns, "Succeeded", _action("call")))
    left.store("back-run", "back", _status("Succeeded", done))
    reverting = {"operation": "Revert", "revertExecutionRef": "back-run"}
    left.store("back-undo", "back", {"phase": "Succeeded", "startTime": START, "message": OLD_MESSAGE}, **reverting)
    failed = {"phase": "Failed", "startTime": START, "message": "Failed to revert stage s: boom", "summary": {}}
    left.store("back-failed", "back", failed, **reverting)
    history = [
        {
            "name": "back-undo",
            "namespace": left.ns,
            "operationType": "Revert",
            "phase": "Succeeded",
            "startTime": START,
        },
        {
            "name": "back-run",
            "namespace": left.ns,
            "operationType": "Execute",
            "phase": "Succeeded",
            "startTime": START,
        },
    ]
    status = {"phase": "Ready", "observedGeneration": 1, "lastExecutionRef": "back-undo", "executionHistory": history}
    put_status(left.drplan, "drplans", "back", status)


def test_ac9_run_of_the_earlier_version_is_reverted(earlier: Installation) -> None:
    ns = earlier.namespace
    status = earlier.take_back("old-undo", "old", "old-run")
    check_tracked(status)
    check_summary(status)
    assert status["message"] == (
        "Plan reverted successfully: 2 stage(s) rolled back, 4 action(s) rolled back, 0 stage(s) skipped"
        "; not verified: the plan has no healthCheck" + NO_SNAPSHOT.format("old-run")
    )
    assert outline(status) == [("two", [("old-2", ["job", "cm"])]), ("one", [("old", ["loc", "switch"])])]
    assert messages_of(status) == {
        "job": f"Rolled back: deleted Job {ns}/old-job",
        "cm": f"Rolled back: deleted resource ConfigMap {ns}/old-cm",
        "loc": f"Rolled back: deleted Localization {ns}/old-loc",
        "switch": "Rolled back: executed custom HTTP rollback action",
    }
    assert [call.method for call in earlier.site.calls(f"/{ns}/old/undo")] == ["DELETE"]
    assert not earlier.exists("cm", "old-cm")
    assert not earlier.exists("job", "old-job")
    after = earlier.wait_unlocked("old")
    assert (after["phase"], after["lastExecutionRef"]) == ("Ready", "old-undo")
    assert [(r["name"], r["phase"], r.get("revertedBy")) for r in after["executionHistory"]] == [
        ("old-undo", "Succeeded", None),
        ("old-run", "Succeeded", "old-undo"),
    ]
    target = earlier.status("old-run")
    assert target["revertedBy"] == "old-undo"
    assert {name: action for name, action in phases_of(target).items() if action != "Succeeded"} == {}
    refused = earlier.kubectl("create", "-f", "-", stdin=revert("again", "old", "old-run"), check=False)
    assert f"execution {ns}/old-run was already reverted by old-undo" in refused.stderr


def test_ac9_canceled_run_is_reverted(earlier: Installation) -> None:
    ns = earlier.namespace
    status = earlier.take_back("canceled-undo", "canceled", "canceled-run")
    check_summary(status)
    assert status["message"] == (
        "Plan reverted successfully: 2 stage(s) rolled back, 2 action(s) rolled back, 1 stage(s) skipped"
        "; not verified: the plan has no healthCheck" + NO_SNAPSHOT.format("canceled-run")
    )
    assert [item["name"] for item in status["stageStatuses"]] == ["s3", "s2", "s1"]
    assert stage_of(status, "s3")["message"] == "Original stage phase was Skipped, skipped rollback"
    assert messages_of(status) == {
        "cut-off": "Original action phase was Cancelled, skipped rollback",
        "broken": "Original action phase was Failed, skipped rollback",
        "also-made": f"Rolled back: deleted resource ConfigMap {ns}/c2",
        "made": f"Rolled back: deleted resource ConfigMap {ns}/c1",
    }
    assert earlier.wait_unlocked("canceled")["executionHistory"][1]["name"] == "canceled-run"


def test_ac9_objects_are_taken_back_although_their_workflow_is_gone(earlier: Installation) -> None:
    ns = earlier.namespace
    status = earlier.take_back("edited-undo", "edited", "edited-run")
    check_summary(status)
    assert status["message"].endswith(NO_SNAPSHOT.format("edited-run"))
    assert messages_of(status) == {
        "lost-call": "Action not found in workflow definition",
        "lost-subs": "Rolled back: deleted 2 Subscriptions",
        "lost-job": f"Rolled back: deleted Job {ns}/lost-job",
    }
    assert earlier.cluster.api.get(f"{CLUSTERNET}/namespaces/{ns}/subscriptions")["items"] == []
    assert not earlier.exists("job", "lost-job")


def test_ac9_run_in_flight_at_the_takeover_ends_and_is_reverted(earlier: Installation) -> None:
    ns = earlier.namespace
    status = earlier.wait_phase("flight-run", "Failed")
    assert "no snapshot to go on from" in status["message"]
    assert phases_of(status) == {"before": "Succeeded", "during": "Failed", "after": "Skipped"}
    check_summary(status)
    assert status["completionTime"]
    assert conditions_of(status)["Failed"] == "True"
    after = earlier.wait_unlocked("flight")
    (record,) = after["executionHistory"]
    assert (record["name"], record["phase"]) == ("flight-run", "Failed")
    assert record["completionTime"] == status["completionTime"]
    assert earlier.site.calls(f"/{ns}/during") == []

    reverted = earlier.take_back("flight-undo", "flight", "flight-run")
    assert messages_of(reverted)["before"] == f"Rolled back: deleted resource ConfigMap {ns}/flight"
    assert not earlier.exists("cm", "flight")


def test_ac9_run_that_never_began_says_so(earlier: Installation) -> None:
    status = earlier.take_back("bare-undo", "bare", "bare-run", "Failed")
    assert status["message"] == "Target execution has no stage statuses to revert"
    assert status["completionTime"]
    assert earlier.wait_unlocked("bare")["executionHistory"][0]["phase"] == "Failed"


def test_ac10_old_reverts_are_listed_and_read(earlier: Installation) -> None:
    earlier.wait(lambda: earlier.get("drpe", "back-undo")["metadata"].get("labels"))
    table = earlier.kubectl("get", "drpe", "-l", "dr.bkbcs.tencent.com/plan=back").stdout.splitlines()
    assert table[0].split() == ["NAME", "PLAN", "OPERATION", "PHASE", "PROGRESS", "DURATION", "AGE", "MESSAGE"]
    rows = {line.split()[0]: line.split()[1:4] for line in table[1:]}
    assert rows == {
        "back-run": ["back", "Execute", "Succeeded"],
        "back-undo": ["back", "Revert", "Succeeded"],
        "back-failed": ["back", "Revert", "Failed"],
    }
    described = earlier.kubectl("describe", "drpe", "back-undo").stdout
    assert OLD_MESSAGE in described
    assert earlier.status("back-undo") == {"phase": "Succeeded", "startTime": START, "message": OLD_MESSAGE}
    assert earlier.status("back-failed")["message"] == "Failed to revert stage s: boom"
    before = earlier.plan_status("back")
    assert (before["phase"], before["lastExecutionRef"]) == ("Ready", "back-undo")
    assert [record["name"] for record in before["executionHistory"]] == ["back-undo", "back-run"]


def test_ac10_old_reverts_hinder_nothing_and_can_be_deleted(earlier: Installation) -> None:
    earlier.run("back-next", "back")
    after = earlier.wait_unlocked("back")
    assert [record["name"] for record in after["executionHistory"]] == ["back-next", "back-undo", "back-run"]
    earlier.kubectl("delete", "drpe", "back-failed", "--timeout=30s")
    assert not earlier.exists("drpe", "back-failed")
    assert earlier.plan_status("back") == after
