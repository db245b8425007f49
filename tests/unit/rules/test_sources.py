"""References of parameters: what the rules find, and what a run then cannot resolve."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.kube.resources import CONFIG_MAPS, SECRETS, Resource
from app.models.execution import DRPlanExecution
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from app.rules.execution import Surroundings, check_execution
from app.rules.parameters.label_selector import selector_problem
from app.rules.plan import check_plan
from controller.references import ParameterError
from controller.start.parameters import resolve_run
from tests.unit.rules.builders import execution_json, http, plan_json, stage, workflow_json

Json = dict[str, Any]
NAMES = "abc"


class AnyObject:
    """A reader that finds every object."""

    async def resource_for(self, api_version: str, kind: str) -> Resource:
        return SECRETS if kind == "Secret" else CONFIG_MAPS

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Json:
        return {"metadata": {}, "data": {"v": "read"}}

    async def pages(
        self, resource: Resource, *, namespace: str | None = None, label_selector: str | None = None
    ) -> AsyncGenerator[list[Json]]:
        yield [{"metadata": {}, "data": {"v": "read"}}]


def read(parameter: str, text: str, member: str = "name", kind: str = "ConfigMap") -> Json:
    reference = {"apiVersion": "v1", "kind": kind, "namespace": "n", "jsonPath": "{.data.v}", member: text}
    return {"name": parameter, "valueFrom": {"manifestRef": reference}}


def _references(name: str) -> st.SearchStrategy[Json]:
    """References of a parameter that take the others."""
    others = [f"x-$(params.{other})" for other in NAMES if other != name]
    texts = st.sampled_from([*others, "".join(others), "$(mode)", "x"])
    members, kinds = st.sampled_from(["name", "namespace", "labelSelector"]), st.sampled_from(["ConfigMap", "Secret"])
    return st.builds(read, st.just(name), texts, members, kinds)


def _parameters(name: str) -> st.SearchStrategy[Json | None]:
    plain = st.sampled_from([{"name": name}, {"name": name, "value": "plain"}])
    return st.one_of(st.none(), st.none(), plain, _references(name))


LEVEL = st.tuples(*map(_parameters, NAMES)).map(lambda level: [parameter for parameter in level if parameter])

LEVELS = {
    r'resolving plan global params: resolving param "(.)"': "plan",
    r'resolving execution params: resolving param "(.)"': "execution",
    r'resolving params of workflow default/w: resolving param "(.)"': "workflow",
    r'resolving params of workflow default/w in stage "s": resolving param "(.)"': "stage",
    r"globalParams\[\d\]\((.)\) uses": "plan",
    r"params\[\d\]\((.)\) uses": "execution",
    r"stage\[0\] 's' workflow\[\d\]: parameter '(.)' of workflow default/w uses": "workflow",
    r"stage\[0\] 's' workflow\[\d\]: params\[\d\]\((.)\) uses": "stage",
}


def _about(texts: Iterable[str]) -> set[tuple[str, str]]:
    """The levels and names of the parameters that texts of runs or of rules are about."""
    found = [(level, match[1]) for text in texts for form, level in LEVELS.items() if (match := re.match(form, text))]
    assert len(found) == len(list(texts))
    return set(found)


@settings(max_examples=400)
@example([read("b", "$(params.a)")], [], [], [read("a", "x")])
@example([read("b", "x")], [], [read("c", "$(params.b)")], [])
@example([read("b", "$(params.a)")], [read("a", "x")], [read("c", "$(params.a)")], [])
@given(LEVEL, LEVEL, LEVEL, LEVEL)
async def test_the_rules_refuse_exactly_the_references_that_a_run_cannot_resolve(
    declared: list[Json], plan_level: list[Json], stage_level: list[Json], own: list[Json]
) -> None:
    workflow = DRWorkflow.from_wire(workflow_json(http(), parameters=declared))
    uses = [{"workflowRef": {"name": "w"}, "params": stage_level}, {"workflowRef": {"name": "w"}}]
    plan = DRPlan.from_wire(plan_json(stage("s", *uses), globalParams=plan_level))
    execution = DRPlanExecution.from_wire(execution_json(params=own))
    workflows = {("default", "w"): workflow}
    problems: tuple[str, ...] = ()
    try:
        await resolve_run(plan, workflows, execution, AnyObject())
    except ParameterError as error:
        problems = error.problems
    found = check_execution(execution, Surroundings(plan, workflows=workflows, fixed_references=False)).errors
    assert {each.rule for each in found} <= {"E24"}
    told = _about([each.message for each in found])
    assert bool(told) == bool(problems)
    assert told <= _about(problems), "what fails because another reference fails is not told again"


def test_findings_name_the_member_of_the_reference() -> None:
    own = [read("a", "$(params.b)", "namespace")]
    execution = DRPlanExecution.from_wire(execution_json(params=own))
    plan = DRPlan.from_wire(plan_json(globalParams=[read("c", "$(params.d)")]))
    errors = check_execution(execution, Surroundings(plan, fixed_references=False)).errors
    assert [error.path for error in errors] == ["spec.params", "spec.params[0].valueFrom.manifestRef.namespace"]
    assert all(error.runnable for error in errors)
    (notice,) = check_plan(plan, {}).notices
    assert (notice.rule, notice.path) == ("N8", "spec.globalParams[0].valueFrom.manifestRef.name")


def test_a_parameter_that_only_a_reference_takes_is_no_stray() -> None:
    declared = DRWorkflow.from_wire(workflow_json(http(), parameters=[{"name": "site", "default": "b"}]))
    levels = [{"name": "sites", "value": "x"}, read("r", "$(params.sites)")]
    for spec in (
        {"globalParams": levels},
        {"globalParams": levels[:1], "stages": [stage("s", {"workflowRef": {"name": "w"}, "params": levels[1:]})]},
    ):
        base = plan_json()
        plan = DRPlan.from_wire({**base, "spec": {**base["spec"], **spec}})
        assert check_plan(plan, {("default", "w"): declared}).warnings == ()


@pytest.mark.parametrize(
    "text",
    ["", " ", "a", "!a", "a=b", "a==b", "a!=", "a in (b, c)", "a in ()", "a notin (,)", "a>1, x.y/b<2", "a = b , ! c"],
)
def test_label_selectors_that_the_api_server_takes(text: str) -> None:
    assert selector_problem(text) == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,", '"" is no requirement such as a=b, a!=b, a, !a or a in (b,c)'),
        ("a=b=c", '"a=b=c" is no requirement such as a=b, a!=b, a, !a or a in (b,c)'),
        ("a in b", '"a in b" is no requirement such as a=b, a!=b, a, !a or a in (b,c)'),
        ("-a", '"-a" is no key of a label'),
        ("X/a", '"X/a" is no key of a label'),
        ("a=b/c", '"b/c" is no value of a label'),
        (f"a={'b' * 64}", f'"{"b" * 64}" is no value of a label'),
        ("a>-1", '"-1" is no whole number'),
        ("a>b", '"b" is no whole number'),
    ],
)
def test_label_selectors_that_it_refuses(text: str, problem: str) -> None:
    assert selector_problem(text) == problem


def test_a_long_selector_takes_no_long_time() -> None:
    for text in (
        "a=" + " " * 1_000_000 + "(",
        "a" * 1_000_000 + "(",
        "a in (" + "," * 1_000_000,
        "a.b" * 500_000 + "/",
    ):
        assert selector_problem(text)
