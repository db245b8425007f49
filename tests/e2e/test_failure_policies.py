"""What one failing action does to the rest of a plan, under every combination of the three policies (decision P4).

The plan: stage `first` runs the workflows `bad` (actions ok, broken, after) and `good` (b1, b2), one after another or
in parallel; `free` is independent of it, `tied` depends on it. In a parallel stage b1 is kept running until `bad` has
failed, so b2 shows whether a running workflow may go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from tests.e2e.support import NO_RETRY, create_together, stage_of
from tests.support.cluster import Cluster
from tests.support.installation import Installation, check_summary, execution, http_action, plan, stage, workflow
from tests.support.site import Answer, Site

pytestmark = pytest.mark.xdist_group("failure-policies")

S, F, K, C = "Succeeded", "Failed", "Skipped", "Cancelled"


@dataclass(frozen=True)
class Case:
    """One combination; an empty stage policy means that the stage has none of its own."""

    workflow: str
    stage: str
    plan: str
    parallel: bool

    @property
    def name(self) -> str:
        return "-".join((self.workflow, self.stage or "none", self.plan, "par" if self.parallel else "seq")).lower()


CASES = [
    Case(*values)
    for values in product(
        ("FailFast", "Continue"), ("", "Stop", "Continue", "FailFast"), ("Stop", "Continue"), (False, True)
    )
]

# (phase, actions) of the workflow `good`, phase of the stages `free` and `tied`,
# by (stage policy, plan policy, parallel). The workflow's own policy has no say in these.
BEYOND: dict[tuple[str, str, bool], tuple[str, str, str, str]] = {
    ("", "Stop", False): (K, K + K, K, K),
    ("", "Stop", True): (C, S + K, K, K),
    ("", "Continue", False): (S, S + S, S, K),
    ("", "Continue", True): (S, S + S, S, K),
    ("Stop", "Stop", False): (K, K + K, K, K),
    ("Stop", "Stop", True): (C, S + K, K, K),
    ("Stop", "Continue", False): (K, K + K, K, K),
    ("Stop", "Continue", True): (C, S + K, K, K),
    ("Continue", "Stop", False): (S, S + S, S, K),
    ("Continue", "Stop", True): (S, S + S, S, K),
    ("Continue", "Continue", False): (S, S + S, S, K),
    ("Continue", "Continue", True): (S, S + S, S, K),
    ("FailFast", "Stop", False): (K, K + K, K, K),
    ("FailFast", "Stop", True): (S, S + S, K, K),
    ("FailFast", "Continue", False): (K, K + K, S, K),
    ("FailFast", "Continue", True): (S, S + S, S, K),
}
# phases of ok, broken, after
WITHIN = {"FailFast": S + F + K, "Continue": S + F + S}


def _objects(case: Case, site: str) -> Iterator[dict[str, Any]]:
    def act(name: str) -> dict[str, Any]:
        return http_action(name, f"{site}/{case.name}/{name}", retryPolicy=NO_RETRY)

    policy = {"failurePolicy": case.stage} if case.stage else {}
    yield workflow(f"bad-{case.name}", [act("ok"), act("broken"), act("after")], failurePolicy=case.workflow)
    yield workflow(f"good-{case.name}", [act("b1"), act("b2")])
    yield plan(
        case.name,
        [
            stage("first", f"bad-{case.name}", f"good-{case.name}", parallel=case.parallel, **policy),
            stage("free", f"one-{case.name}"),
            stage("tied", f"two-{case.name}", dependsOn=["first"]),
        ],
        failurePolicy=case.plan,
    )
    yield workflow(f"one-{case.name}", [act("free")])
    yield workflow(f"two-{case.name}", [act("tied")])


@pytest.fixture(scope="module")
def ran(installed: Cluster, site: Site) -> tuple[Installation, dict[str, dict[str, Any]]]:
    """Every combination, run at the same time; the statuses by name."""
    drplan = Installation(installed, site, installed.namespace("policies"))
    root = f"/{drplan.namespace}"
    for case in CASES:
        site.script(f"{root}/{case.name}/broken", Answer(status=500))
        if case.parallel:
            site.hold(f"{root}/{case.name}/b1")
    objects = [obj for case in CASES for obj in _objects(case, f"{site.url}{root}")]
    objects.sort(key=lambda obj: obj["kind"] == "DRPlan")
    create_together(drplan, objects)
    create_together(drplan, [execution(case.name, case.name) for case in CASES])
    for case in CASES:
        if case.parallel:

            def bad_has_failed(name: str = case.name) -> bool:
                stages = drplan.status(name).get("stageStatuses") or []
                return bool(stages) and stages[0]["workflowExecutions"][0]["phase"] == F

            site.wait_for(f"{root}/{case.name}/b1")
            drplan.wait(bad_has_failed, message=f"workflow bad of {case.name} did not fail")
            site.let_go(f"{root}/{case.name}/b1")
    return drplan, {case.name: drplan.wait_phase(case.name, F) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_failing_action(case: Case, ran: tuple[Installation, dict[str, dict[str, Any]]]) -> None:
    drplan, statuses = ran
    status = statuses[case.name]
    good_phase, good_actions, free, tied = BEYOND[case.stage, case.plan, case.parallel]
    first = stage_of(status, "first")
    bad, good = first["workflowExecutions"]

    assert "".join(action["phase"] for action in bad["actionStatuses"]) == WITHIN[case.workflow]
    assert (bad["phase"], good["phase"]) == (F, good_phase)
    assert "".join(action["phase"] for action in good["actionStatuses"]) == good_actions
    assert [item["phase"] for item in status["stageStatuses"]] == [F, free, tied]
    check_summary(status)

    sent = {path.rpartition("/")[2] for path in drplan.site.count(f"/{drplan.namespace}/{case.name}/")}
    succeeded_or_failed = {
        action["name"]
        for item in status["stageStatuses"]
        for workflow_status in item["workflowExecutions"]
        for action in workflow_status["actionStatuses"]
        if action["phase"] in (S, F)
    }
    assert sent == succeeded_or_failed

    _check_messages(case, status, drplan.namespace)


def _check_messages(case: Case, status: dict[str, Any], namespace: str) -> None:
    first = stage_of(status, "first")
    bad, good = first["workflowExecutions"]
    stops = case.stage == "Stop" or (case.stage in ("", "FailFast") and case.plan == "Stop")
    aborted = case.workflow == "FailFast"
    failure = "action broken failed: unexpected status code: 500"

    assert bad["message"] == (failure if aborted else "One or more actions failed")
    key = f"{namespace}/bad-{case.name}"
    if case.parallel:
        stage_message = failure if aborted else "One or more workflows failed"
    else:
        stage_message = f"workflow {key} failed: {failure}" if aborted else f"workflow {key} failed"
    assert first["message"] == stage_message
    assert status["message"] == (f"Stage first failed: {stage_message}" if stops else "One or more stages failed")

    if aborted:
        after = bad["actionStatuses"][2]
        assert after["message"] == 'Not started: action "broken" failed (failurePolicy FailFast)'
    if good["phase"] == K:
        cause = (
            f"workflow {key} failed (failurePolicy FailFast)"
            if case.stage == "FailFast"
            else 'stage "first" failed (failurePolicy Stop)'
        )
        assert good["message"] == f"Not started: {cause}"
    if good["phase"] == C:
        assert good["message"] == 'stopped after 1 of 2 actions: stage "first" failed (failurePolicy Stop)'
    tied = stage_of(status, "tied")
    assert tied["message"] in (
        'Not started: stage "first" failed (failurePolicy Stop)'
        if stops
        else 'Not started: stage "first" it depends on did not succeed',
    )
    assert tied["workflowExecutions"][0]["actionStatuses"][0]["message"] == tied["message"]
    assert all(node["completionTime"] and node["duration"] for node in status["stageStatuses"])
