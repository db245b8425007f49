"""Kubernetes Events of runs (contract: lifecycle 11; decision O1)."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from tests.e2e.support import create, events_of, merge
from tests.support.installation import Installation, execution, http_action, plan, revert, stage, workflow
from tests.support.site import Answer

Events = list[tuple[str, str, str]]


def _until(drplan: Installation, name: str, last: str) -> Events:
    """The events of an execution, once the one with reason `last` is there. Durations and times are cut out."""
    drplan.wait(lambda: any(reason == last for _, reason, _ in events_of(drplan, name)), message=f"no event {last}")
    found = events_of(drplan, name)
    return [
        (type_, reason, re.sub(r" at [0-9T:-]+Z", " at T", re.sub(r"duration=[^)]+", "duration=T", note)))
        for type_, reason, note in found
    ]


def test_run_that_succeeds_after_a_retry_and_its_revert(drplan: Installation) -> None:
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.script(f"/{ns}/x", Answer(status=503), Answer())
    undo = {"http": {"url": f"{url}/undo"}}
    action = http_action("x", f"{url}/x", retryPolicy={"interval": "300ms"}, rollback=undo)
    create(drplan, workflow("w", [action]), plan("p", [stage("s", "w", parallel=True)]), execution("e", "p"))
    drplan.wait_phase("e", "Succeeded")
    assert Counter(_until(drplan, "e", "ExecutionSucceeded")) == Counter(
        [
            ("Normal", "ExecutionStarted", "Started executing plan p (operation=Execute)"),
            ("Normal", "StageStarted", "Started executing stage s (mode=parallel)"),
            ("Normal", "WorkflowStarted", f"Started executing workflow {ns}/w"),
            ("Normal", "ActionStarted", "Started executing action x (type=HTTP)"),
            ("Warning", "ActionRetrying", "Action x retrying (attempt=2) at T: unexpected status code: 503"),
            ("Normal", "ActionSucceeded", "Action x succeeded"),
            ("Normal", "WorkflowSucceeded", f"Workflow {ns}/w succeeded (duration=T)"),
            ("Normal", "StageSucceeded", "Stage s succeeded (duration=T)"),
            ("Normal", "ExecutionSucceeded", "Execution succeeded: All stages completed successfully"),
        ]
    )
    drplan.wait_unlocked("p")
    create(drplan, revert("r", "p", "e"))
    status = drplan.wait_phase("r", "Succeeded")
    reverted = _until(drplan, "r", "RevertSucceeded")
    assert ("Normal", "RevertStarted", "Started reverting plan p") in reverted
    assert ("Normal", "RevertSucceeded", f"Revert succeeded: {status['message']}") in reverted


def _told_by_kubectl(drplan: Installation, *command: str) -> list[tuple[str, str]]:
    """Reason and message of each Event that kubectl prints, in its order."""
    printed = drplan.kubectl(*command).stdout.rpartition("Events:")[2].splitlines()
    found = [re.search(r"\b(Normal|Warning)\s+([A-Z]\w+)\s.*?([A-Z][a-z]+ .*)$", line) for line in printed]
    return [(match[2], match[3]) for match in found if match]


def test_kubectl_tells_the_story_of_a_run_in_order_and_its_retries_once(drplan: Installation) -> None:
    """A run with more Events than kubectl sorts stably, one action of it repeated until somebody repairs its target."""
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    mark = drplan.cluster.audit.mark()
    words = '{"error":"pool has no healthy members"}'
    drplan.site.script(f"/{ns}/pool", Answer(status=503, body=words))
    policy = {"limit": 100000, "interval": "100ms", "backoffMultiplier": "1.0"}
    pool = http_action("same", f"{url}/pool", retryPolicy=policy)
    create(
        drplan,
        workflow("w", [http_action("same", f"{url}/x"), http_action("b", f"{url}/x")]),
        workflow("v", [pool, http_action("after", f"{url}/x")]),
        plan("p", [stage("one", "w"), stage("two", "v", dependsOn=["one"]), stage("three", "w", dependsOn=["two"])]),
        execution("e", "p"),
    )
    told = re.compile(
        rf"stage two, action same of workflow {ns}/v: attempt ([0-9]+) (failed, the next try is at [0-9T:-]+Z|"
        rf"is under way, attempt [0-9]+ failed): unexpected status code: 503: {re.escape(words)}"
    )

    def attempts() -> int:
        found = told.fullmatch(drplan.status("e").get("message", ""))
        return int(found[1]) if found else 0

    drplan.wait(lambda: attempts() > 25)
    assert told.search(drplan.kubectl("get", "drpe", "e").stdout), "without -o wide"
    drplan.site.script(f"/{ns}/pool", Answer())
    assert drplan.wait_phase("e", "Succeeded")["message"] == "All stages completed successfully"
    repeats = len(drplan.site.calls(f"/{ns}/pool")) - 1
    path = f"/apis/events.k8s.io/v1/namespaces/{ns}/events?fieldSelector=reason=ActionRetrying"

    def series() -> dict[str, Any]:
        [event] = drplan.cluster.api.request("GET", path)["items"]
        return dict(event)

    _until(drplan, "e", "ExecutionSucceeded")
    drplan.wait(lambda: series().get("series", {}).get("count") == repeats, message="not all repeats are counted")
    event = series()
    assert event["type"] == "Warning"
    assert event["note"].startswith(f"Action same retrying (attempt={repeats + 1}) at ")
    assert event["note"].endswith(words)
    asked = drplan.cluster.audit.since(mark, user=drplan.cluster.plane.identity("controller").username)
    mine = [each for each in asked if each.resource == "events" and each.name == event["metadata"]["name"]]
    assert len(mine) <= repeats / 3, "most repeats travel together"
    first = [
        ("ExecutionStarted", "Started executing plan p (operation=Execute)"),
        ("StageStarted", "Started executing stage one (mode=sequential)"),
        ("WorkflowStarted", f"Started executing workflow {ns}/w"),
        ("ActionStarted", "Started executing action same (type=HTTP)"),
        ("ActionSucceeded", "Action same succeeded"),
    ]
    after = ["ActionStarted", "ActionRetrying", "ActionSucceeded", "ActionStarted", "ActionSucceeded"]
    for command in (("describe", "drpe", "e"), ("events", "--for", "drpe/e")):
        story = _told_by_kubectl(drplan, *command)
        assert story[:5] == first, command
        assert story[-1] == ("ExecutionSucceeded", "Execution succeeded: All stages completed successfully")
        begin = story.index(("WorkflowStarted", f"Started executing workflow {ns}/v"))
        assert [reason for reason, _ in story[begin + 1 : begin + 6]] == after, command
        assert story == [(reason, note) for _, reason, note in events_of(drplan, "e")], command
        assert len(story) == 27, f"{command}: equal words of three actions and of two uses of a workflow do not merge"
    described = drplan.kubectl("describe", "drpe", "e").stdout
    assert f"(x{repeats} over " in described
    assert "drplan-controller" in described


def test_run_that_fails(drplan: Installation) -> None:
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.script(f"/{ns}/x", Answer(status=404))
    create(
        drplan,
        workflow("w", [http_action("x", f"{url}/x")]),
        plan("p", [stage("s", "w"), stage("t", "w", dependsOn=["s"])]),
        execution("e", "p"),
    )
    drplan.wait_phase("e", "Failed")
    found = _until(drplan, "e", "ExecutionFailed")
    cause = "unexpected status code: 404"
    for event in (
        ("Warning", "ActionFailed", f"Action x failed: {cause}"),
        ("Warning", "WorkflowFailed", f"Workflow {ns}/w failed: action x failed: {cause}"),
        ("Warning", "StageFailed", f"Stage s failed: workflow {ns}/w failed: action x failed: {cause}"),
        (
            "Warning",
            "ExecutionFailed",
            f"Execution failed: Stage s failed: workflow {ns}/w failed: action x failed: {cause}",
        ),
    ):
        assert event in found
    assert not any(reason == "StageStarted" and "stage t" in note for _, reason, note in found)


def test_event_says_that_an_execution_could_not_start(drplan: Installation) -> None:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "namespace": drplan.namespace}
    params = [{"name": "x", "valueFrom": {"manifestRef": {**reference, "jsonPath": "{.data.x}"}}}]
    create(
        drplan,
        workflow("w", [http_action("x", f"{drplan.site.url}/{drplan.namespace}/$(params.x)")]),
        plan("p", [stage("s", "w")]),
        execution("e", "p", params=params),
    )
    status = drplan.wait_phase("e", "Failed")
    assert ("Warning", "ExecutionFailed", f"Execution failed: {status['message']}") in _until(
        drplan, "e", "ExecutionFailed"
    )


def test_ordinary_events_of_a_long_run_are_bounded_and_its_end_is_not_lost(drplan: Installation) -> None:
    """At most 50 ordinary ones; starts and ends of run and stages, failures and retries are written in any case."""
    url = f"{drplan.site.url}/{drplan.namespace}/x"
    actions = [http_action(f"a{number}", url) for number in range(40)]
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.wait_phase("e", "Succeeded")
    found = _until(drplan, "e", "ExecutionSucceeded")
    reasons = Counter(reason for _, reason, _ in found)
    ordinary = sum(
        reasons[reason] for reason in ("ActionStarted", "ActionSucceeded", "WorkflowStarted", "WorkflowSucceeded")
    )
    assert 1 <= ordinary <= 50
    for reason in ("ExecutionStarted", "StageStarted", "StageSucceeded", "ExecutionSucceeded"):
        assert reasons[reason] == 1


def test_foreign_change_announces_nothing_twice(drplan: Installation) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}/x"
    create(drplan, workflow("w", [http_action("x", url)]), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.wait_phase("e", "Succeeded")
    before = Counter(_until(drplan, "e", "ExecutionSucceeded"))
    merge(drplan, "DRPlanExecution", "e", {"metadata": {"labels": {"touched": "yes"}}})
    drplan.wait_unlocked("p")
    drplan.run("next", "p")
    assert Counter(_until(drplan, "e", "ExecutionSucceeded")) == before
