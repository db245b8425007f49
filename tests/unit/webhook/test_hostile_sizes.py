"""Reviews that are large or deep on purpose: an answer that is no 5xx, long before the API server gives up."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import strategies as st

from app.kube.registrations import mutate_path, validate_path
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS
from tests.security.corpus import CORPUS
from tests.unit.rules.builders import CONFIG_MAP, http, plan_json, resource, stage, workflow_json
from tests.unit.webhook.client import RESOURCES, Admission, review
from tests.unit.webhook.fakes import FakeLookups
from tests.unit.webhook.fuzzing import fuzz

pytestmark = pytest.mark.slow

Json = dict[str, Any]
PATHS = [*map(validate_path, (WORKFLOWS, PLANS, EXECUTIONS)), *map(mutate_path, (WORKFLOWS, PLANS))]
HANG_SECONDS = 20.0
"""A guard against waiting for ever, wide enough for a busy machine; the client guards against computing for long."""


def nested(levels: int) -> Json:
    value: Json = {"type": "HTTP", "http": {"url": "http://x"}}
    for _ in range(levels):
        value = {"rollback": value}
    return value


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)
)
HOSTILE: dict[str, Json] = {
    "long text": workflow_json(http(when="m" * 1_000_000, timeout="9" * 100_000)),
    "placeholders": workflow_json(http(http={"url": "$(params.x)$(params.y.z)$(outputs.q.r)" * 5_000})),
    "half placeholders": workflow_json(http(http={"url": "$(params." * 50_000 + "{{ " * 50_000})),
    "deep rollback": workflow_json(http(rollback=nested(200))),
    "yaml bomb": workflow_json(resource(BOMB)),
    "deep yaml": workflow_json(resource("[" * 50_000)),
    "many documents": workflow_json(resource(("---\n" + CONFIG_MAP) * 500)),
    "one name": workflow_json(*[http("a", dependsOn=["a"]) for _ in range(300)]),
    "unknown dependencies": workflow_json(http("a", dependsOn=[f"b{n}" for n in range(2_000)])),
    "chain": workflow_json(*[http(f"a{n}", dependsOn=[f"a{n - 1}"] if n else []) for n in range(500)]),
    "stages": plan_json(*[stage(f"s{n}", dependsOn=[f"s{n - 1}"] if n else []) for n in range(500)]),
}


async def post(path: str, body: bytes) -> int:
    async with asyncio.timeout(HANG_SECONDS):
        response = await Admission(FakeLookups([workflow_json()])).post(path, body)
    if response.status_code == 200:
        assert orjson.loads(response.content)["response"]["status"]["code"] < 500
    return response.status_code


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("operation", ["CREATE", "UPDATE", "DELETE"])
async def test_a_hostile_object_is_answered(name: str, operation: str) -> None:
    obj = HOSTILE[name]
    new, old = (None, obj) if operation == "DELETE" else (obj, None if operation == "CREATE" else workflow_json())
    body = orjson.dumps(review(operation, new, old))
    for path in PATHS:
        assert await post(path, body) == 200


def test_any_bytes_are_answered() -> None:
    whole = orjson.dumps(review("CREATE", workflow_json(http())))

    def check(example: tuple[bytes, int, str]) -> None:
        junk, at, path = example
        for body in (junk, whole[:at] + junk + whole[at + len(junk) :]):
            assert asyncio.run(post(path, body)) in (200, 400)

    fuzz(st.tuples(st.binary(max_size=200), st.integers(0, 400), st.sampled_from(PATHS)), check)


async def test_reviews_leave_nothing_behind() -> None:
    admission = Admission(FakeLookups())

    async def burst(first: int) -> int:
        for number in range(first, first + 40):
            obj = workflow_json(http(http={"url": "$(outputs.q.r)"}, timeout=f"{number}x"), name=f"w{number}")
            await admission.post(PATHS[0], orjson.dumps(review("CREATE", obj)))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    await burst(0)
    tracemalloc.start()
    try:
        before = await burst(1_000)
        assert await burst(2_000) - before < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", CORPUS)
async def test_what_is_as_large_as_can_be_is_answered(name: str) -> None:
    obj = CORPUS[name]()
    lookups = FakeLookups([workflow_json()], [plan_json()])
    response = await Admission(lookups).post(validate_path(RESOURCES[obj["kind"]]), orjson.dumps(review("CREATE", obj)))
    assert response.status_code == 200
    assert orjson.loads(response.content)["response"]["status"]["code"] < 500
