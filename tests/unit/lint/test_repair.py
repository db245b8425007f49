"""An object with schema errors is told everything else that is wrong with it, and nothing that would not be."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lint.support import lint_objects, rules
from tests.unit.rules.builders import execution_json, http, plan_json, stage, workflow_json

Json = dict[str, Any]
BAD_URL = {"url": "htpp://x"}
CASES = [
    ("a number for a text", workflow_json(http(timeout=5, http=BAD_URL)), ["S1", "W39"]),
    ("elsewhere", workflow_json(http(timeout=5), http("b", timeout="x")), ["S1", "W25"]),
    ("a list for a text", workflow_json(http(http={**BAD_URL, "body": [1]})), ["S1", "W39"]),
    ("an object for a list", workflow_json(http(), http("b", dependsOn={}, timeout="x")), ["S1", "W25"]),
    ("a text for an object", workflow_json(http(retryPolicy="none", when="mode == 'x'")), ["S1", "W24"]),
    ("an unknown type", workflow_json(http(type="SSH", timeout="x")), ["W19", "W25"]),
    ("no name", workflow_json({"type": "HTTP", "http": BAD_URL}), ["W3", "W39"]),
    ("no type", workflow_json({"name": "a", "timeout": "x"}), ["S1", "W25"]),
    ("a text for an item", workflow_json("hello", http(timeout="x")), ["S1", "W25"]),  # type: ignore[arg-type]
    ("null for a text", workflow_json(http(timeout="x", when=None)), ["S1", "W25"]),
    ("a number for a value", plan_json(stage("s", "w"), stage("s", "w"), globalParams=[{"name": "a.b", "value": 0}]), ["S1", "P2", "P14"]),
    ("a text for a number", plan_json(stage("s"), stage("s"), maxParallelStages="many"), ["S1", "P2"]),
    ("an unknown operation", execution_json(operationType="Undo", params=[{"name": "mode", "value": "x"}]), ["S1", "E11"]),
    ("an unknown mode", execution_json(mode="nonsense", params=[{"name": "mode", "value": "x"}]), ["S1", "E11"]),
]  # fmt: skip
QUIET = [
    ("what depends on an order that is not known", workflow_json(http(), http("b", dependsOn="a", http={"url": "http://$(outputs.a.body)"}))),
    ("the block of a type that is not known", workflow_json({"name": "a", "type": "SSH"})),
    ("dependencies on what has no name", workflow_json(http(), {"type": "HTTP", "http": {"url": "http://x"}}, http("c", dependsOn=["b"]))),
    ("a block of another kind of value", workflow_json(http(http="http://x"))),
    ("a target, while the operation is not known", execution_json(operationType="Rever")),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_rest_is_told_as_well(obj: Json, expected: list[str]) -> None:
    result = lint_objects(obj)
    assert sorted(set(rules(result))) == sorted(expected)
    assert result.skipped == []


@pytest.mark.parametrize("obj", [case[1] for case in QUIET], ids=[case[0] for case in QUIET])
def test_what_only_follows_from_the_error_is_not_told(obj: Json) -> None:
    assert len(lint_objects(obj).issues) == 1


def test_other_objects_are_not_judged_by_what_was_repaired() -> None:
    needy = workflow_json(http(timeout=5), parameters=[{"name": "site", "required": True}])
    assert rules(lint_objects(needy, plan_json())) == ["S1"]
