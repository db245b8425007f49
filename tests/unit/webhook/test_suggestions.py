"""Near names in refusals of references to objects that do not exist."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rules.builders import execution_json, plan_json, stage, workflow_json
from tests.unit.webhook.client import Admission
from tests.unit.webhook.fakes import FakeLookups, unavailable

Json = dict[str, Any]
OTHER = {"workflowRef": {"name": "switch-ovr", "namespace": "other"}}
PLAIN = "stage[0] 's' workflow[0]: workflow default/switch-ovr not found"


def cluster(**members: Any) -> FakeLookups:
    return FakeLookups(
        [workflow_json(name="switch-over"), workflow_json(name="switch-over", namespace="other")],
        [plan_json(name="failover")],
        [execution_json("run-1", planRef="failover", status={"phase": "Succeeded"})],
        **members,
    )


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (plan_json(stage("s", "switch-ovr")), f"{PLAIN}; did you mean 'switch-over'?"),
        (plan_json(stage("s", "else")), "stage[0] 's' workflow[0]: workflow default/else not found"),
        (plan_json(stage("s", OTHER)), "stage[0] 's' workflow[0]: workflow other/switch-ovr not found"),
        (
            execution_json(planRef="failovr"),
            "plan failovr not found: drplans.dr.bkbcs.tencent.com \"failovr\" not found; did you mean 'failover'?",
        ),
        (
            execution_json(planRef="failover", operationType="Revert", revertExecutionRef="run1"),
            "referenced execution run1 not found: drplanexecutions.dr.bkbcs.tencent.com \"run1\" not found; "
            "did you mean 'run-1'?",
        ),
    ],
)  # fmt: skip
async def test_a_near_name_of_the_own_namespace_ends_the_message(new: Json, message: str) -> None:
    response = await Admission(cluster()).validate("CREATE", new)
    assert response["status"]["message"] == f"validation failed: [{message}]"
    assert [cause["message"] for cause in response["status"]["details"]["causes"]] == [message]


async def test_a_look_up_of_names_that_fails_changes_nothing_of_the_refusal() -> None:
    failing = cluster(failing={"names": unavailable("failed to list drworkflows")})
    response = await Admission(failing).validate("CREATE", plan_json(stage("s", "switch-ovr")))
    assert (response["status"]["code"], response["status"]["message"]) == (403, f"validation failed: [{PLAIN}]")


async def test_a_look_up_of_names_that_hangs_changes_nothing_of_the_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.suggestions.SUGGESTION_SECONDS", 0.01)
    response = await Admission(cluster(hanging={"names"})).validate("CREATE", plan_json(stage("s", "switch-ovr")))
    assert (response["status"]["code"], response["status"]["message"]) == (403, f"validation failed: [{PLAIN}]")


async def test_names_are_listed_only_for_refusals_about_references() -> None:
    fake = cluster()
    await Admission(fake).validate("CREATE", plan_json(stage("s", "switch-over")))
    await Admission(fake).validate("CREATE", plan_json(stage("", "switch-over")))
    assert "names" not in fake.asked
