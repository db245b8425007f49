"""What workflows need of parameters: worked out once for each, and what was probably meant by a name without value."""

from __future__ import annotations

from typing import Any

import pytest

from app.cel.language import CelExpression, compile_expression
from app.models.workflow import DRWorkflow
from app.rules.actions import conditions
from app.rules.execution import Surroundings, check_execution
from app.rules.parameters import needs
from app.rules.parameters.declared import Level
from app.rules.plan import check_plan
from tests.unit.rules.builders import execution, http, plan, stage, workflow

Json = dict[str, Any]
STAGES = [stage(f"s{number}", "a", "b", "c") for number in range(12)]
USE = "stage[0] 's' workflow[0]: "


def test_the_needs_of_a_workflow_are_worked_out_once_however_often_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def noting(used: DRWorkflow, _conditions: object) -> needs.Needs:
        seen.append(used.metadata.name)
        return needs.Needs(used, Level(()), (), frozenset(), 0, any_name=False)

    monkeypatch.setattr(needs, "_needs", noting)
    known = {("default", name): workflow(name=name) for name in ("a", "b", "c")}
    check_plan(plan(*STAGES), known)
    assert seen == ["a", "b", "c"]
    check_execution(execution(), Surroundings(plan(*STAGES), None, known))
    assert seen == ["a", "b", "c"] * 2


@pytest.mark.parametrize(
    ("used", "given", "missing"),
    [
        (
            workflow(http(http={"url": "$(params.reigon)"})),
            [{"name": "region", "value": "x"}],
            "action 'a' of workflow default/w uses $(params.reigon), which has no value; {}; did you mean 'region'?",
        ),
        (
            workflow(http(when="params.reigon == 'x'")),
            [{"name": "region", "value": "x"}],
            "action 'a' of workflow default/w uses params.reigon in its when, which has no value; {}; "
            "did you mean 'region'?",
        ),
        (
            workflow(parameters=[{"name": "region", "required": True}]),
            [{"name": "reigon", "value": "x"}],
            "parameter 'region' of workflow default/w is required and has no value; {}; "
            "'reigon' is given and not declared, did you mean 'region'?",
        ),
        (
            workflow(parameters=[{"name": "region-1", "required": True}, {"name": "region-2", "default": "x"}]),
            [],
            "parameter 'region-1' of workflow default/w is required and has no value; {}",
        ),
        (
            workflow(http(http={"url": "$(params.reigon)"})),
            [{"name": "other", "value": "x"}],
            "action 'a' of workflow default/w uses $(params.reigon), which has no value; {}",
        ),
    ],
)
def test_a_near_name_is_told(used: DRWorkflow, given: list[Json], missing: str) -> None:
    known = {("default", "w"): used}
    assert check_plan(plan(globalParams=given), known).warnings == (
        USE + missing.format("every execution must give one"),
    )
    report = check_execution(execution(params=given), Surroundings(plan(), None, known))
    assert [(found.rule, found.message) for found in report.errors] == [
        ("E24", USE + missing.format("give one in spec.params"))
    ]


def test_only_so_many_conditions_of_a_plan_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def noting(text: str) -> CelExpression:
        compiled.append(text)
        return compile_expression(text)

    monkeypatch.setattr(conditions, "compile_expression", noting)

    def hostile(name: str) -> DRWorkflow:
        return workflow(*[http(f"a{n}", when=f"planName != '{name}{n}{'x' * 900}'") for n in range(10)], name=name)

    known = {("default", f"w{n}"): hostile(f"w{n}") for n in range(20)}
    report = check_plan(plan(stage("s", *(f"w{n}" for n in range(20)))), known)
    assert report.errors == ()
    assert needs.MOST_CONDITIONS * 0.9 < sum(map(len, compiled)) <= needs.MOST_CONDITIONS


def test_a_near_name_is_told_for_rollbacks() -> None:
    used = workflow(http(rollback={"http": {"url": "$(params.reigon)"}}), parameters=[{"name": "region"}])
    assert check_plan(plan(), {("default", "w"): used}).warnings == (
        f"{USE}the rollback of action 'a' of workflow default/w uses $(params.reigon), which has no value; "
        "the execution must give one, or its Revert; did you mean 'region'?",
    )


def strays(used: list[DRWorkflow], *, params: list[Json], **spec: Any) -> list[str]:
    """The notices N17 about an execution's parameters."""
    known = {("default", each.metadata.name): each for each in used}
    stages = [stage("s", *(each.metadata.name for each in used))]
    report = check_execution(execution(params=params), Surroundings(plan(*stages, **spec), None, known))
    return [found.message for found in report.notices if found.rule == "N17"]


SITE = workflow(name="a", parameters=[{"name": "site", "default": "b"}])
STRAY = [{"name": "sitte", "value": "c"}]


def test_a_parameter_is_no_stray_when_another_workflow_takes_it() -> None:
    told = ["params[0]: no workflow takes parameter 'sitte'; did you mean 'site'?"]
    assert strays([SITE], params=STRAY) == told
    assert strays([SITE, workflow(http(http={"url": "$(params.sitte)"}), name="b")], params=STRAY) == []
    assert strays([SITE, workflow(http(when="params.sitte == 'x'"), name="b")], params=STRAY) == []
    assert strays([SITE, workflow(http(when="params[mode] == 'x'"), name="b")], params=STRAY) == []
    rollback = {"http": {"url": "$(params.sitte)"}}
    assert strays([SITE, workflow(http(rollback=rollback), name="b")], params=STRAY) == []


def test_only_a_name_whose_value_is_not_replaced_is_suggested() -> None:
    assert strays([SITE], params=[*STRAY, {"name": "site", "value": "d"}]) == []
    assert strays([SITE], params=[{"name": "elsewhere", "value": "c"}]) == []
    asks = workflow(http(http={"url": "$(params.region)"}), name="a")
    told = ["params[0]: no workflow takes parameter 'regoin'; did you mean 'region'?"]
    given = [{"name": "regoin", "value": "c"}]
    assert strays([asks], params=given, globalParams=[{"name": "region", "value": "d"}]) == told
    assert strays([asks], params=given) == []
