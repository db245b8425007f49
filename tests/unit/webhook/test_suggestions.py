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
    told = response["status"]["message"]
    assert told.startswith(f"validation failed: [{message}] (")
    assert told.endswith(("] (P6)", "] (E2)", "] (E5)"))
    assert [cause["message"] for cause in response["status"]["details"]["causes"]] == [message]


async def test_a_look_up_of_names_that_fails_changes_nothing_of_the_refusal() -> None:
    failing = cluster(failing={"names": unavailable("failed to list drworkflows")})
    response = await Admission(failing).validate("CREATE", plan_json(stage("s", "switch-ovr")))
    assert (response["status"]["code"], response["status"]["message"]) == (403, f"validation failed: [{PLAIN}] (P6)")


async def test_a_look_up_of_names_that_hangs_changes_nothing_of_the_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.suggestions.SUGGESTION_SECONDS", 0.01)
    response = await Admission(cluster(hanging={"names"})).validate("CREATE", plan_json(stage("s", "switch-ovr")))
    assert (response["status"]["code"], response["status"]["message"]) == (403, f"validation failed: [{PLAIN}] (P6)")


@pytest.mark.parametrize(
    ("kind", "new"),
    [
        ("DRWorkflow", plan_json(stage("s", "switch-ovr"))),
        ("DRPlan", execution_json(planRef="failovr")),
        ("DRPlanExecution", execution_json(planRef="failover", operationType="Revert", revertExecutionRef="run1")),
    ],
)
async def test_names_are_told_only_to_who_may_list_them(kind: str, new: Json) -> None:
    fake = cluster(unlisted={(kind, "default")})
    told = (await Admission(fake).validate("CREATE", new))["status"]["message"]
    assert "not found" in told
    assert "did you mean" not in told
    assert "names" not in fake.asked
    for trouble in ({"failing": {"listable": unavailable("x")}}, {"hanging": {"listable"}}):
        told = (await Admission(cluster(**trouble)).validate("CREATE", new))["status"]["message"]
        assert "did you mean" not in told


RUNNING = execution_json("secret-run", planRef="failover", status={"phase": "Running"})


async def test_the_execution_that_runs_is_named_only_to_who_may_list_executions() -> None:
    def fake(*unlisted: tuple[str, str]) -> FakeLookups:
        return FakeLookups([], [plan_json(name="failover")], [RUNNING], unlisted=set(unlisted))

    new, old = execution_json(planRef="failover"), plan_json(name="failover")
    for operation, sent in (("CREATE", (new,)), ("DELETE", (None, old))):
        told = (await Admission(fake()).validate(operation, *sent))["status"]["message"]
        assert "default/secret-run" in told
        hidden = await Admission(fake(("DRPlanExecution", "default"))).validate(operation, *sent)
        assert hidden["allowed"] is False
        assert "running execution" in hidden["status"]["message"]
        assert "secret-run" not in str(hidden)


async def test_plans_that_use_a_workflow_are_named_only_to_who_may_list_them() -> None:
    plans = [plan_json(stage("s", OTHER), name=f"p-{ns}", namespace=ns) for ns in ("default", "secret", "hidden")]
    workflow = workflow_json(name="switch-ovr", namespace="other")
    fake = FakeLookups([], plans, unlisted={("DRPlan", "secret"), ("DRPlan", "hidden")})
    refused = await Admission(fake).validate("DELETE", None, workflow)
    assert refused["status"]["message"].endswith("[default/p-default 2 that you may not list]")
    assert "secret" not in str(refused)
    fake.unlisted.add(("DRPlan", "default"))
    refused = await Admission(fake).validate("DELETE", None, workflow)
    assert refused["status"]["message"].endswith("[3 that you may not list]")


async def test_names_are_listed_only_for_refusals_about_references() -> None:
    fake = cluster()
    await Admission(fake).validate("CREATE", plan_json(stage("s", "switch-over")))
    await Admission(fake).validate("CREATE", plan_json(stage("", "switch-over")))
    assert "names" not in fake.asked
