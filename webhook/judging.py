"""From the body of a review to what is answered and recorded: the whole of it, so that any process can do it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from app.engine.text import cut
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS, Resource
from app.rules.decode import UndecodableError
from app.runtime.logging import get_logger
from webhook.defaults import Defaulter, default_plan, default_workflow
from webhook.failures import LookupFailedError
from webhook.handlers import Context, Reviewer, review_execution, review_plan, review_workflow, undecodable
from webhook.reverts import stamp_patch
from webhook.review import Request, Verdict, answer, parse_review, refused

log = get_logger(__name__)

OPERATIONS = ("CREATE", "UPDATE", "DELETE")
LOGGED_FIELDS = 20
"""Field paths that the log line of a refusal has."""
LOGGED_PATH = 200

Patch = Sequence[Mapping[str, Any]]
Filler = Callable[[Request, Context], Awaitable[Patch]]
"""Fills in what an object lacks."""
REVIEWERS: Mapping[Resource, Reviewer] = {
    WORKFLOWS: review_workflow,
    PLANS: review_plan,
    EXECUTIONS: review_execution,
}


async def _stamp(request: Request, context: Context) -> Patch:
    return await stamp_patch(request, context.lookups)


def _plainly(defaulter: Defaulter) -> Filler:
    async def fill(request: Request, context: Context) -> Patch:
        del context
        return defaulter(request)

    return fill


DEFAULTERS: Mapping[Resource, Filler] = {
    WORKFLOWS: _plainly(default_workflow),
    PLANS: _plainly(default_plan),
    EXECUTIONS: _stamp,
}


class HeavyReviewError(Exception):
    """The review has to look at more than an event loop may be held up with."""


@dataclass(frozen=True, slots=True)
class Path:
    """What is done with the reviews of one path."""

    resource: Resource
    defaults: bool
    """The defaults are filled in; False: the object is judged."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of a review: the answer, and what of it is logged and counted."""

    body: bytes
    operation: str
    allowed: bool
    rules: tuple[str, ...]
    """Rules that were broken, each once; the reason of the refusal where no rule refused."""
    told: Mapping[str, object]
    """For the log line of a refusal."""


async def judge(body: bytes, path: Path, context: Context, seconds: float) -> Judged:
    """Judge the review in a body. Raises EnvelopeError when it is none, and HeavyReviewError as look-ups do."""
    request = parse_review(body)
    verdict = await _judge(request, path.resource, _judge_of(path, context), seconds)
    return judged(request, verdict)


def judged(request: Request, verdict: Verdict) -> Judged:
    """Return the answer to a review, and what is recorded of it."""
    rules = tuple(dict.fromkeys(finding.rule for finding in verdict.findings))
    told: dict[str, object] = {
        "operation": request.operation,
        "namespace": request.namespace,
        "name": request.name,
        "user": request.user_info.username,
        "uid": request.uid,
        "dry_run": bool(request.dry_run),
        "code": int(verdict.code),
        "rules": list(rules),
        "fields": [cut(finding.path, LOGGED_PATH) for finding in verdict.findings[:LOGGED_FIELDS]],
        "findings": len(verdict.findings),
    }
    if not rules:
        told["error"] = verdict.message
    return Judged(
        body=answer(request, verdict),
        operation=request.operation if request.operation in OPERATIONS else "other",
        allowed=verdict.allowed,
        rules=rules or (verdict.reason,),
        told={} if verdict.allowed else told,
    )


def _judge_of(path: Path, context: Context) -> Callable[[Request], Awaitable[Verdict]]:
    async def defaulted(request: Request) -> Verdict:
        return Verdict(allowed=True, patch=await DEFAULTERS[path.resource](request, context))

    async def reviewed(request: Request) -> Verdict:
        return await REVIEWERS[path.resource](request, context)

    return defaulted if path.defaults else reviewed


async def _judge(
    request: Request, resource: Resource, judge: Callable[[Request], Awaitable[Verdict]], seconds: float
) -> Verdict:
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
    except HeavyReviewError:
        raise
    except RecursionError:
        return refused(HTTPStatus.BAD_REQUEST, "BadRequest", f"the {resource.kind} is nested too deeply")
    except Exception as error:
        log.error("admission review failed", uid=request.uid, kind=resource.kind, exc_info=error)
        text = f"internal error in the admission service; its log has the details under uid {request.uid}"
        return refused(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", text)
