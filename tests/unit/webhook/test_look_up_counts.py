"""How many times a review asks the cluster: counts that a busy machine cannot change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.models.workflow import DRWorkflow
from app.rules.actions.known import Places
from app.rules.findings import Report
from app.rules.workflow import check_workflow
from tests.unit.rules.builders import execution_json, http, plan_json, stage, workflow_json
from tests.unit.webhook.client import Admission
from tests.unit.webhook.fakes import FakeLookups
from webhook import handlers

Json = dict[str, Any]

STORED = [workflow_json(http(), name="w"), workflow_json(http(), name="v")]
PLAN = plan_json(stage("s", "w", "v"), stage("t", "w", "v"))
FAR = {"workflowRef": {"name": "x", "namespace": "other"}}


@pytest.mark.parametrize(
    ("operation", "new", "old", "expected"),
    [
        ("CREATE", workflow_json(http()), None, {}),
        ("UPDATE", workflow_json(http("b")), workflow_json(http()), {}),
        ("DELETE", None, workflow_json(http(), name="unused"), {"plans": 1}),
        ("CREATE", PLAN, None, {"workflows": 1}),
        ("CREATE", plan_json(stage("s", FAR), stage("t", FAR)), None, {"may": 1, "workflows": 1}),
        ("UPDATE", {**PLAN, "metadata": {**PLAN["metadata"], "labels": {"a": "b"}}}, PLAN, {}),
        ("UPDATE", plan_json(stage("s", "w")), PLAN, {"workflows": 1}),
        ("UPDATE", plan_json(stage("s", "w"), stage("s", "w")), PLAN, {"workflows": 2}),
        ("DELETE", None, PLAN, {"executions_of": 1}),
        ("CREATE", execution_json("n"), None, {"plan": 1, "workflows": 1, "executions_of": 1}),
        ("DELETE", None, execution_json("n"), {}),
    ],
)
async def test_a_review_asks_the_cluster_no_more_than_this(
    operation: str, new: Json | None, old: Json | None, expected: dict[str, int]
) -> None:
    lookups = FakeLookups(STORED, [PLAN])
    await Admission(lookups).validate(operation, new, old)
    assert Counter(lookups.asked) == expected


@pytest.mark.parametrize(
    ("new", "judged"), [(workflow_json(http("b")), ["b"]), (workflow_json(http(timeout="x")), ["a", "a"])]
)
async def test_the_stored_workflow_is_judged_only_when_the_new_one_has_errors(
    new: Json, judged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def noting(workflow: DRWorkflow, places: Places = (), *, own_namespace: str = "") -> Report:
        seen.append(workflow.spec.actions[0].name)
        return check_workflow(workflow, places, own_namespace=own_namespace)

    monkeypatch.setattr(handlers, "check_workflow", noting)
    await Admission(FakeLookups()).validate("UPDATE", new, workflow_json(http()))
    assert seen == judged


async def test_reviews_go_past_the_router_and_other_requests_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    admission, routed = Admission(FakeLookups()), []
    route = admission.app.app.router.app

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        routed.append(scope["path"])
        await route(scope, receive, send)

    monkeypatch.setattr(admission.app.app.router, "middleware_stack", noting)
    assert (await admission.validate("CREATE", workflow_json(http())))["allowed"] is True
    assert (await admission.post("/elsewhere", b"{}")).status_code == 404
    assert routed == ["/elsewhere"]
