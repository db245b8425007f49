"""Outputs that templates can name (decision P8), and the objects that outputs name."""

from __future__ import annotations

import pytest

from app.engine.definition import references
from app.engine.outcome import Failed, Succeeded
from app.engine.outputs import HTTP_FIELDS, OBJECT_FIELDS, merged, output_fields, outputs_of_predecessors
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, HttpResponse
from app.models.phases import WorkflowPolicy
from tests.unit.engine.runs import Player, definition_of, flow, http, stage

X, Y = (
    CoreReference(api_version="v1", kind="ConfigMap", namespace="ns", name=name, uid=f"u-{name}") for name in ("x", "y")
)
FIELDS = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "ns", "name": "x", "uid": "u-x"}


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (None, {}),
        (ActionOutputs(), {}),
        (
            ActionOutputs(http_response=HttpResponse(status_code=201, body="made")),
            {"statusCode": "201", "body": "made"},
        ),
        (ActionOutputs(job_ref=X), FIELDS),
        (ActionOutputs(localization_ref=X), FIELDS),
        (ActionOutputs(globalization_ref=X), FIELDS),
        (ActionOutputs(helm_chart_ref=X), FIELDS),
        (ActionOutputs(subscription_ref=X), FIELDS),
        (ActionOutputs(subscription_refs=(X, Y)), FIELDS),
        (ActionOutputs(resource_ref=X), FIELDS),
        (ActionOutputs(resource_ref=X, resource_refs=(X, Y)), FIELDS),
    ],
)
def test_fields(outputs: ActionOutputs | None, expected: dict[str, str]) -> None:
    assert output_fields(outputs) == expected
    assert set(expected) <= set(HTTP_FIELDS) | set(OBJECT_FIELDS)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (None, ()),
        (ActionOutputs(http_response=HttpResponse(status_code=200)), ()),
        (ActionOutputs(resource_ref=X), (X,)),
        (ActionOutputs(resource_ref=X, resource_refs=(X, Y)), (X, Y)),
        (ActionOutputs(subscription_refs=(X, Y)), (X, Y)),
    ],
)
def test_every_object_is_named_once(outputs: ActionOutputs | None, expected: tuple[CoreReference, ...]) -> None:
    assert references(outputs) == expected


def seen_by(player: Player, name: str) -> dict[str, dict[str, str]]:
    workflow = player.stage("one").workflow_executions[0]
    index = [action.name for action in workflow.action_statuses].index(name)
    return outputs_of_predecessors(player.definition.stages[0].workflows[0], workflow.action_statuses, index)


def test_an_action_in_a_list_sees_all_before_it() -> None:
    player = Player(definition_of(stage("one", flow("a", "b", "c"))))
    for name in "ab":
        player.end(name, Succeeded("done", ActionOutputs(job_ref=X)))
    assert seen_by(player, "a") == {}
    assert seen_by(player, "c") == {"a": FIELDS, "b": FIELDS}


def test_an_action_in_a_graph_sees_what_it_depends_on_however_far() -> None:
    player = Player(definition_of(stage("one", flow("a", http("b", "a"), "x", http("c", "b")))))
    for name in ("a", "x", "b"):
        player.end(name, Succeeded("done", ActionOutputs(job_ref=X)))
    assert set(seen_by(player, "c")) == {"a", "b"}, "not x, which happened to end before"


def test_what_failed_or_was_skipped_has_no_outputs_to_see() -> None:
    actions = ("a", http("b", when='mode == "delete"'), "c")
    player = Player(definition_of(stage("one", flow(*actions, policy=WorkflowPolicy.CONTINUE))))
    player.end("a", Failed("broke", ActionOutputs(job_ref=X)))
    assert seen_by(player, "c") == {}


def _ref(name: str, uid: str = "", kind: str = "ConfigMap") -> CoreReference:
    return CoreReference(api_version="v1", kind=kind, namespace="n", name=name, uid=uid)


def _resources(*refs: CoreReference) -> ActionOutputs:
    return ActionOutputs(resource_ref=refs[0], resource_refs=refs if len(refs) > 1 else ())


def test_no_attempts_record_is_lost_in_that_of_another() -> None:
    first, second = _resources(_ref("a", "1"), _ref("b", "2"), _ref("c")), _resources(_ref("a", "1"))
    assert merged(first, second) == _resources(_ref("a", "1"), _ref("b", "2"), _ref("c"))
    assert merged(first, _resources(_ref("c", "3"))) == _resources(_ref("a", "1"), _ref("b", "2"), _ref("c", "3"))
    assert merged(_resources(_ref("a", "1")), _resources(_ref("a"))) == _resources(_ref("a", "1"))
    assert merged(_resources(_ref("a", "1")), _resources(_ref("a", "9"))) == _resources(_ref("a", "9"))
    assert merged(_resources(_ref("a", "1")), _resources(_ref("a", "2", kind="Secret"))) == _resources(
        _ref("a", "1"), _ref("a", "2", kind="Secret")
    )
    job = ActionOutputs(job_ref=_ref("j", "1", kind="Job"))
    assert merged(job, ActionOutputs(job_ref=_ref("j", kind="Job"))) == job
    assert merged(job, None) == merged(None, job) == job
    assert merged(None, None) is None
    answer = ActionOutputs(http_response=HttpResponse(status_code=503, body="busy"))
    assert merged(answer, ActionOutputs()) == answer
    later = ActionOutputs(http_response=HttpResponse(status_code=200, body="done"))
    assert merged(answer, later) == later
    children = ActionOutputs(subscription_refs=(_ref("x", "1"), _ref("y", "2")))
    assert merged(children, ActionOutputs(subscription_refs=(_ref("y", "2"), _ref("z", "3")))) == ActionOutputs(
        subscription_refs=(_ref("x", "1"), _ref("y", "2"), _ref("z", "3"))
    )
