"""A scripted HTTP server for faults that a real API server does not make on demand.

It knows nothing of Kubernetes: each test says what a request gets, down to the bytes on the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from app.kube.client import KubeClient
from app.kube.config import ConnectionConfig

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Scripted:
    """The server: a queue of handlers, used one a request, the last one for ever."""

    handlers: list[Handler]
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        handler = self.handlers.pop(0) if len(self.handlers) > 1 else self.handlers[0]
        return await handler(request)


@asynccontextmanager
async def scripted(*handlers: Handler, **config: Any) -> AsyncIterator[tuple[Scripted, KubeClient]]:
    """Serve the handlers and connect a client to them."""
    server = Scripted(list(handlers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with KubeClient(ConnectionConfig(server=server.url, **config)) as kube:
            yield server, kube
    finally:
        await runner.cleanup()


def answer(body: Any, status: int = 200, **headers: str) -> Handler:
    """A handler that answers with JSON."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=orjson.dumps(body),
            status=status,
            content_type="application/json",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return handler


def refusal(code: int, reason: str, message: str = "no", **headers: str) -> Handler:
    """A handler that answers with a Status."""
    body = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}
    return answer(body, code, **headers)


def broken() -> Handler:
    """A handler that cuts the connection without an answer."""

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return handler


def hanging(seconds: float = 60.0) -> Handler:
    """A handler that takes the request and does not answer."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return web.Response()

    return handler


def stream(*parts: Any, hang: bool = False, pause: float = 0.0, cut: bool = False) -> Handler:
    """A watch: each part (an event, or raw bytes) is sent, then the stream ends, hangs or is cut."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for part in parts:
            await response.write(part if isinstance(part, bytes) else orjson.dumps(part) + b"\n")
            await asyncio.sleep(pause)
        if hang:
            await asyncio.sleep(60)
        if cut:
            assert request.transport is not None
            request.transport.abort()
        return response

    return handler


def config_map(name: str, version: int, **fields: Any) -> dict[str, Any]:
    """A ConfigMap as the server would send it."""
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata | fields.pop("metadata", {}), **fields}


def event(type_: str, obj: dict[str, Any]) -> dict[str, Any]:
    """A watch event."""
    return {"type": type_, "object": obj}


def bookmark(version: int) -> dict[str, Any]:
    """A bookmark event."""
    return event("BOOKMARK", {"kind": "ConfigMap", "metadata": {"resourceVersion": str(version)}})


def listing(version: int, *items: dict[str, Any], token: str = "") -> dict[str, Any]:
    """A List object."""
    metadata = {"resourceVersion": str(version)} | ({"continue": token} if token else {})
    return {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": list(items)}
