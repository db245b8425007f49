"""One object that is nested too deeply makes no other unreadable: not in a list, not in a watch, not in a review."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import httpx
import orjson
import pytest

from app.kube.bodies import parse_collection, parse_object
from app.kube.errors import ApiUnavailable, TooDeep, is_transient
from app.kube.registrations import mutate_path, validate_path
from app.kube.stream import read_events
from app.rules.levels import LEFT_OUT, MOST_LEVELS, MOST_READ, cut, is_too_deep, loads_cut
from app.runtime.workers import Workers
from controller.validation import Validator
from tests.security.corpus_parts import http, workflow_of
from tests.unit.rules.builders import workflow_json
from tests.unit.webhook.client import RESOURCES, review
from tests.unit.webhook.fakes import FakeLookups
from webhook.handlers import Context
from webhook.service import admission_app

Json = dict[str, Any]
LEVELS = (MOST_LEVELS, 230, 255, 256, 300, 1_000, 1_023, 1_025, 1_100, 5_000, 9_990)
"""Around every limit: ours, of what is written, of what is read, of the API server."""
SHAPES = {
    "lists": (b"[", b"]"),
    "objects": (b'{"a":', b"}"),
    "both": (b'[{"b":', b"}]"),
    "with texts": (b'["]}",{"{[\\"":', b',"x":"[[["}]'),
}


def deep(levels: int, shape: str = "lists") -> bytes:
    opening, closing = SHAPES[shape]
    return opening * levels + b"1" + closing * levels


def stored(levels: int, shape: str = "lists") -> bytes:
    job = {"type": "Job", "job": {"template": {"spec": "DEEP"}}}
    obj = workflow_of(http("a", rollback=job))
    obj["metadata"].update(uid="u", generation=1, resourceVersion="7")
    return orjson.dumps(obj).replace(b'"DEEP"', deep(levels, shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("levels", LEVELS)
def test_what_is_deep_is_left_out_and_nothing_else(levels: int, shape: str) -> None:
    text = b'{"items":[' + stored(levels, shape) + b',{"metadata":{"name":"other \\" [{"}}]}'
    found = loads_cut(text)
    first, other = found["items"]
    assert other == {"metadata": {"name": 'other " [{'}}
    assert first["metadata"]["name"] == "w"
    assert is_too_deep(first)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_above_the_limit_stays(shape: str) -> None:
    text = deep(MOST_READ // 2, shape)
    assert cut(text) == text
    assert cut(deep(MOST_READ + 1)) == deep(MOST_READ).replace(b"1", LEFT_OUT)


@pytest.mark.parametrize("text", [b"", b"[", b'"', b'["\\', b"[1,]", b"[" * 5_000, b"[" * 5_000 + b"]" * 4_999, b"]"])
def test_what_is_no_json_stays_that(text: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        loads_cut(text)
    with pytest.raises((ApiUnavailable, TooDeep)):
        raise_of(text)


def raise_of(text: bytes) -> None:
    try:
        parse_object(text, "s")
    except TooDeep:
        asyncio.run(parse_collection(text, "s"))


async def test_an_object_alone_is_refused_for_good() -> None:
    with pytest.raises(TooDeep, match="nested too deeply") as refused:
        parse_object(stored(2_000), "s")
    assert not is_transient(refused.value)
    found = await parse_collection(b'{"items":[' + stored(2_000) + b"]}", "s")
    assert len(found["items"]) == 1


async def test_a_watch_goes_on_after_it() -> None:
    reader = aiohttp.StreamReader(_NoProtocol(), limit=2**20, loop=asyncio.get_running_loop())  # type: ignore[arg-type]
    for levels in (1, 5_000, 1):
        reader.feed_data(b'{"type":"ADDED","object":' + stored(levels) + b"}\n")
    reader.feed_eof()
    events = [event async for event in read_events(reader, inactivity=30.0, server="s")]
    assert [event.type for event in events] == ["ADDED"] * 3
    assert [is_too_deep(event.object) for event in events] == [False, True, False]


class _NoProtocol:
    _reading_paused = False

    def resume_reading(self, *, resume_parser: bool = True) -> None:
        """Nothing is paused."""


@pytest.mark.parametrize("levels", LEVELS)
async def test_the_controller_says_why_it_is_invalid(levels: int) -> None:
    async with Workers("test", processes=1) as workers:
        report = await Validator("drplan-system", workers).workflow(loads_cut(stored(levels)))
    assert f"at most {MOST_LEVELS} levels" in report.errors[0].message


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE", "DELETE"])
@pytest.mark.parametrize("levels", LEVELS)
async def test_admission_refuses_it_and_lets_it_be_deleted(levels: int, operation: str) -> None:
    app = admission_app(Context(FakeLookups([workflow_json()]), "drplan-system"))
    for path in (validate_path, mutate_path) if operation != "DELETE" else (validate_path,):
        old = workflow_of(http("a")) if operation == "UPDATE" else None
        sent = orjson.loads(stored(1))
        body = review(operation, None, sent) if operation == "DELETE" else review(operation, sent, old)
        text = orjson.dumps(body).replace(deep(1), deep(levels))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://webhook") as client:
            answer = await client.post(path(RESOURCES["DRWorkflow"]), content=text)
        assert answer.status_code == 200
        said = orjson.loads(answer.content)["response"]
        if path is validate_path:
            assert said["allowed"] is (operation == "DELETE"), said
