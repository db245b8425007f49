"""The API around its paths: limits, outages, bugs, decisions that are kept, and what admission sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.kube.client import KubeClient
from app.kube.errors import ApiUnavailable, Gone
from app.kube.tables import MissingColumnsError, table_rows
from app.service.api.access import is_loopback
from app.service.api.answers import takes_gzip
from app.service.api.application import api_app, with_api

TOKEN = {"Authorization": "Bearer secret"}


class FakeKube(KubeClient):
    """A cluster that knows one token, grants what `allowed` says, and has no plans."""

    def __init__(self, *, allowed: bool = True, failure: Exception | None = None) -> None:
        self.allowed = allowed
        self.failure = failure
        self.created: list[str] = []
        self.held: asyncio.Event | None = None

    async def create(self, resource: Any, body: Any, **_more: Any) -> dict[str, Any]:
        self.created.append(body["kind"])
        if body["kind"] == "TokenReview":
            return {"status": {"authenticated": body["spec"]["token"] == "secret", "user": {"username": "ann"}}}
        return {"status": {"allowed": self.allowed}}

    async def list(self, *_arguments: Any, **_more: Any) -> dict[str, Any]:
        if self.held is not None:
            await self.held.wait()
        if self.failure is not None:
            raise self.failure
        return {"items": [], "metadata": {}}


@asynccontextmanager
async def serving(kube: FakeKube, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = api_app(kube, **{"open_to_all": False, **settings})
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://drplan", headers=TOKEN) as client:
        yield client


async def test_decisions_are_kept_for_a_while() -> None:
    kube = FakeKube()
    async with serving(kube) as client:
        for _ in range(3):
            assert (await client.get("/api/v1/plans")).status_code == 200
    assert kube.created == ["TokenReview", "SubjectAccessReview"]


async def test_refusals_are_kept_too() -> None:
    kube = FakeKube(allowed=False)
    async with serving(kube) as client:
        for token in ("secret", "secret", "wrong", "wrong"):
            await client.get("/api/v1/plans", headers={"Authorization": f"Bearer {token}"})
    assert kube.created == ["TokenReview", "SubjectAccessReview", "TokenReview"]


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "secret", "Bearer " + "x" * 20_000])
async def test_other_credentials_are_refused_without_asking_the_cluster(header: str) -> None:
    kube = FakeKube()
    async with serving(kube) as client:
        answer = await client.get("/api/v1/plans", headers={"Authorization": header})
    assert (answer.status_code, kube.created) == (401, [])
    assert "invalid_request" in answer.headers["www-authenticate"]


async def test_an_api_server_that_is_away_is_a_503_with_the_reason() -> None:
    gone = ApiUnavailable("no answer from the API server", server="https://x", in_doubt=False)
    async with serving(FakeKube(failure=gone)) as client:
        answer = await client.get("/api/v1/plans")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["message"] == "cannot list plans: no answer from the API server"


async def test_a_page_that_has_expired_is_a_410_with_advice() -> None:
    async with serving(FakeKube(failure=Gone(410, "Expired", "too old"))) as client:
        answer = await client.get("/api/v1/plans")
    assert (answer.status_code, answer.json()["reason"]) == (410, "Expired")
    assert "from the first page on" in answer.json()["message"]


async def test_too_many_requests_at_once_are_told_to_come_back() -> None:
    kube = FakeKube()
    kube.held = asyncio.Event()
    async with serving(kube, at_once=1) as client:
        first = asyncio.create_task(client.get("/api/v1/plans"))
        while not kube.created or kube.created[-1] != "SubjectAccessReview":
            await asyncio.sleep(0)
        second = await client.get("/api/v1/plans")
        kube.held.set()
        assert (await first).status_code == 200
    assert (second.status_code, second.headers["retry-after"]) == (429, "1")


async def test_a_bug_is_a_500_without_details() -> None:
    async with serving(FakeKube(failure=RuntimeError("secret detail"))) as client:
        answer = await client.get("/api/v1/plans")
    assert answer.status_code == 500
    assert answer.json()["message"] == "internal error; the log of the service says more"


async def test_admission_sees_only_its_own_paths() -> None:
    seen: list[str] = []

    async def admission(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(f"admission {scope['path']}")

    async def api(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(f"api {scope['path']}")

    app = with_api(admission, api)
    for path in ("/validate-x", "/api/v1/plans", "/apis"):
        await app({"type": "http", "path": path}, None, None)  # type: ignore[arg-type]
    assert seen == ["admission /validate-x", "api /api/v1/plans", "admission /apis"]


@pytest.mark.parametrize(
    ("header", "taken"),
    [("gzip, br", True), ("*", True), ("", False), ("br", False), ("gzip;q=0", False), ("gzip; q=0.5", True)],
)
def test_who_takes_gzip(header: str, taken: bool) -> None:
    assert takes_gzip(header) is taken


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("host", False),
    ],
)
def test_loopback_addresses(address: str, local: bool) -> None:
    assert is_loopback(address) is local


def test_a_crd_without_the_columns_says_what_to_do() -> None:
    with pytest.raises(MissingColumnsError, match="columns Message: apply the CRDs"):
        list(table_rows({"columnDefinitions": [{"name": "Plan"}], "rows": []}, ("Plan", "Message")))
