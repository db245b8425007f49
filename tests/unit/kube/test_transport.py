"""What the transport does when the server, the network or the credentials misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from app.kube.client import KubeClient
from app.kube.config import ConnectionConfig
from app.kube.errors import ApiError, ApiUnavailable, Conflict, Gone, NotFound, TooManyRequests, Unauthorized
from app.kube.resources import CONFIG_MAPS, PODS
from app.kube.transport import warnings_of
from app.runtime import metrics
from tests.unit.kube.scripted import answer, broken, config_map, hanging, listing, refusal, scripted


async def test_a_refused_connection_names_the_server_and_is_not_in_doubt() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        async with KubeClient(ConnectionConfig(server=address)) as kube:
            with pytest.raises(ApiUnavailable, match="check that it runs") as caught:
                await kube.create(CONFIG_MAPS, config_map("a", 0))
    assert address in str(caught.value)
    assert caught.value.server == address
    assert not caught.value.in_doubt


async def test_no_answer_in_time_leaves_a_write_in_doubt() -> None:
    async with scripted(hanging()) as (server, kube):
        with pytest.raises(ApiUnavailable, match=r"within 0\.2 s") as caught:
            await kube.create(CONFIG_MAPS, config_map("a", 0), timeout=0.2)
    assert caught.value.in_doubt
    assert len(server.requests) == 1


Write = Callable[[KubeClient], Awaitable[object]]

WRITES: dict[str, Write] = {
    "create": lambda kube: kube.create(CONFIG_MAPS, config_map("a", 0)),
    "replace": lambda kube: kube.replace(CONFIG_MAPS, config_map("a", 1)),
    "patch": lambda kube: kube.patch(CONFIG_MAPS, "a", {}, namespace="ns"),
    "delete": lambda kube: kube.delete(CONFIG_MAPS, "a", namespace="ns"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_a_write_whose_connection_broke_is_not_sent_again(write: Write) -> None:
    async with scripted(broken()) as (server, kube):
        with pytest.raises(ApiUnavailable, match="the connection broke") as caught:
            await write(kube)
    assert caught.value.in_doubt
    assert len(server.requests) == 1


async def test_the_connection_is_idle_between_requests_only() -> None:
    async with scripted(hanging(), answer(config_map("a", 1))) as (_, kube):
        assert kube.idle_seconds() > 3600
        asked = asyncio.create_task(kube.get(CONFIG_MAPS, "a", namespace="ns", timeout=0.1))
        await asyncio.sleep(0.05)
        assert kube.idle_seconds() == 0.0
        with pytest.raises(ApiUnavailable):
            await asked
        await kube.get(CONFIG_MAPS, "a", namespace="ns")
        assert 0 < kube.idle_seconds() < 3600


async def test_a_get_is_sent_again_once_when_its_connection_broke() -> None:
    async with scripted(broken(), answer(config_map("a", 1))) as (server, kube):
        assert (await kube.get(CONFIG_MAPS, "a", namespace="ns"))["metadata"]["name"] == "a"
        assert len(server.requests) == 2


async def test_an_answer_that_breaks_off_is_unavailable() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"kind":')
        assert request.transport is not None
        request.transport.abort()
        return response

    async with scripted(half) as (_, kube):
        with pytest.raises(ApiUnavailable):
            await kube.get(CONFIG_MAPS, "a", namespace="ns")


async def test_something_that_is_no_api_server() -> None:
    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>", content_type="text/html")

    async with scripted(page) as (_, kube):
        with pytest.raises(ApiUnavailable, match="no JSON; check what listens there"):
            await kube.get(CONFIG_MAPS, "a", namespace="ns")


async def test_a_status_object_is_never_taken_for_the_object() -> None:
    details = {"name": "a", "kind": "configmaps"}
    body = {
        "kind": "Status",
        "status": "Failure",
        "code": 404,
        "reason": "NotFound",
        "message": "gone",
        "details": details,
    }
    async with scripted(answer(body)) as (_, kube):
        with pytest.raises(NotFound, match="gone"):
            await kube.get(CONFIG_MAPS, "a", namespace="ns")


async def test_redirects_are_not_followed() -> None:
    async with scripted(answer({}, 307, Location="http://127.0.0.1:1/")) as (server, kube):
        with pytest.raises(ApiError, match="HTTP 307"):
            await kube.get(CONFIG_MAPS, "a", namespace="ns")
        assert len(server.requests) == 1


async def test_retry_after_reaches_the_caller_and_nothing_is_repeated() -> None:
    async with scripted(refusal(429, "TooManyRequests", Retry_After="3")) as (server, kube):
        with pytest.raises(TooManyRequests) as caught:
            await kube.get(CONFIG_MAPS, "a", namespace="ns")
        assert len(server.requests) == 1
    assert caught.value.retry_after == 3.0


async def test_at_401_the_token_file_is_read_again_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    async def unauthorized(request: web.Request) -> web.StreamResponse:
        token.write_text("new")
        return await refusal(401, "Unauthorized")(request)

    async with scripted(unauthorized, answer(config_map("a", 1)), token_file=str(token)) as (server, kube):
        await kube.create(CONFIG_MAPS, config_map("a", 0))
        assert [r.headers["Authorization"] for r in server.requests] == ["Bearer old", "Bearer new"]


async def test_at_401_with_the_same_token_nothing_is_repeated(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with scripted(refusal(401, "Unauthorized", "who are you"), token_file=str(token)) as (server, kube):
        with pytest.raises(Unauthorized, match="who are you"):
            await kube.get(CONFIG_MAPS, "a", namespace="ns")
        assert len(server.requests) == 1


async def test_a_token_file_that_vanishes_keeps_the_old_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with scripted(refusal(401, "Unauthorized"), answer({}), token_file=str(token)) as (server, kube):
        token.unlink()
        with pytest.raises(Unauthorized):
            await kube.get(CONFIG_MAPS, "a", namespace="ns")
        await kube.get(CONFIG_MAPS, "a", namespace="ns")
        assert server.requests[-1].headers["Authorization"] == "Bearer old"


async def test_requests_say_who_sends_them() -> None:
    config = {"username": "u", "password": "p", "impersonate_user": "jane", "impersonate_groups": ("a", "b")}
    async with scripted(answer({}), **config) as (server, kube):
        await kube.get(CONFIG_MAPS, "a", namespace="ns")
        headers = server.requests[0].headers
    assert headers["Authorization"] == "Basic dTpw"
    assert headers["Impersonate-User"] == "jane"
    assert headers.getall("Impersonate-Group") == ["a", "b"]
    assert headers["User-Agent"].startswith("drplan/")


async def test_the_body_and_the_query_of_writes() -> None:
    async with scripted(answer(config_map("a", 2))) as (server, kube):
        await kube.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, namespace="ns", subresource="status")
        await kube.delete(CONFIG_MAPS, "a", namespace="ns", uid="u", resource_version="7", propagation="Foreground")
        await kube.apply(CONFIG_MAPS, config_map("a", 0), force=False, field_manager="me")
    patch, delete, apply = server.requests
    assert patch.path.endswith("/configmaps/a/status")
    assert patch.headers["Content-Type"] == "application/merge-patch+json"
    assert orjson.loads(server.bodies[1]) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
        "propagationPolicy": "Foreground",
    }
    assert delete.method == "DELETE"
    assert apply.headers["Content-Type"] == "application/apply-patch+yaml"
    assert (apply.query["force"], apply.query["fieldManager"]) == ("false", "me")


async def test_apply_says_whether_it_created() -> None:
    async with scripted(answer(config_map("a", 1), 201), answer(config_map("a", 1))) as (_, kube):
        assert (await kube.apply(CONFIG_MAPS, config_map("a", 0)))[1] is True
        assert (await kube.apply(CONFIG_MAPS, config_map("a", 0)))[1] is False


async def test_lists_are_read_in_pages_and_items_carry_their_kind() -> None:
    bare = {"metadata": {"name": "a"}}
    pages = [answer(listing(5, bare, token="next")), answer(listing(5, bare))]
    async with scripted(*pages) as (server, kube):
        items = await kube.list_all(CONFIG_MAPS, namespace="ns")
    assert [item["kind"] for item in items] == ["ConfigMap", "ConfigMap"]
    assert server.requests[1].query["continue"] == "next"
    assert "resourceVersion" not in server.requests[0].query


async def test_a_list_that_expires_between_pages_is_begun_anew() -> None:
    whole = listing(9, config_map("x", 1), config_map("y", 2))
    script = [answer(listing(5, config_map("a", 1), token="next")), refusal(410, "Expired"), answer(whole)]
    async with scripted(*script) as (server, kube):
        items = await kube.list_all(CONFIG_MAPS)
    assert [item["metadata"]["name"] for item in items] == ["x", "y"]
    assert ["continue" in request.query for request in server.requests] == [False, True, False]
    assert all("limit" in request.query for request in server.requests)


async def test_a_first_page_that_is_gone_is_an_error() -> None:
    async with scripted(refusal(410, "Expired")) as (_, kube):
        with pytest.raises(Gone):
            await kube.list_all(CONFIG_MAPS)


async def test_logs_are_text() -> None:
    async def log(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="one\ntwo")

    async with scripted(log) as (server, kube):
        assert await kube.pod_log("p", "ns", tail_lines=2, container="main") == "one\ntwo"
        assert server.requests[0].path == PODS.path("ns", "p", "log")
        assert server.requests[0].query["tailLines"] == "2"


async def test_requests_are_counted_by_outcome() -> None:
    def count(code: str) -> float:
        value = metrics.REGISTRY.get_sample_value(
            "drplan_kube_requests_total", {"verb": "update", "resource": "configmaps/status", "code": code}
        )
        return value or 0.0

    before = count("409"), count("unavailable")
    async with scripted(refusal(409, "Conflict"), broken()) as (_, kube):
        with pytest.raises(Conflict):
            await kube.replace(CONFIG_MAPS, config_map("a", 1), subresource="status")
        with pytest.raises(ApiUnavailable):
            await kube.replace(CONFIG_MAPS, config_map("a", 1), subresource="status")
    assert (count("409"), count("unavailable")) == (before[0] + 1, before[1] + 1)


async def test_many_requests_travel_at_once() -> None:
    waiting = 0
    everybody = asyncio.Event()

    async def together(request: web.Request) -> web.StreamResponse:
        nonlocal waiting
        waiting += 1
        if waiting == 150:
            everybody.set()
        await everybody.wait()
        return await answer({})(request)

    async with scripted(together) as (_, kube):
        await asyncio.gather(*(kube.get(CONFIG_MAPS, "a", namespace="ns") for _ in range(150)))


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="outside its `async with`"):
        await KubeClient(ConnectionConfig(server="http://127.0.0.1:1")).get(CONFIG_MAPS, "a", namespace="ns")


async def test_names_and_namespaces_come_from_the_body_or_are_demanded() -> None:
    async with scripted(answer({})) as (server, kube):
        with pytest.raises(ValueError, match=r"metadata\.namespace of a ConfigMap is missing"):
            await kube.create(CONFIG_MAPS, {"metadata": {"name": "a"}})
        with pytest.raises(ValueError, match=r"metadata\.name"):
            await kube.replace(CONFIG_MAPS, {"metadata": {"namespace": "ns"}})
        assert server.requests == []


def test_warnings_are_read_from_their_headers() -> None:
    headers = [
        '299 - "unknown field \\"spec.replica\\""',
        '299 kube-apiserver "batch/v1beta1 CronJob is deprecated" "Sat, 25 Aug 2012 23:34:45 GMT"',
        "199 - not ours",
        "299 - unquoted",
    ]
    assert list(warnings_of(headers)) == ['unknown field "spec.replica"', "batch/v1beta1 CronJob is deprecated"]
