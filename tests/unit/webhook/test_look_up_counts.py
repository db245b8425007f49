"""How many times a review asks the cluster: counts that a busy machine cannot change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.unit.rules.builders import execution_json, http, plan_json, stage, workflow_json
from tests.unit.webhook.client import Admission
from tests.unit.webhook.fakes import FakeLookups

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
        ("CREATE", plan_json(stage("s", FAR), stage("t", FAR)), None, {"may_read_workflow": 1, "workflows": 1}),
        ("UPDATE", {**PLAN, "metadata": {**PLAN["metadata"], "labels": {"a": "b"}}}, PLAN, {}),
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
