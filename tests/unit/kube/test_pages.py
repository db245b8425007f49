"""Pages of large objects are asked for again with fewer of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from app.kube.client import KubeClient
from app.kube.config import ConnectionConfig
from app.kube.errors import AnswerTooLarge, ApiUnavailable, KubeError, ServerError, TooManyRequests
from app.kube.pages import PAGE_BYTES, SLOW_PAGE, SLOW_SECONDS, PageSizes
from app.kube.resources import CONFIG_MAPS, WORKFLOWS
from app.kube.transport import MOST_BYTES
from tests.unit.runtime.test_http_client import serving

LARGE = "x" * (PAGE_BYTES // 3)


async def test_a_page_shrinks_until_it_fits_and_stays_small_for_that_type() -> None:
    asked: list[tuple[int | None, int]] = []

    async def read(size: int | None, most: int) -> dict[str, Any]:
        asked.append((size, most))
        if size is not None and size > 2:
            raise AnswerTooLarge("too large")
        return {"items": []}

    sizes = PageSizes()
    for resource in (WORKFLOWS, WORKFLOWS, CONFIG_MAPS):
        await sizes.read(resource, 200, read)
    small, large = PAGE_BYTES, MOST_BYTES
    shrinking = [(200, small), (50, small), (12, small), (3, small), (1, large)]
    assert asked[:5] == [*shrinking[:4], (1, large)]
    assert asked[5:] == [(1, large), *shrinking]
    asked.clear()
    await sizes.read(WORKFLOWS, None, read)
    assert asked == [(None, large)]


@pytest.mark.looptime
async def test_a_page_that_does_not_come_is_asked_for_with_fewer_objects_until_it_comes_and_then_with_more() -> None:
    """A server that reads 200 large objects from etcd for a minute would else be asked for the same 200 for ever."""
    asked: list[int | None] = []
    seconds_each = 15.0

    async def read(size: int | None, _most: int) -> dict[str, Any]:
        asked.append(size)
        async with asyncio.timeout(30.0):
            await asyncio.sleep((size or 0) * seconds_each)
        return {"items": []}

    async def timed(size: int | None, most: int) -> dict[str, Any]:
        try:
            return await read(size, most)
        except TimeoutError as error:
            raise ApiUnavailable("no answer", server="s", in_doubt=True) from error

    sizes = PageSizes()
    began = asyncio.get_running_loop().time()
    for _ in range(2):
        with pytest.raises(ApiUnavailable):
            await sizes.read(WORKFLOWS, 200, timed)
    await sizes.read(WORKFLOWS, 200, timed)
    assert asked == [200, 50, SLOW_PAGE, 3, 1]
    assert asyncio.get_running_loop().time() - began < 100
    await sizes.read(CONFIG_MAPS, 1, timed)
    asked.clear()
    seconds_each = 0.0
    for _ in range(10):
        await sizes.read(WORKFLOWS, 200, timed)
    assert asked == [1, 2, 4, 8, 16, 32, 64, 128, 200, 200]


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("seconds", "error", "shrinks"),
    [
        (SLOW_SECONDS - 1, ApiUnavailable("reset", server="s", in_doubt=True), False),
        (SLOW_SECONDS + 1, ApiUnavailable("reset", server="s", in_doubt=True), True),
        (SLOW_SECONDS + 1, ServerError(504, "Timeout", "the server gave up"), True),
        (SLOW_SECONDS + 1, ServerError(500, "InternalError", "etcdserver: request timed out"), True),
        (SLOW_SECONDS + 1, TooManyRequests(429, "TooManyRequests", "busy"), False),
        (1.0, ServerError(503, "ServiceUnavailable", "starting"), False),
    ],
)
async def test_what_answers_late_with_a_failure_is_asked_for_fewer(
    seconds: float, error: KubeError, shrinks: bool
) -> None:
    asked: list[int | None] = []

    async def read(size: int | None, _most: int) -> dict[str, Any]:
        asked.append(size)
        await asyncio.sleep(seconds)
        raise error

    sizes = PageSizes()
    for _ in range(3):
        with pytest.raises(type(error)):
            await sizes.read(WORKFLOWS, SLOW_PAGE, read)
    assert asked == ([SLOW_PAGE, 3, 1] if shrinks else [SLOW_PAGE] * 3)


async def test_objects_of_any_size_are_listed_and_no_answer_is_read_without_end() -> None:
    sent: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/endless"):
            return web.Response(body=b'{"a": "' + b"x" * (MOST_BYTES + 1))
        first, size = int(request.query.get("continue") or 0), int(request.query["limit"])
        items = [{"metadata": {"name": f"c{n}", "namespace": "ns"}, "data": {"a": LARGE}} for n in range(20)]
        sent.append(size)
        token = str(first + size) if first + size < 20 else ""
        return web.json_response({"metadata": {"continue": token}, "items": items[first : first + size]})

    async with serving(answer) as site, KubeClient(ConnectionConfig(server=site.url, origin="test")) as kube:
        found = await kube.list_all(CONFIG_MAPS, namespace="ns")
        with pytest.raises(AnswerTooLarge, match=f"more than {MOST_BYTES} bytes"):
            await kube.get(CONFIG_MAPS, "endless", namespace="ns")
    assert [item["metadata"]["name"] for item in found] == [f"c{n}" for n in range(20)]
    assert sent[:3] == [200, 50, 12]
    assert set(sent[3:]) <= {1, 2, 3}


async def test_tables_of_objects_with_large_metadata_are_read_in_smaller_pages() -> None:
    sent: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert "as=Table" in request.headers["Accept"]
        first, size = int(request.query.get("continue") or 0), int(request.query["limit"])
        rows = [{"object": {"metadata": {"name": f"e{n}", "annotations": {"a": LARGE}}}} for n in range(20)]
        sent.append(size)
        token = str(first + size) if first + size < 20 else ""
        return web.json_response({"metadata": {"continue": token}, "rows": rows[first : first + size]})

    names: list[str] = []
    async with serving(answer) as site, KubeClient(ConnectionConfig(server=site.url, origin="test")) as kube:
        token: str | None = None
        while token != "":
            page = await kube.table(WORKFLOWS, limit=200, continue_token=token)
            names += [row["object"]["metadata"]["name"] for row in page["rows"]]
            token = page["metadata"]["continue"]
    assert names == [f"e{n}" for n in range(20)]
    assert sent[:3] == [200, 50, 12]
    assert set(sent[3:]) <= {1, 2, 3}
