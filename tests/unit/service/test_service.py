"""Probes and metrics over real sockets, and the manners of the embedded server."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from fastapi import FastAPI, Response

from app.runtime import health as health_module
from app.runtime.health import Health
from app.runtime.settings import CommonSettings
from app.runtime.tasks import TaskOwner
from app.service.probes import new_app
from app.service.server import HttpServer, PortError, ProbePorts, serve_probes
from tests.unit.runtime.pki import Authority


def settings(metrics_port: int) -> CommonSettings:
    return CommonSettings(bind_address="127.0.0.1", health_port=0, metrics_port=metrics_port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def probing(health: Health, metrics_port: int = 0) -> AsyncIterator[tuple[ProbePorts, aiohttp.ClientSession]]:
    async with aiohttp.ClientSession() as session, TaskOwner("test") as owner:
        yield serve_probes(owner, settings(metrics_port), health), session
        owner.cancel_all()


async def ask(session: aiohttp.ClientSession, port: int | None, path: str) -> tuple[int, str]:
    async with session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_probes_answer() -> None:
    async with probing(Health()) as (ports, session):
        assert await ask(session, ports.health, "/healthz") == (200, "ok")
        assert await ask(session, ports.health, "/readyz") == (200, "ok")
        assert (await ask(session, ports.health, "/metrics"))[0] == 404
        assert ports.metrics is None


async def test_a_process_that_is_not_ready_says_why() -> None:
    health = Health()

    async def check() -> str | None:
        return "no list of plans yet"

    async def fine() -> str | None:
        return None

    health.add_check("leader", fine)
    health.add_check("caches", check)
    async with probing(health) as (ports, session):
        assert await ask(session, ports.health, "/readyz") == (503, "caches: no list of plans yet\n")
        status, detail = await ask(session, ports.health, "/readyz?verbose")
        assert (await ask(session, ports.health, "/healthz"))[0] == 200
    assert status == 503
    assert detail == (
        '{"status":"failed","checks":[{"name":"leader","ok":true},'
        '{"name":"caches","ok":false,"problem":"no list of plans yet"}]}'
    )


async def test_metrics_have_their_own_port() -> None:
    async with probing(Health(), free_port()) as (ports, session):
        status, text = await ask(session, ports.metrics, "/metrics")
        assert (await ask(session, ports.metrics, "/healthz"))[0] == 404
    assert status == 200
    assert "drplan_runs_in_flight" in text


async def test_a_port_in_use_is_one_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = HttpServer(new_app("x"), name="health", host="127.0.0.1", port=taken.getsockname()[1])
        with pytest.raises(PortError, match=r"cannot listen on 127\.0\.0\.1:\d+ for health: Address already in use"):
            server.listen()


def slow_app(started: asyncio.Event) -> FastAPI:
    app = new_app("slow")

    @app.get("/slow")
    async def slow() -> Response:
        started.set()
        await asyncio.sleep(0.3)
        return Response("done")

    return app


async def test_open_requests_are_finished_at_the_end() -> None:
    started = asyncio.Event()
    server = HttpServer(slow_app(started), name="slow", host="127.0.0.1", port=0)
    port = server.listen()
    async with aiohttp.ClientSession() as session:
        running = asyncio.create_task(server.run())
        request = asyncio.create_task(ask(session, port, "/slow"))
        await started.wait()
        running.cancel()
        assert await request == (200, "done")
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(aiohttp.ClientConnectionError):
            await ask(session, port, "/slow")


async def test_signals_are_left_to_the_process() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with probing(Health()) as (ports, session):
        await ask(session, ports.health, "/healthz")
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_https() -> None:
    authority = Authority()
    server = HttpServer(slow_app(asyncio.Event()), name="x", host="127.0.0.1", port=0, tls=authority.server_context)
    port = server.listen()
    running = asyncio.create_task(server.run())
    trust = ssl.create_default_context(cadata=authority.pem)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"https://127.0.0.1:{port}/slow", ssl=trust) as response:
            assert await response.text() == "done"
        assert server.serving
    running.cancel()
    await asyncio.wait({running})


async def test_probes_answer_while_the_event_loop_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "ALIVE_SECONDS", 0.5)
    monkeypatch.setattr(health_module, "CHECK_SECONDS", 0.2)
    health = Health()
    answers: dict[str, tuple[int, str]] = {}

    def get(port: int, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ask_all(port: int) -> None:
        for _ in range(100):
            answers.update({path: get(port, path) for path in ("/healthz", "/readyz")})
            if all(status == 503 for status, _ in answers.values()):
                return
            time.sleep(0.2)

    async with probing(health) as (ports, _):
        await asyncio.sleep(0.1)
        thread = threading.Thread(target=ask_all, args=(ports.health,))
        thread.start()
        thread.join(20)  # blocks the loop
        assert answers["/healthz"][0] == answers["/readyz"][0] == 503
        assert "the event loop last turned" in answers["/healthz"][1]
        assert "the event loop last turned" in answers["/readyz"][1]
        async with asyncio.timeout(20):
            while await asyncio.to_thread(get, ports.health, "/healthz") != (200, "ok"):
                await asyncio.sleep(health_module.HEARTBEAT_SECONDS)
