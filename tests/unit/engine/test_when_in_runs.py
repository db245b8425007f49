"""Conditions in runs: evaluated when the action would start, on what ended before, the same way at every replay."""

from __future__ import annotations

import pytest

from app.cel.language import compile_expression
from app.engine.build import MODE_ASSUMED, execute_definition
from app.engine.definition import RunDefinition
from app.engine.outcome import Failed, Succeeded
from app.engine.settle import settle
from app.models.execution import ActionOutputs, HttpResponse
from app.models.phases import Phase, WorkflowPolicy
from app.models.snapshot import Snapshot
from tests.unit.engine.runs import START, Player, flow, http, phases, snapshot_of, stage


def with_params(snapshot: Snapshot, params: dict[str, str], secret: str = "") -> Snapshot:
    [run] = snapshot.stages
    refs = {secret: {"apiVersion": "v1", "kind": "Secret", "name": "s", "jsonPath": "{.x}"}} if secret else {}
    data = snapshot.dump()
    data["stages"] = [
        {
            "name": run.name,
            "workflows": [{**used.written(), "params": params, "secretParams": refs} for used in run.workflows],
        }
    ]
    return Snapshot.load(data)


def definition(
    *whens: str, params: dict[str, str] | None = None, policy: WorkflowPolicy = WorkflowPolicy.FAIL_FAST
) -> RunDefinition:
    """A sequence of a first action and one for each condition, called b, c, d."""
    named = [http(name, when=when) for name, when in zip("bcd", whens, strict=False)]
    snapshot = snapshot_of(stage("one", flow("a", *named, policy=policy)))
    return execute_definition(with_params(snapshot, params or {}, "token"), compile_expression)


def answered(body: str) -> Succeeded:
    return Succeeded("done", ActionOutputs(http_response=HttpResponse(status_code=200, body=body)))


def test_looks_at_outputs_when_the_action_would_start() -> None:
    player = Player(definition('outputs.a.body == "x"', 'outputs.a.body == "y"', "has(outputs.b) && !has(outputs.c)"))
    assert phases(player.status) == {"a": "Running", "b": "Pending", "c": "Pending", "d": "Pending"}
    player.end("a", answered("y"))
    assert player.running == ["c"]
    player.end("c", answered(""))
    assert player.action("b").message == 'when not matched: outputs.a.body == "x" is false'
    assert phases(player.status) == {"a": "Succeeded", "b": "Skipped", "c": "Succeeded", "d": "Skipped"}


def test_looks_at_parameters_and_the_plan() -> None:
    player = Player(definition('params.x == "1"', 'params.x == "2"', 'planName == "plan"', params={"x": "2"}))
    player.play()
    assert phases(player.status) == {"a": "Succeeded", "b": "Skipped", "c": "Succeeded", "d": "Succeeded"}


@pytest.mark.parametrize(
    ("policy", "rest"), [(WorkflowPolicy.FAIL_FAST, "Skipped"), (WorkflowPolicy.CONTINUE, "Succeeded")]
)
def test_no_answer_fails_the_action_and_the_policy_decides(policy: WorkflowPolicy, rest: str) -> None:
    player = Player(definition("params.nope == ''", "true", policy=policy))
    player.play()
    assert phases(player.status) == {"a": "Succeeded", "b": "Failed", "c": rest}
    assert player.phase() is Phase.FAILED
    assert player.action("b").message == (
        "when expression \"params.nope == ''\" cannot be evaluated: "
        'parameter "nope" has no value ("nope" in params asks whether it has one)'
    )


def test_outputs_of_what_failed_are_not_there() -> None:
    player = Player(definition("has(outputs.a)", "!has(outputs.a)", policy=WorkflowPolicy.CONTINUE))
    player.end("a", Failed("broke"))
    player.play()
    assert phases(player.status) == {"a": "Failed", "b": "Skipped", "c": "Succeeded"}


def test_a_condition_on_a_secret_fails() -> None:
    player = Player(definition("has(params.token)"))
    player.end("a")
    assert player.action("b").phase is Phase.FAILED
    assert "comes from a Secret, which a condition cannot read" in player.action("b").message


def test_settling_again_changes_nothing() -> None:
    again = definition('outputs.a.body == "x"', "params.nope == ''", policy=WorkflowPolicy.CONTINUE)
    player = Player(again, idle=True)
    assert settle(again, player.status, START) is player.status


def test_without_a_language_other_conditions_fail_as_they_did() -> None:
    player = Player(execute_definition(snapshot_of(stage("one", flow(http("a", when="has(params.x)"))))))
    assert "unsupported expression, only" in player.action("a").message


@pytest.mark.parametrize(
    ("when", "said"), [("mode != 'delete'", True), ("params.x == '1'", False), ("mode == delete", True)]
)
def test_says_that_a_mode_was_assumed_when_it_matters(when: str, said: bool) -> None:
    snapshot = snapshot_of(stage("one", flow(http("a", when=when))), mode_assumed=True)
    assert execute_definition(snapshot, compile_expression).note == (MODE_ASSUMED if said else "")
