"""The HTTPS paths of the admission service.

Whatever happens inside, the API server gets an AdmissionReview with HTTP 200. The exceptions are a body that is none
(400), is too large (413) or comes too slowly (408), and overload (429 with Retry-After, which the API server repeats).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from http import HTTPStatus

from fastapi import FastAPI, Response
from fastapi import Request as HttpRequest
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from app.engine.durations import parse_duration
from app.kube.registrations import mutate_path, validate_path
from app.kube.resources import Resource
from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.workers import Workers
from app.service.probes import new_app
from webhook.bodies import Bodies, BodyError, Gate, OverloadError
from webhook.handlers import Context
from webhook.judging import DEFAULTERS, REVIEWERS, Judged, Path
from webhook.offloop import judge_somewhere
from webhook.review import EnvelopeError

log = get_logger(__name__)

ANSWER_MARGIN = timedelta(seconds=1)
"""How long before the API server's own time-out a review is given up, so that the answer still arrives."""
Endpoint = Callable[[HttpRequest], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one review, and all together, may take."""

    body_bytes: int = 8 * 1024 * 1024
    seconds: float = 8.0
    at_once: int = 64
    bytes_at_once: int = 16 * 1024 * 1024
    """Of large reviews that are judged together."""
    arriving_bytes: int = 32 * 1024 * 1024
    """Of all bodies that are under way."""


def admission_app(
    context: Context,
    limits: Limits = Limits(),
    draining: Callable[[], bool] = lambda: False,
    workers: Workers | None = None,
) -> FastLane:
    """The application with the six paths. While `draining`, answers ask the API server to close the connection.

    With `workers`, whatever may take long is judged there and not in the event loop.
    """
    app = new_app("drplan admission")
    endpoints: dict[str, Endpoint] = {}
    door = Door(limits)
    for resource in DEFAULTERS:
        path = Path(resource, defaults=True)
        endpoints[mutate_path(resource)] = _endpoint(path, context, door, draining, workers)
    for resource in REVIEWERS:
        path = Path(resource, defaults=False)
        endpoints[validate_path(resource)] = _endpoint(path, context, door, draining, workers)
    for url, endpoint in endpoints.items():
        app.add_api_route(url, endpoint, methods=["POST"], name=url.strip("/"))
    return FastLane(app, endpoints)


class Door:
    """What all paths share: the bodies that are under way, the places of those that are judged, the limits."""

    def __init__(self, limits: Limits) -> None:
        self.seconds = limits.seconds
        self.bodies = Bodies(limits.body_bytes, limits.arriving_bytes)
        self.gate = Gate(limits.at_once, limits.bytes_at_once)


@dataclass(frozen=True, slots=True)
class FastLane:
    """Takes reviews straight to their endpoints; routing and the rest of the framework take longer than the defaulting.

    Whatever else comes goes on to the application.
    """

    app: FastAPI
    endpoints: Mapping[str, Endpoint]
    """By path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        endpoint = self.endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        response = await endpoint(HttpRequest(scope, receive))
        await response(scope, receive, send)


def _endpoint(
    path: Path, context: Context, door: Door, draining: Callable[[], bool], workers: Workers | None
) -> Endpoint:
    """What answers the reviews of one path."""

    async def endpoint(http: HttpRequest) -> Response:
        started = time.perf_counter()
        seconds = _deadline(http.scope["query_string"], door.seconds)
        try:
            body = await door.bodies.read(http, seconds)
            with door.gate.place(len(body)):
                left = max(0.1, seconds - (time.perf_counter() - started))
                judged = await judge_somewhere(body, path, context, left, workers)
        except OverloadError as error:
            _count(path.resource, "", "overloaded")
            return Response(str(error), HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "1"}, media_type="text/plain")
        except BodyError as error:
            _count(path.resource, "", "malformed")
            return Response(str(error), error.status, media_type="text/plain")
        except EnvelopeError as error:
            _count(path.resource, "", "malformed")
            return Response(str(error), HTTPStatus.BAD_REQUEST, media_type="text/plain")
        _record(path.resource, judged, time.perf_counter() - started)
        headers = {"Connection": "close"} if draining() else None
        return Response(judged.body, headers=headers, media_type="application/json")

    return endpoint


@lru_cache(maxsize=64)
def _deadline(query: bytes, ours: float) -> float:
    """Seconds for one review: ours, or less when the API server says that it waits less (`?timeout=10s`)."""
    asked = QueryParams(query).get("timeout")
    try:
        theirs = (parse_duration(asked) - ANSWER_MARGIN).total_seconds() if asked else ours
    except ValueError:
        theirs = ours
    return max(0.5, min(ours, theirs))


def _record(resource: Resource, judged: Judged, seconds: float) -> None:
    """Count and time the review; a refusal gets one log line, which tells rules but no contents."""
    _count(resource, judged.operation, "true" if judged.allowed else "false")
    metrics.admission_duration_seconds.labels(resource.kind, judged.operation).observe(seconds)
    if judged.allowed:
        return
    for rule in judged.rules:
        metrics.admission_denials_total.labels(resource.kind, rule).inc()
    log.info("admission denied", kind=resource.kind, seconds=round(seconds, 4), **judged.told)


def _count(resource: Resource, operation: str, allowed: str) -> None:
    metrics.admission_requests_total.labels(resource.kind, operation or "other", allowed).inc()
