"""Stored objects are judged the same wherever it is done, and set aside when nobody can judge them."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from app.kube.errors import Conflict
from app.models.meta import Condition
from app.models.names import CONDITION_SET_ASIDE
from app.rules.findings import Report
from app.rules.weight import SMALL, takes_long
from app.runtime import metrics
from app.runtime.workers import Workers
from controller import queue, validation
from controller.lanes import Key, Lane
from controller.queue import WorkQueue
from controller.validation import SET_ASIDE, Validator
from controller.validity import ready_condition
from tests.security.corpus import CORPUS
from tests.unit.engine.runs import START
from tests.unit.rules.builders import http, plan_json, stage, workflow_json

OWN = "drplan-system"
LARGE = workflow_json(*[http(f"a{n}", dependsOn=["b"] if n == 7 else []) for n in range(600)])


async def test_large_objects_are_judged_by_a_worker_with_the_same_result() -> None:
    plan = plan_json(stage("s", "w", "missing"))
    workflows = {("default", "w"): LARGE, ("default", "missing"): None}
    here = Validator(OWN)
    async with Workers("test", processes=1) as workers:
        there = Validator(OWN, workers)
        before = metrics.REGISTRY.get_sample_value("drplan_worker_calls_total", {"result": "success"}) or 0
        assert await there.workflow(LARGE) == await here.workflow(LARGE)
        assert await there.plan(plan, workflows) == await here.plan(plan, workflows)
        assert await there.plan(plan, workflows) == await here.plan(plan, workflows)
        assert await there.workflow(workflow_json()) == await here.workflow(workflow_json())
        after = metrics.REGISTRY.get_sample_value("drplan_worker_calls_total", {"result": "success"})
        assert after == before + 2


async def test_what_nobody_can_judge_is_set_aside_until_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "SECONDS", 0.01)
    async with Workers("test", processes=1) as workers:
        validator = Validator(OWN, workers)
        report = await validator.workflow(LARGE)
        [finding] = report.stoppers
        assert finding.rule == SET_ASIDE
        assert finding.message.startswith("the DRWorkflow was not judged and is set aside until it changes: it took")
        monkeypatch.setattr(validation, "SECONDS", 60.0)
        assert await validator.workflow(LARGE) is report
        changed = {**LARGE, "metadata": {**LARGE["metadata"], "generation": 2}}
        assert SET_ASIDE not in {finding.rule for finding in (await validator.workflow(changed)).errors}


@pytest.mark.parametrize("name", ["workflow: yaml aliases", "workflow: matches in a loop", "workflow: actions"])
def test_what_may_take_long_is_known_by_its_text(name: str) -> None:
    assert takes_long(orjson.dumps(CORPUS[name]()))


def test_ordinary_objects_are_small() -> None:
    ordinary = workflow_json(*[http(f"a{n}", when="mode == install || mode == upgrade") for n in range(100)])
    assert not takes_long(orjson.dumps(ordinary))
    assert takes_long(b" " * SMALL, b" ")


def test_the_condition_of_what_was_set_aside_goes_with_it() -> None:
    old = Condition(type=CONDITION_SET_ASIDE, status="True", reason="X", message="x", last_transition_time=START)
    [ready] = ready_condition((old,), Report(), "Plan", 1, START)
    assert ready.type == "Ready"


async def test_an_object_that_crashes_its_reconciler_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FIRST_DELAY", 0.0)
    set_aside: list[Key] = []
    tried: list[Key] = []

    async def reconcile(key: Key) -> float | None:
        tried.append(key)
        if key[1] == "poisoned":
            raise ZeroDivisionError
        if key[1] == "busy" and tried.count(key) < 9:
            raise Conflict(409, "Conflict", "again")
        return None

    async def remember(key: Key, error: Exception) -> None:
        assert isinstance(error, ZeroDivisionError)
        set_aside.append(key)

    work = WorkQueue("test", reconcile, lanes=(Lane("", workers=1),), set_aside=remember)
    running = asyncio.create_task(work.run())
    for name in ("poisoned", "sound", "busy"):
        work.add(("ns", name))
    async with asyncio.timeout(20):
        while len(set_aside) < 1 or tried.count(("ns", "busy")) < 9:
            await asyncio.sleep(0.01)
    work.add(("ns", "poisoned"))
    await asyncio.sleep(0.2)
    running.cancel()
    assert set_aside == [("ns", "poisoned")]
    assert tried.count(("ns", "poisoned")) == queue.MOST_CRASHES + 1
    assert tried.count(("ns", "sound")) == 1
