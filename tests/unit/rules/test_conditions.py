"""What is known of conditions before a run: which parameters they need, and whether an action takes part at all."""

from __future__ import annotations

from typing import Any

import pytest

from app.models.actions import Action
from app.models.common import Parameter
from app.models.phases import Mode
from app.rules.actions.conditions import MOST_TOGETHER, takes_part
from app.rules.execution import Surroundings, check_execution
from app.rules.plan import check_plan
from app.rules.workflow import check_workflow
from tests.unit.rules.builders import execution, http, plan, workflow

READ = {"apiVersion": "v1", "namespace": "n", "name": "x", "jsonPath": "{.data.x}"}
FROM_SECRET = {"manifestRef": {**READ, "kind": "Secret"}}
FROM_MAP = {"manifestRef": {**READ, "kind": "ConfigMap"}}
WHERE = "stage[0] 's' workflow[0]: action 'a' of workflow default/w uses "


def refusals(
    when: str, params: list[dict[str, Any]] | None = None, url: str = "http://x.invalid/", **spec: Any
) -> list[str]:
    """What an execution is refused for, with one action of this condition; `params` are the execution's."""
    around = Surroundings(plan=plan(), workflows={("default", "w"): workflow(http(when=when, http={"url": url}))})
    return [found.message for found in check_execution(execution(params=params or [], **spec), around).errors]


@pytest.mark.parametrize(
    "when", ["params.x == '1'", "params['x'] == '1'", "mode == 'install' && params.x == '1'", "params.x in ['1']"]
)
def test_a_parameter_of_a_condition_needs_a_value(when: str) -> None:
    assert refusals(when) == [f"{WHERE}params.x in its when, which has no value; give one in spec.params"]
    assert refusals(when, [{"name": "x", "value": "1"}]) == []


@pytest.mark.parametrize(
    "when",
    [
        "has(params.x)",
        "has(params.x) && params.x == '1'",
        "mode == 'delete' && params.x == '1'",
        "params.mode == 'install'",
    ],
)
def test_what_is_asked_for_first_or_does_not_matter_needs_none(when: str) -> None:
    assert refusals(when) == []


def test_an_action_that_surely_stays_out_needs_nothing() -> None:
    url = "http://$(params.zone).invalid/"
    assert refusals("has(params.zone)", url=url) == []
    assert refusals("has(params.zone) && outputs.a.body == ''", url=url) == []
    assert refusals("mode != 'install'", url=url, mode="Install") == []
    assert len(refusals("mode != 'install'", url=url, mode="Upgrade")) == 1
    assert len(refusals("!has(params.zone)", url=url)) == 1
    assert len(refusals("planName == 'x'", url=url)) == 1


@pytest.mark.parametrize("when", ["params.x == '1'", "has(params.x)"])
def test_a_condition_on_a_secret_is_refused(when: str) -> None:
    told = "params.x in its when, which has no value but one in a Secret, and conditions cannot read those"
    assert refusals(when, [{"name": "x", "valueFrom": FROM_SECRET}]) == [f"{WHERE}{told}; give one in spec.params"]
    assert refusals(when, [{"name": "x", "valueFrom": FROM_MAP}]) == []


def test_a_plan_only_warns() -> None:
    report = check_plan(plan(), {("default", "w"): workflow(http(when="params.x == '1'"))})
    assert report.ok
    assert f"{WHERE}params.x in its when, which has no value; every execution must give one" in report.warnings


@pytest.mark.parametrize(
    ("when", "given", "modes"),
    [
        ("mode != 'install'", None, {Mode.UPGRADE, Mode.DELETE, Mode.ROLLBACK}),
        ("params.x == '1'", None, set(Mode)),
        ("params.x == '1'", {"x": "2"}, set()),
        ("params.x == '1' || mode == 'delete'", {"x": "2"}, {Mode.DELETE}),
        ("outputs.b.body == '' || mode == 'delete'", {}, set(Mode)),
        ("has(outputs.b)", {}, set(Mode)),
        ("params.all(k, k == '')", {"x": "2"}, set(Mode)),
        ("params.x.contains('y')", {"x": "z" * 5000}, set(Mode)),
        ("nonsense +", {}, set(Mode)),
    ],
)
def test_takes_part(when: str, given: dict[str, str] | None, modes: set[Mode]) -> None:
    action = Action.from_wire(http(when=when))
    values = None if given is None else {n: Parameter(name=n, value=v) for n, v in given.items()}
    assert {mode for mode in Mode if takes_part(action, mode, values)} == modes


def test_many_long_conditions_are_refused_before_they_are_compiled() -> None:
    several = [http(f"a{n}", when=f"planName != '{n:04}{'x' * 900}'") for n in range(MOST_TOGETHER // 900)]
    report = check_workflow(workflow(*several))
    assert {found.rule for found in report.errors} == {"W24"}
    assert "the conditions of the workflow have" in report.errors[0].message
    assert report.stoppers == (), "what is stored still runs"
    same = [http(f"a{n}", when=f"planName != '{'x' * 900}'") for n in range(MOST_TOGETHER // 900)]
    assert check_workflow(workflow(*same)).ok
    of_modes = [http(f"m{n}", when="mode == install" + " " * n) for n in range(500)]
    assert check_workflow(workflow(*several, *of_modes)).errors == report.errors
    assert check_workflow(workflow(*of_modes)).ok
