"""Who may write workflows, plans and executions holds up no event loop: the corpus, and what fuzzing makes of it.

Each object is judged by the admission application as the process runs it, with workers. What `make fuzz` grows are the
sizes and mixtures: new ones in every run.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from typing import Any

import httpx
import orjson
import pytest

from app.kube.registrations import validate_path
from app.runtime.workers import Workers
from tests.security.corpus import BYTES, CORPUS
from tests.unit.rules.builders import plan_json, workflow_json
from tests.unit.webhook.client import RESOURCES, review
from tests.unit.webhook.fakes import FakeLookups
from webhook import offloop
from webhook.handlers import Context
from webhook.service import admission_app

Json = dict[str, Any]
STALL_SECONDS = 1.0
"""Far from 50 ms, which the benchmark measures, and far from what one object once took."""
MIXTURES = 150 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 6


def mixed(rand: random.Random) -> Json:
    """A workflow of parts of some entries of the corpus, each as large as chance has it."""
    makers = [make for name, make in CORPUS.items() if name.startswith("workflow")]
    actions: list[Json] = []
    for make in rand.sample(makers, 3):
        found = make()["spec"]["actions"]
        actions += found[: rand.randint(1, len(found))]
    rand.shuffle(actions)
    while len(actions) > 1 and len(json.dumps(actions)) > BYTES:
        actions = actions[: len(actions) // 2]
    return workflow_json(*actions)


async def test_no_mixture_holds_up_the_event_loop() -> None:
    rand = random.Random(os.environ.get("FUZZ_SEED"))
    loop, late = asyncio.get_running_loop(), 0.0

    async def watch() -> None:
        nonlocal late
        while True:
            due = loop.time() + 0.005
            await asyncio.sleep(0.005)
            late = max(late, loop.time() - due)

    async with Workers("test", processes=1) as workers:
        await offloop.warm(workers)
        lookups = FakeLookups([workflow_json()], [plan_json()])
        app = admission_app(Context(lookups, "drplan-system"), workers=workers)
        watching = asyncio.create_task(watch())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://webhook") as client:
            for _ in range(MIXTURES):
                obj = mixed(rand)
                body = orjson.dumps(review("CREATE", obj))
                await asyncio.sleep(0.01)
                late = 0.0
                response = await client.post(validate_path(RESOURCES["DRWorkflow"]), content=body)
                assert response.status_code == 200
                assert orjson.loads(response.content)["response"]["status"]["code"] < 500
                assert late < STALL_SECONDS
        watching.cancel()


@pytest.mark.parametrize("name", CORPUS)
def test_entries_are_objects_that_can_be_sent(name: str) -> None:
    obj = CORPUS[name]()
    assert obj["kind"] in RESOURCES
    assert len(json.dumps(obj)) < 3 * 1024 * 1024
