"""A parameter without a value is told once, with the places that use it (rules N8, N9, E24)."""

from __future__ import annotations

from typing import Any

import pytest

from app.models.workflow import DRWorkflow
from app.rules.execution import Surroundings, check_execution
from app.rules.parameters import gaps
from app.rules.plan import check_plan
from tests.unit.rules.builders import execution, http, plan, resource, stage, workflow

USE = "stage[0] 's' workflow[0]"
MAP = "{apiVersion: v1, kind: ConfigMap, metadata: {name: $(params.site)}, data: {at: $(params.site)}}"


def _known(*workflows: DRWorkflow) -> dict[tuple[str, str], DRWorkflow | None]:
    return {("default", each.metadata.name): each for each in workflows}


ROUTES = workflow(
    http(http={"url": "http://x/$(params.site)", "body": "{{ .params.site }}"}),
    http("b", when="params.site == 'x'", rollback={"http": {"url": "http://x/$(params.site)"}}),
    resource(MAP, name="c"),
    parameters=[{"name": "site", "required": True}],
)
PARTS = "action 'a', action 'b', action 'c'"
BACK = "rollback of action 'b'"


def test_one_warning_for_a_parameter_however_often_it_is_used() -> None:
    report = check_plan(plan(stage("s", "w"), stage("t", "w")), _known(ROUTES))
    assert [(found.rule, found.path, found.message) for found in report.notices if found.rule in ("N8", "N9")] == [
        (
            "N8",
            "spec.stages[0].workflows[0]",
            f"{USE}: parameter 'site' of workflow default/w is required and has no value; every execution must give "
            f"one; it is also used in {USE} ({PARTS}, {BACK}), stage[1] 't' workflow[0] ({PARTS}, {BACK})",
        )
    ]


def test_one_error_for_a_parameter_that_an_execution_lacks() -> None:
    report = check_execution(execution(), Surroundings(plan(), None, _known(ROUTES)))
    assert [(found.rule, found.path, found.message) for found in report.errors] == [
        (
            "E24",
            "spec.params",
            f"{USE}: parameter 'site' of workflow default/w is required and has no value; give one in spec.params; "
            f"it is also used in {USE} ({PARTS})",
        )
    ]


def test_several_parameters_are_told_one_by_one() -> None:
    used = workflow(
        http(http={"url": "http://$(params.host)/$(params.path)"}), http("b", http={"url": "$(params.host)"})
    )
    texts = check_plan(plan(), _known(used)).warnings
    assert [text.partition(" uses ")[2].partition(",")[0] for text in texts] == ["$(params.host)", "$(params.path)"]


def test_what_only_rollbacks_take_may_come_from_the_execution_or_its_revert() -> None:
    """A Revert has the parameters of the run that it takes back: it need not bring what that one brought."""
    block = {"http": {"url": "$(params.undo)"}}
    used = workflow(http(rollback=block), http("b", rollback=block))
    (told,) = [found for found in check_plan(plan(), _known(used)).notices if found.rule == "N9"]
    assert told.message == (
        f"{USE}: the rollback of action 'a' of workflow default/w uses $(params.undo), which has no value; the "
        f"execution must give one, or its Revert; it is also used in {USE} (rollback of action 'b')"
    )


def test_references_count_as_places() -> None:
    source = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": "x",
        "name": "$(params.site)",
        "jsonPath": "{.data.a}",
    }
    reads: list[dict[str, Any]] = [{"name": "r", "valueFrom": {"manifestRef": source}}]
    used = workflow(http(http={"url": "http://x/$(params.site)"}))
    (told,) = check_plan(plan(globalParams=reads), _known(used)).warnings
    assert told.endswith("; it is also used in globalParams[0](r) (valueFrom.manifestRef.name)")


@pytest.mark.parametrize(("more", "end"), [(0, ")"), (3, "), 3 more places")])
def test_so_many_places_are_named(more: int, end: str) -> None:
    actions = [http(f"a{n}", http={"url": "http://x/$(params.site)"}) for n in range(1 + gaps.MOST_PLACES + more)]
    (told,) = check_plan(plan(), _known(workflow(*actions))).warnings
    assert told.endswith(f"action 'a{gaps.MOST_PLACES}'{end}")
