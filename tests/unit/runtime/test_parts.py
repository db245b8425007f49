"""Large objects are decoded as small ones are, and others have their turn in between."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from pydantic import ValidationError

from app.models.base import API_VERSION
from app.models.execution import DRPlanExecution
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from app.runtime import parts
from tests.security.corpus import CORPUS

AT = "2026-01-01T00:00:00Z"
MODELS: dict[str, Any] = {"DRWorkflow": DRWorkflow, "DRPlan": DRPlan, "DRPlanExecution": DRPlanExecution}


def execution(**status: Any) -> dict[str, Any]:
    metadata = {"name": "e", "namespace": "n", "uid": "u", "resourceVersion": "1"}
    spec = {"planRef": "p", "operationType": "Execute"}
    return {"apiVersion": API_VERSION, "kind": "DRPlanExecution", "metadata": metadata, "spec": spec, "status": status}


def action(number: int) -> dict[str, Any]:
    outputs = {"httpResponse": {"statusCode": 200, "body": f"b{number}"}}
    return {"name": f"a{number}", "phase": "Succeeded", "startTime": AT, "outputs": outputs}


def workflows(*actions: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"workflowRef": {"name": "w"}, "phase": "Running", "actionStatuses": list(actions)}]


def stage(name: str, *actions: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "phase": "Running", "workflowExecutions": workflows(*actions)}


LARGE: dict[str, dict[str, Any]] = {
    "actions of one workflow": {"stageStatuses": [stage("s", *map(action, range(5_000)))]},
    "workflows": {
        "stageStatuses": [{"name": "s", "phase": "Running", "workflowExecutions": workflows(action(1)) * 3_000}]
    },
    "stages": {"stageStatuses": [stage(f"s{n}", action(n)) for n in range(3_000)]},
    "conditions": {
        "conditions": [
            {"type": f"t{n}", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": AT}
            for n in range(8_000)
        ]
    },
    "parameters": {"resolvedParams": [{"name": f"p{n}", "value": "x"} for n in range(9_000)]},
}


@pytest.mark.parametrize("name", LARGE)
async def test_a_large_status_gives_others_their_turn(name: str) -> None:
    stored = execution(phase="Running", **copy.deepcopy(LARGE[name]))
    before, turns = copy.deepcopy(stored), 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    found = await parts.decoded(DRPlanExecution, stored)
    task.cancel()
    assert found == DRPlanExecution.from_wire(stored)
    assert found.to_wire() == DRPlanExecution.from_wire(stored).to_wire()
    assert found.written() == DRPlanExecution.from_wire(stored).written()
    assert stored == before
    assert turns > 1


@pytest.mark.parametrize("name", CORPUS)
async def test_the_corpus_is_decoded_as_ever(name: str) -> None:
    obj = CORPUS[name]()
    model = MODELS[obj["kind"]]
    try:
        expected = model.from_wire(obj)
    except ValidationError:
        with pytest.raises(ValidationError):
            await parts.decoded(model, obj)
    else:
        assert await parts.decoded(model, obj) == expected


@pytest.mark.parametrize(
    "status",
    [
        {"stageStatuses": [{"name": "s", "workflowExecutions": 7}] * 500},
        {"stageStatuses": [None] * 500},
        {"stageStatuses": {"a": [1] * 500}},
        {"conditions": [{"type": 1}] * 500},
        {"summary": [1] * 500},
    ],
)
async def test_what_is_wrong_is_refused(status: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        await parts.decoded(DRPlanExecution, execution(**status))


def test_members_with_models_are_found() -> None:
    assert parts._parts(DRPlanExecution)["status"].model.__name__ == "DRPlanExecutionStatus"
    assert "stageStatuses" in parts._parts(parts._parts(DRPlanExecution)["status"].model)
