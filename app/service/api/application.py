"""The application behind `/api/v1`: its paths, its OpenAPI document, its errors, and how many requests it takes on.

It has a port of its own, but shares an event loop with admission, so it has limits of its own. Where a setting puts
both on one port, nothing of it is on the way of a review: `with_api` looks at the path only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.kube.client import KubeClient
from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.workers import Workers
from app.service.api.access import Gatekeeper
from app.service.api.answers import answer_bytes, problem
from app.service.api.params import known_parameters
from app.service.api.problems import ProblemError, bad_parameters
from app.service.api.reads import Reader
from app.service.api.routes import execution_routes, plan_routes
from app.service.server import AsgiApp, Message

log = get_logger(__name__)

PREFIX = "/api/v1"
SECONDS = 20.0
"""How long one answer may take."""

_ABOUT = """Plans, executions, full histories and timelines, read-only.

Authentication is by the cluster's own bearer tokens; whoever may `get` or `list` `drplans` and `drplanexecutions` of
the group dr.bkbcs.tencent.com in a namespace may read them here. Every error is a Status object. `HEAD` works too.
"""


def api_app(kube: KubeClient, *, open_to_all: bool, at_once: int = 16, workers: Workers | None = None) -> AsgiApp:
    """The API. With `open_to_all` it needs no token; beyond `at_once` requests it answers 429.

    With `workers`, large answers are made there and not in the event loop.
    """
    app = FastAPI(
        title="drplan", version=version("drplan"), description=_ABOUT, openapi_url=None, docs_url=None, redoc_url=None
    )
    app.router.redirect_slashes = False
    gatekeeper, reader = Gatekeeper(kube, open_to_all=open_to_all), Reader(kube, workers)
    app.include_router(plan_routes(reader, gatekeeper), prefix=PREFIX)
    app.include_router(execution_routes(reader, gatekeeper), prefix=PREFIX)

    @cache
    def document() -> bytes:
        return orjson.dumps(openapi_document(app))

    @app.get(f"{PREFIX}/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        return await answer_bytes(request, document())

    @app.exception_handler(ProblemError)
    async def on_problem(_request: Request, error: ProblemError) -> Response:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def on_parameters(request: Request, error: RequestValidationError) -> Response:
        known = known_parameters(request.url.path)
        return problem(bad_parameters(dict(_cause(each, known) for each in error.errors())))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        text = f"{request.method} {request.url.path}: {error.detail}; {PREFIX}/openapi.json describes what there is"
        return problem(ProblemError(HTTPStatus(error.status_code), text, headers=dict(error.headers or {})))

    @app.exception_handler(Exception)
    async def on_bug(_request: Request, _error: Exception) -> Response:
        text = "internal error; the log of the service says more"
        return problem(ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, text))

    return _Shell(app, at_once)


def with_api(admission: AsgiApp, api: AsgiApp) -> AsgiApp:
    """One application of both: paths below `/api/` go to the API, all others to admission."""

    async def dispatch(scope: Message, receive: Any, send: Any) -> None:  # noqa: ANN401  (ASGI)
        chosen = api if scope["type"] == "http" and scope["path"].startswith("/api/") else admission
        await chosen(scope, receive, send)

    return dispatch


def moved_app(port: Callable[[], int]) -> AsgiApp:
    """What answers paths of the API on the port of admission, where it once was: it says where the API is now."""

    async def app(scope: Message, receive: Any, send: Any) -> None:  # noqa: ANN401  (ASGI)
        text = (
            f"this port is for admission reviews only; the HTTP API is on port {port()} of the service "
            "(setting `api_port`, value `api.port` of the chart)"
        )
        await problem(ProblemError(HTTPStatus.MISDIRECTED_REQUEST, text))(scope, receive, send)

    return app


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the API."""
    document = app.openapi()
    document["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of the cluster, such as `kubectl create token` prints. Not needed while the "
            "service is bound to a loopback address, unless its setting `api_auth` is `always`.",
        }
    }
    document["security"] = [{"token": []}]
    return document


class _Shell:
    """What goes around every request: the limit, the deadline, HEAD, the log line, the metrics, the last resort."""

    def __init__(self, app: FastAPI, at_once: int) -> None:
        self._app = app
        self._at_once = at_once
        self._in_flight = 0

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:  # noqa: ANN401  (ASGI)
        inner = dict(scope)
        head = scope["method"] == "HEAD"
        if head:
            inner["method"] = "GET"
        started, sent = time.perf_counter(), {"code": 0}

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent["code"] = message["status"]
            elif head:
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        self._in_flight += 1
        try:
            refusal = await self._serve(inner, receive, note)
            if refusal is not None and not sent["code"]:
                await problem(refusal)(inner, receive, note)
        finally:
            self._in_flight -= 1
            _record(inner, scope["method"], sent["code"], time.perf_counter() - started)

    async def _serve(self, scope: Message, receive: Any, send: Any) -> ProblemError | None:  # noqa: ANN401
        if self._in_flight > self._at_once:
            text = f"{self._at_once} requests are being answered, try again in a second"
            return ProblemError(HTTPStatus.TOO_MANY_REQUESTS, text, retry_after=1)
        try:
            async with asyncio.timeout(SECONDS):
                await self._app(scope, receive, send)
        except TimeoutError:
            text = f"no answer within {SECONDS:g} s; ask for less: one namespace, one plan (parameter `plan`)"
            return ProblemError(HTTPStatus.GATEWAY_TIMEOUT, text)
        except Exception as error:  # answered by `on_bug`; Starlette raises it again so that it is seen
            log.error("api request failed", path=scope["path"], exc_info=error)
        return None


def _record(scope: Message, method: str, code: int, seconds: float) -> None:
    """One log line and the metrics. Query strings stay out: people put tokens there by mistake."""
    template = getattr(scope.get("route"), "path", "")
    route = PREFIX + template.removeprefix(PREFIX) if template else "other"
    metrics.api_requests_total.labels(route, str(code)).inc()
    metrics.api_request_duration_seconds.labels(route).observe(seconds)
    log.info(
        "api request",
        method=method,
        path=scope["path"],
        code=code,
        user=scope.get("drplan.user", ""),
        client=(scope.get("client") or ("",))[0],
        seconds=round(seconds, 4),
    )


def _cause(error: Any, known: str) -> tuple[str, str]:  # noqa: ANN401  (pydantic's ErrorDetails)
    """The parameter that is wrong, and what was found and is accepted."""
    name = str(error["loc"][-1])
    if error["type"] == "extra_forbidden":
        return name, f"there is no such parameter; accepted: {known}"
    text = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        text = "expected a name of lower-case letters, digits, `-` and `.`"
    return name, f"found {str(error['input'])[:100]!r}: {text[:1].lower()}{text[1:]}"
