"""AC1 to AC5 and E1: a run of many kinds of actions is taken back, and the Revert tells all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from devcluster.api import RequestError
from tests.acceptance.stories import (
    CLUSTERNET,
    actions_in,
    check_times,
    check_tracked,
    conditions_of,
    globalization_action,
    helm_chart_action,
    localization_action,
    messages_of,
    outline,
    put_status,
    small_plan,
    stage_of,
    subscription_action,
    undone_by_http,
    wait_valid,
    without_controller,
)
from tests.support.cluster import Cluster
from tests.support.installation import (
    Installation,
    actions_of,
    check_summary,
    config_map_action,
    http_action,
    phases_of,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("revert-story")


@dataclass(frozen=True)
class Story:
    """A run and its Revert, both ended."""

    drplan: Installation
    executed: dict[str, Any]
    reverted: dict[str, Any]


@pytest.fixture(scope="module")
def story(installed: Cluster, site: Site) -> Story:
    """Three stages: one with every Clusternet kind, a parallel one, one that runs twice with a parameter each."""
    drplan = Installation(installed, site, installed.namespace("story"))
    ns, url = drplan.namespace, f"{site.url}/{drplan.namespace}"
    never = {"name": "upgrade-only", "type": "HTTP", "http": {"url": f"{url}/never"}, "when": 'mode == "upgrade"'}
    named = workflow(
        "named",
        [undone_by_http("tell", f"{url}/tell/$(params.who)"), config_map_action("note", "note-$(params.who)", ns)],
        parameters=[{"name": "who"}],
    )
    drplan.apply(
        workflow(
            "network",
            [
                localization_action("loc-a", "nginx-loc-a", ns),
                globalization_action("glob", f"{ns}-glob"),
                helm_chart_action("chart", "nginx-chart", ns),
                subscription_action("sub", "nginx-sub", ns),
                http_action("ping", f"{url}/ping"),
            ],
        ),
        workflow("apps", [config_map_action("app-config", "app-config", ns), undone_by_http("app-on", f"{url}/app")]),
        workflow("data", [config_map_action("data-config", "data-config", ns), never]),
        named,
        plan(
            "p",
            [
                stage("net", "network"),
                stage("work", "apps", "data", parallel=True, dependsOn=["net"]),
                stage(
                    "tell",
                    {"workflowRef": {"name": "named"}, "params": [{"name": "who", "value": "one"}]},
                    {"workflowRef": {"name": "named"}, "params": [{"name": "who", "value": "two"}]},
                    dependsOn=["work"],
                ),
            ],
        ),
    )
    wait_valid(drplan, "p")
    executed = drplan.run("run", "p", mode="Install")
    drplan.wait_unlocked("p")
    reverted = drplan.take_back("undo", "p", "run")
    drplan.wait_unlocked("p")
    return Story(drplan, executed, reverted)


def test_ac1_revert_lists_every_stage_in_the_order_of_the_work(story: Story) -> None:
    assert outline(story.executed) == [
        ("net", [("network", ["loc-a", "glob", "chart", "sub", "ping"])]),
        ("work", [("apps", ["app-config", "app-on"]), ("data", ["data-config", "upgrade-only"])]),
        ("tell", [("named", ["tell", "note"]), ("named", ["tell", "note"])]),
    ]
    assert outline(story.reverted) == [
        ("tell", [("named", ["note", "tell"]), ("named", ["note", "tell"])]),
        ("work", [("data", ["upgrade-only", "data-config"]), ("apps", ["app-on", "app-config"])]),
        ("net", [("network", ["ping", "sub", "chart", "glob", "loc-a"])]),
    ]
    prefix = f"/{story.drplan.namespace}"
    calls = story.drplan.site.calls(prefix=f"{prefix}/")
    undone = [call.path.removeprefix(prefix) for call in calls if call.method == "DELETE"]
    assert undone == ["/tell/two/undo", "/tell/one/undo", "/app/undo"]
    starts = [action["startTime"] for action in actions_of(story.reverted)]
    assert starts == sorted(starts)


def test_ac2_each_stage_has_its_times(story: Story) -> None:
    for status in (story.executed, story.reverted):
        for stage_status in status["stageStatuses"]:
            check_times(stage_status, stage_status["name"])
        check_tracked(status)


def test_ac3_each_workflow_lists_its_actions(story: Story) -> None:
    defined = {
        (stage_status["name"], workflow_status["workflowRef"]["name"]): [a["name"] for a in actions_in(workflow_status)]
        for stage_status in story.executed["stageStatuses"]
        for workflow_status in stage_status["workflowExecutions"]
    }
    progress = []
    for stage_status in story.reverted["stageStatuses"]:
        for workflow_status in stage_status["workflowExecutions"]:
            key = (stage_status["name"], workflow_status["workflowRef"]["name"])
            assert [action["name"] for action in actions_in(workflow_status)] == defined[key][::-1]
            assert workflow_status["workflowRef"]["namespace"] == story.drplan.namespace
            assert workflow_status["message"] == "Workflow reverted successfully"
            progress.append(workflow_status["progress"])
    assert progress == [f"{done} actions rolled back" for done in ("2/2", "2/2", "1/2", "2/2", "4/5")]


def test_ac4_each_action_has_phase_and_message(story: Story) -> None:
    ns = story.drplan.namespace
    assert messages_of(story.executed) == {
        "loc-a": f"Localization {ns}/nginx-loc-a created successfully",
        "glob": f"Globalization {ns}-glob created successfully",
        "chart": f"HelmChart {ns}/nginx-chart created successfully",
        "sub": f"Subscription {ns}/nginx-sub created successfully",
        "ping": "HTTP POST succeeded with status 200",
        "app-config": f"Resource ConfigMap {ns}/app-config Create successfully",
        "app-on": "HTTP POST succeeded with status 200",
        "data-config": f"Resource ConfigMap {ns}/data-config Create successfully",
        "upgrade-only": "when not matched: mode=install, expected one of [upgrade]",
        "tell": "HTTP POST succeeded with status 200",
        "note": f"Resource ConfigMap {ns}/note-two Create successfully",
    }
    told = [(action["name"], action["phase"], action["message"]) for action in actions_of(story.reverted)]
    assert told == [
        ("note", "Succeeded", f"Rolled back: deleted resource ConfigMap {ns}/note-two"),
        ("tell", "Succeeded", "Rolled back: executed custom HTTP rollback action"),
        ("note", "Succeeded", f"Rolled back: deleted resource ConfigMap {ns}/note-one"),
        ("tell", "Succeeded", "Rolled back: executed custom HTTP rollback action"),
        ("upgrade-only", "Skipped", "Original action phase was Skipped, skipped rollback"),
        ("data-config", "Succeeded", f"Rolled back: deleted resource ConfigMap {ns}/data-config"),
        ("app-on", "Succeeded", "Rolled back: executed custom HTTP rollback action"),
        ("app-config", "Succeeded", f"Rolled back: deleted resource ConfigMap {ns}/app-config"),
        ("ping", "Skipped", "No rollback defined for HTTP action"),
        ("sub", "Succeeded", f"Rolled back: deleted Subscription {ns}/nginx-sub"),
        ("chart", "Succeeded", f"Rolled back: deleted HelmChart {ns}/nginx-chart"),
        ("glob", "Succeeded", f"Rolled back: deleted Globalization {ns}-glob"),
        ("loc-a", "Succeeded", f"Rolled back: deleted Localization {ns}/nginx-loc-a"),
    ]


def test_ac4_what_the_messages_say_is_true(story: Story) -> None:
    ns, api = story.drplan.namespace, story.drplan.cluster.api
    gone = [
        f"{CLUSTERNET}/namespaces/{ns}/localizations/nginx-loc-a",
        f"{CLUSTERNET}/globalizations/{ns}-glob",
        f"{CLUSTERNET}/namespaces/{ns}/helmcharts/nginx-chart",
        f"{CLUSTERNET}/namespaces/{ns}/subscriptions/nginx-sub",
        *(
            f"/api/v1/namespaces/{ns}/configmaps/{name}"
            for name in ("app-config", "data-config", "note-one", "note-two")
        ),
    ]
    for path in gone:
        with pytest.raises(RequestError) as refused:
            api.get(path)
        assert refused.value.status == 404


def test_ac5_summary_counts_stages_and_actions(story: Story) -> None:
    check_summary(story.executed)
    check_summary(story.reverted)
    assert story.reverted["summary"] == {
        "totalStages": 3,
        "completedStages": 3,
        "succeededStages": 3,
        "totalWorkflows": 5,
        "completedWorkflows": 5,
        "totalActions": 13,
        "completedActions": 13,
        "succeededActions": 11,
        "skippedActions": 2,
    }
    assert story.reverted["progress"] == "11/13"  # two had nothing to take back


def test_ac5_summary_counts_skipped_and_failed_ones(drplan: Installation) -> None:
    """Stage one works, two fails at its second action, three never starts; the Revert takes back what was done."""
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    refused = http_action("refused", f"{drplan.site.url}/status/500/{ns}", retryPolicy={"limit": 0})
    drplan.apply(
        workflow("one", [config_map_action("a", "a", ns)]),
        workflow("two", [config_map_action("b", "b", ns), refused, http_action("after", f"{url}/after")]),
        workflow("three", [config_map_action("c", "c", ns)]),
        plan("p", [stage("s1", "one"), stage("s2", "two"), stage("s3", "three")]),
    )
    executed = drplan.run("run", "p", "Failed")
    check_summary(executed)
    check_tracked(executed)
    counted = executed["summary"]
    assert [counted.get(f"{word}Stages", 0) for word in ("succeeded", "failed", "skipped")] == [1, 1, 1]
    assert [counted.get(f"{word}Actions", 0) for word in ("succeeded", "failed", "skipped")] == [2, 1, 2]
    drplan.wait_unlocked("p")

    reverted = drplan.take_back("undo", "p", "run")
    check_summary(reverted)
    check_tracked(reverted)
    assert reverted["message"] == (
        "Plan reverted successfully: 2 stage(s) rolled back, 2 action(s) rolled back, 1 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )
    counted = reverted["summary"]
    assert [counted.get(f"{word}Stages", 0) for word in ("succeeded", "failed", "skipped")] == [2, 0, 1]
    assert [counted.get(f"{word}Actions", 0) for word in ("succeeded", "failed", "skipped")] == [2, 0, 3]
    assert stage_of(reverted, "s3")["message"] == "Original stage phase was Skipped, skipped rollback"
    skipped = stage_of(reverted, "s3")["workflowExecutions"][0]
    assert skipped["message"] == "Original workflow phase was Skipped, skipped rollback"
    assert messages_of(reverted) == {
        "c": "Original action phase was Skipped, skipped rollback",
        "after": "Original action phase was Skipped, skipped rollback",
        "refused": "Original action phase was Failed, skipped rollback",
        "b": f"Rolled back: deleted resource ConfigMap {ns}/b",
        "a": f"Rolled back: deleted resource ConfigMap {ns}/a",
    }


def test_e1_ordinary_revert(story: Story) -> None:
    executed, reverted = story.executed, story.reverted
    assert executed["message"] == "All stages completed successfully"
    assert reverted["message"] == (
        "Plan reverted successfully: 3 stage(s) rolled back, 11 action(s) rolled back, 0 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )
    assert len(reverted["stageStatuses"]) == len(executed["stageStatuses"])
    assert [item["message"] for item in reverted["stageStatuses"]] == [
        f"Stage reverted successfully: {count} workflow(s) rolled back" for count in (2, 2, 1)
    ]
    ended = {"Started": "True", "Complete": "True", "Completed": "True", "Failed": "False", "Cancelled": "False"}
    assert conditions_of(executed) == conditions_of(reverted) == ended
    assert story.drplan.plan_status("p")["phase"] == "Ready"


def test_e1_the_target_says_what_took_it_back(story: Story) -> None:
    target = story.drplan.status("run")
    assert target["revertedBy"] == "undo"
    marked = {action["name"] for action in actions_of(target) if action.get("rolledBackBy") == "undo"}
    assert marked == set(phases_of(story.executed)) - {"ping", "upgrade-only"}
    records = story.drplan.plan_status("p")["executionHistory"]
    assert [(record["name"], record.get("revertedBy")) for record in records] == [("undo", None), ("run", "undo")]
    again = story.drplan.kubectl("create", "-f", "-", check=False, stdin=revert("again", "p", "run"))
    ns = story.drplan.namespace
    assert f"execution {ns}/run was already reverted by undo" in again.stderr


def test_e1_events_tell_the_run_and_its_revert(story: Story) -> None:
    told = _events(story.drplan, "run")
    ns = story.drplan.namespace
    assert told[0] == ("Normal", "ExecutionStarted", "Started executing plan p (operation=Execute)")
    assert ("Normal", "StageStarted", "Started executing stage net (mode=sequential)") in told
    assert ("Normal", "StageStarted", "Started executing stage work (mode=parallel)") in told
    assert ("Normal", "WorkflowStarted", f"Started executing workflow {ns}/network") in told
    assert ("Normal", "ActionStarted", "Started executing action loc-a (type=Localization)") in told
    assert ("Normal", "ActionSucceeded", "Action loc-a succeeded") in told
    net = stage_of(story.executed, "net")
    assert ("Normal", "StageSucceeded", f"Stage net succeeded (duration={net['duration']})") in told
    ended = "Execution succeeded: All stages completed successfully"
    assert told[-1] == ("Normal", "ExecutionSucceeded", ended)
    told = _events(story.drplan, "undo")
    assert told[0] == ("Normal", "RevertStarted", "Started reverting plan p")
    assert told[-1] == ("Normal", "RevertSucceeded", f"Revert succeeded: {story.reverted['message']}")


def _events(drplan: Installation, name: str) -> list[tuple[str, str, str]]:
    """Type, reason and note of the events about an execution, in their order, once the last one has arrived."""

    def found() -> list[dict[str, Any]]:
        path = f"/apis/events.k8s.io/v1/namespaces/{drplan.namespace}/events"
        events = [item for item in drplan.cluster.api.get(path)["items"] if item["regarding"]["name"] == name]
        return sorted(events, key=lambda item: str(item["eventTime"]))

    drplan.wait(lambda: {item["reason"] for item in found()} & {"ExecutionSucceeded", "RevertSucceeded"})
    return [(item["type"], item["reason"], item["note"]) for item in found()]


def test_e1_target_is_marked_although_the_controller_ended_before_it(drplan: Installation) -> None:
    """As left by a crash between a Revert's last status and everything after it, with the next Revert waiting."""
    small_plan(drplan)
    drplan.run("run", "p")
    drplan.wait_unlocked("p")
    unmarked, before = drplan.status("run"), drplan.plan_status("p")
    drplan.take_back("undo", "p", "run")
    drplan.wait_unlocked("p")
    uid = drplan.get("drpe", "undo")["metadata"]["uid"]
    with without_controller(drplan):
        put_status(drplan, "drplanexecutions", "run", unmarked)
        holder = {"name": "undo", "namespace": drplan.namespace, "uid": uid}
        put_status(drplan, "drplans", "p", {**before, "currentExecution": holder})
        drplan.apply(revert("again", "p", "run"))
    status = drplan.wait_phase("again", "Failed")
    assert status["message"] == f"execution {drplan.namespace}/run was already reverted by undo"
    assert drplan.status("run")["revertedBy"] == "undo"
    after = drplan.wait_unlocked("p")
    assert (after["phase"], after["lastExecutionRef"]) == ("Ready", "undo")
    assert [call.method for call in drplan.site.calls(f"/{drplan.namespace}/p/undo")] == ["DELETE"]
