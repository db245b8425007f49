"""The HTTP applications every process serves: probes on one port, metrics on another.

`/healthz` and `/readyz` answer `ok`, or 503 with one line for each problem; `?verbose` answers with JSON that
lists every check.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response

from app.runtime.health import CheckResult, Health
from app.runtime.metrics import Component, Page


def new_app(title: str) -> FastAPI:
    """A FastAPI application without documentation pages."""
    return FastAPI(title=title, openapi_url=None, docs_url=None, redoc_url=None)


def health_app(health: Health) -> FastAPI:
    """`/healthz` and `/readyz`."""
    app = new_app("drplan probes")
    add_probes(app, health)
    return app


def add_probes(app: FastAPI, health: Health) -> None:
    """Add `/healthz` and `/readyz` to an application."""

    @app.get("/healthz")
    async def healthz(request: Request) -> Response:
        return _answer(request, health.live())

    @app.get("/readyz")
    async def readyz(request: Request) -> Response:
        return _answer(request, await health.ready())


def metrics_app(component: Component | None = None) -> FastAPI:
    """`/metrics` of one process, in the format that the scraper asks for; of both without `component`."""
    app = new_app("drplan metrics")
    page = Page(component)

    @app.get("/metrics")
    async def show(request: Request) -> Response:
        content, content_type = page.render(request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": content_type})

    return app


def _answer(request: Request, results: Sequence[CheckResult]) -> Response:
    problems = [result for result in results if not result.ok]
    status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
    if "verbose" in request.query_params:
        detail = {
            "status": "failed" if problems else "ok",
            "checks": [{"name": r.name, "ok": r.ok, **({"problem": r.problem} if r.problem else {})} for r in results],
        }
        return Response(orjson.dumps(detail), status, media_type="application/json")
    text = "".join(f"{result.name}: {result.problem}\n" for result in problems) or "ok"
    return Response(text, status, media_type="text/plain")
