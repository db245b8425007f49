"""The HTTPS paths of the admission service.

Whatever happens inside, the API server gets an AdmissionReview with HTTP 200. The exceptions are a body that is none
(400), is too large (413) or comes too slowly (408), and overload (429 with Retry-After, which the API server repeats).
"""

from __future__ import annotations

import asyncio
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
from app.engine.text import cut
from app.kube.registrations import mutate_path, validate_path
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS, Resource
from app.rules.decode import UndecodableError
from app.runtime import metrics
from app.runtime.logging import get_logger
from app.service.probes import new_app
from webhook.bodies import Bodies, BodyError, Gate, OverloadError
from webhook.defaults import Defaulter, default_plan, default_workflow
from webhook.failures import LookupFailedError
from webhook.handlers import Context, review_execution, review_plan, review_workflow, undecodable
from webhook.reverts import stamp_patch
from webhook.review import EnvelopeError, Request, Verdict, answer, parse_review, refused

log = get_logger(__name__)

OPERATIONS = ("CREATE", "UPDATE", "DELETE")
ANSWER_MARGIN = timedelta(seconds=1)
"""How long before the API server's own time-out a review is given up, so that the answer still arrives."""

LOGGED_FIELDS = 20
"""Field paths that the log line of a refusal has."""
LOGGED_PATH = 200

Judge = Callable[[Request], Awaitable[Verdict]]
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
    context: Context, limits: Limits = Limits(), draining: Callable[[], bool] = lambda: False
) -> FastLane:
    """The application with the six paths. While `draining`, answers ask the API server to close the connection."""
    app = new_app("drplan admission")
    endpoints: dict[str, Endpoint] = {}
    door = Door(limits)
    for resource, defaulter in ((WORKFLOWS, default_workflow), (PLANS, default_plan)):
        endpoints[mutate_path(resource)] = _endpoint(resource, _mutating(defaulter), door, draining)
    endpoints[mutate_path(EXECUTIONS)] = _endpoint(EXECUTIONS, _stamping(context), door, draining)
    for resource, reviewer in (
        (WORKFLOWS, review_workflow),
        (PLANS, review_plan),
        (EXECUTIONS, review_execution),
    ):
        judge = _validating(reviewer, context)
        endpoints[validate_path(resource)] = _endpoint(resource, judge, door, draining)
    for path, endpoint in endpoints.items():
        app.add_api_route(path, endpoint, methods=["POST"], name=path.strip("/"))
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


def _mutating(defaulter: Defaulter) -> Judge:
    async def judge(request: Request) -> Verdict:
        return Verdict(allowed=True, patch=defaulter(request))

    return judge


def _stamping(context: Context) -> Judge:
    async def judge(request: Request) -> Verdict:
        return Verdict(allowed=True, patch=await stamp_patch(request, context.lookups))

    return judge


def _validating(reviewer: Callable[[Request, Context], Awaitable[Verdict]], context: Context) -> Judge:
    async def judge(request: Request) -> Verdict:
        return await reviewer(request, context)

    return judge


def _endpoint(resource: Resource, judge: Judge, door: Door, draining: Callable[[], bool]) -> Endpoint:
    """What answers the reviews of one path."""

    async def endpoint(http: HttpRequest) -> Response:
        started = time.perf_counter()
        seconds = _deadline(http.scope["query_string"], door.seconds)
        try:
            body = await door.bodies.read(http, seconds)
            with door.gate.place(len(body)):
                request = parse_review(body)
                left = max(0.1, seconds - (time.perf_counter() - started))
                verdict = await _judge(request, resource, judge, left)
        except OverloadError as error:
            _count(resource, "", "overloaded")
            return Response(str(error), HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "1"}, media_type="text/plain")
        except BodyError as error:
            _count(resource, "", "malformed")
            return Response(str(error), error.status, media_type="text/plain")
        except EnvelopeError as error:
            _count(resource, "", "malformed")
            return Response(str(error), HTTPStatus.BAD_REQUEST, media_type="text/plain")
        _record(resource, request, verdict, time.perf_counter() - started)
        headers = {"Connection": "close"} if draining() else None
        return Response(answer(request, verdict), headers=headers, media_type="application/json")

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


async def _judge(request: Request, resource: Resource, judge: Judge, seconds: float) -> Verdict:
    """The verdict; every error becomes a refusal that says what happened."""
    if request.kind.kind not in ("", resource.kind):
        text = f"this path reviews {resource.kind} objects, found {request.kind.kind}: check the registration"
        return refused(HTTPStatus.BAD_REQUEST, "BadRequest", text)
    if request.operation not in OPERATIONS:
        return refused(HTTPStatus.BAD_REQUEST, "BadRequest", f'unknown operation "{request.operation}"')
    if request.sub_resource:
        return Verdict(allowed=True)
    try:
        async with asyncio.timeout(seconds):
            return await judge(request)
    except UndecodableError as error:
        return undecodable(error)
    except LookupFailedError as error:
        return refused(error.code, error.reason, str(error))
    except TimeoutError:
        text = f"the review did not finish within {seconds:.1f} s, because the API server answers slowly; try again"
        return refused(HTTPStatus.GATEWAY_TIMEOUT, "Timeout", text)
    except RecursionError:
        return refused(HTTPStatus.BAD_REQUEST, "BadRequest", f"the {resource.kind} is nested too deeply")
    except Exception as error:
        log.error("admission review failed", uid=request.uid, kind=resource.kind, exc_info=error)
        text = f"internal error in the admission service; its log has the details under uid {request.uid}"
        return refused(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", text)


def _record(resource: Resource, request: Request, verdict: Verdict, seconds: float) -> None:
    """Count and time the review; a refusal gets one log line, which tells rules but no contents."""
    operation = request.operation if request.operation in OPERATIONS else "other"
    _count(resource, operation, "true" if verdict.allowed else "false")
    metrics.admission_duration_seconds.labels(resource.kind, operation).observe(seconds)
    if verdict.allowed:
        return
    ruled = bool(verdict.findings)
    for rule in {finding.rule for finding in verdict.findings} or {verdict.reason}:
        metrics.admission_denials_total.labels(resource.kind, rule).inc()
    log.info(
        "admission denied",
        kind=resource.kind,
        operation=request.operation,
        namespace=request.namespace,
        name=request.name,
        user=request.user_info.username,
        uid=request.uid,
        dry_run=bool(request.dry_run),
        code=int(verdict.code),
        rules=list(dict.fromkeys(finding.rule for finding in verdict.findings)),
        fields=[cut(finding.path, LOGGED_PATH) for finding in verdict.findings[:LOGGED_FIELDS]],
        findings=len(verdict.findings),
        seconds=round(seconds, 4),
        **({} if ruled else {"error": verdict.message}),
    )


def _count(resource: Resource, operation: str, allowed: str) -> None:
    metrics.admission_requests_total.labels(resource.kind, operation or "other", allowed).inc()
