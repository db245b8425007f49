"""Objects spoiled at random: always an answer, never an internal error, and no default where nothing is understood."""

from __future__ import annotations

import asyncio
import copy
import gc
import random
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import strategies as st

from tests.unit.rules.builders import (
    CHART_SPEC,
    CONFIG_MAP,
    FEED,
    SUBSCRIPTION_SPEC,
    execution_json,
    http,
    job,
    plan_json,
    resource,
    stage,
    typed,
    workflow_json,
)
from tests.unit.webhook.client import Admission
from tests.unit.webhook.fakes import FakeLookups
from tests.unit.webhook.fuzzing import fuzz

pytestmark = pytest.mark.slow

Json = dict[str, Any]

REFERENCE = {"apiVersion": "v1", "kind": "A", "jsonPath": "{.a}", "name": "$(params.x)"}
SELECTION = {"apiVersion": "v1", "kind": "A", "jsonPath": "{.a}", "namespace": "n", "labelSelector": "a in (b), c!=d"}
PARAMETERS = [
    {"name": "x", "type": "number", "value": "1"},
    {"name": "y", "valueFrom": {"manifestRef": REFERENCE}},
    {"name": "z", "valueFrom": {"manifestRef": SELECTION}},
]
RICH_WORKFLOW = workflow_json(
    http(headersFrom=[], retryPolicy={"limit": 1, "interval": "5s"}, rollback=http("u"), when="mode == install"),
    job("b", dependsOn=["a"]),
    resource(
        CONFIG_MAP + "data: {k: $(outputs.a.body)}", "Patch", "c", rollback={"resource": {"manifest": CONFIG_MAP}}
    ),
    typed("Localization", "localization", {"name": "l", "namespace": "n", "spec": {"feed": FEED}}, "d"),
    typed("HelmChart", "helmChart", {"name": "h", "namespace": "n", "spec": CHART_SPEC}, "e"),
    typed(
        "Subscription", "subscription", {"name": "s", "spec": SUBSCRIPTION_SPEC}, "f", hookCleanup={"onSuccess": True}
    ),
    parameters=PARAMETERS,
)
RICH_PLAN = {
    **plan_json(
        stage("s", {"workflowRef": {"name": "w"}, "params": PARAMETERS}, parallel=True),
        stage("t", {"workflowRef": {"name": "w", "namespace": "other"}}, dependsOn=["s"]),
        globalParams=PARAMETERS,
    ),
    "status": {"phase": "Ready", "currentExecution": {"name": "e", "namespace": "default", "uid": "u"}},
}
RICH_EXECUTION = execution_json(
    status={"phase": "Running"}, operationType="Revert", revertExecutionRef="e", params=PARAMETERS, mode="Delete"
)

WORDS = ["$(params.", "{{ .params.x }}", "\x00", "a: [", "9" * 400, "---\n" * 5, "mode == ", "5m5", "ü" * 300]
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(WORDS),
    st.lists(st.integers(-9, 9), max_size=2),
    st.dictionaries(st.text(max_size=5), st.integers(-9, 9), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, member in members for place in places(member, (*path, key)))]


DELETE = object()


def spoil(obj: Any, place: tuple[Any, ...], junk: Any) -> None:
    """Put junk into a place, or remove what is there; an earlier spoiling may have removed the way to it."""
    for key in place:
        parent = obj
        if not isinstance(parent, dict if isinstance(key, str) else list):
            return
        if not (key in parent if isinstance(key, str) else key < len(parent)):
            return
        obj = parent[key]
    if junk is DELETE:
        del parent[key]
    else:
        parent[key] = junk


@st.composite
def spoiled(draw: st.DrawFn, original: Json) -> Json:
    obj = copy.deepcopy(original)
    candidates = [place for place in places(original) if place and place != ("kind",)]
    for place in draw(st.lists(st.sampled_from(candidates), min_size=1, max_size=4)):
        spoil(obj, place, draw(st.just(DELETE) | JUNK))
    return obj


async def judge(obj: Json, stored: Json, admission: Admission | None = None) -> None:
    admission = admission or Admission(FakeLookups([RICH_WORKFLOW], [RICH_PLAN], [RICH_EXECUTION]))
    for operation, new, old in (
        ("CREATE", obj, None),
        ("UPDATE", obj, stored),
        ("UPDATE", stored, obj),
        ("DELETE", None, obj),
    ):
        response = await admission.validate(operation, new, old)
        assert response["status"]["code"] in (200, 400, 403, 422), response["status"]
        assert response["allowed"] or response["status"]["message"]
    if obj["kind"] != "DRPlanExecution":
        await admission.mutate("CREATE", obj)


async def judge_against_spoiled_cluster(obj: Json) -> None:
    stored = [obj if obj["kind"] == each["kind"] else each for each in (RICH_WORKFLOW, RICH_PLAN, RICH_EXECUTION)]
    admission = Admission(ByPosition(*([each] for each in stored)))
    for candidate in (RICH_PLAN, RICH_EXECUTION, execution_json("new")):
        response = await admission.validate("CREATE", candidate)
        assert response["status"]["code"] in (200, 400, 403, 422), response["status"]
    for candidate in (RICH_WORKFLOW, RICH_PLAN):
        response = await admission.validate("DELETE", None, candidate)
        assert response["status"]["code"] in (200, 403), response["status"]


class ByPosition(FakeLookups):
    """Finds its objects whatever they are called, because their names may be spoiled."""

    async def plan(self, namespace: str, name: str) -> Json | None:
        return self.stored_plans[0]

    async def execution(self, namespace: str, name: str) -> Json | None:
        return self.executions[0]

    async def workflows(self, keys: Any) -> Any:
        return dict.fromkeys(keys, self.stored_workflows[0])

    async def executions_of(self, namespace: str, plan: str) -> list[Json]:
        return self.executions


@pytest.mark.parametrize("original", [RICH_WORKFLOW, RICH_PLAN, RICH_EXECUTION], ids=lambda each: each["kind"])
def test_spoiled_objects_are_answered_in_time(original: Json) -> None:
    def check(obj: Json) -> None:
        asyncio.run(judge(obj, original))
        asyncio.run(judge_against_spoiled_cluster(obj))

    fuzz(spoiled(original), check)


def spoiled_at_random(original: Json, dice: random.Random) -> Json:
    obj = copy.deepcopy(original)
    for place in dice.sample([place for place in places(original) if place and place != ("kind",)], 3):
        text = f"{dice.choice(WORDS)}{dice.random()}"
        spoil(obj, place, dice.choice([DELETE, None, 7, text, [text], {text: text}]))
    return obj


def test_spoiled_objects_leave_nothing_behind() -> None:
    dice = random.Random(1)
    lookups = FakeLookups([RICH_WORKFLOW], [RICH_PLAN], [RICH_EXECUTION])
    admission = Admission(lookups)

    def burst() -> int:
        for _ in range(25):
            for original in (RICH_WORKFLOW, RICH_PLAN, RICH_EXECUTION):
                asyncio.run(judge(spoiled_at_random(original, dice), original, admission))
        lookups.asked.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    burst()
    tracemalloc.start()
    try:
        sizes = [burst() for _ in range(5)]
        # what is kept of each review shows in every burst; a memory that is made once, or grows by doubling, does not
        assert min(after - before for before, after in pairwise(sizes)) < 150_000, sizes
    finally:
        tracemalloc.stop()
