"""One look at what a health check is about. Nothing is changed, and nothing is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import orjson

from app.cel.healthy import compile_healthy_when
from app.cel.ready import compile_ready_when
from app.engine.health import Answer
from app.engine.templates import secret_values
from app.engine.text import redact
from app.engine.when import WhenError
from app.kube.errors import KubeError
from app.models.actions import HttpAction
from app.models.health import HealthCheck, HttpCheck, ResourceCheck
from app.runtime.groups import together
from app.runtime.http_client import HttpReply
from app.runtime.http_errors import HttpSendError
from controller.actions.base import ActionContext
from controller.actions.http import accepted, call_of, text_of, unwanted, words
from controller.actions.http_request import CannotPrepareError, prepare
from controller.actions.objects import Target
from controller.actions.ready import why_not_ready

AT_ONCE = 8
"""Objects of one check that are read at the same time."""
MOST_TOLD = 3
"""Objects that an answer names."""


async def look(check: HealthCheck, context: ActionContext) -> Answer:
    """Make one attempt of a check, within the context's deadline. Values of Secrets are in no answer."""
    if check.http is not None:
        return await _http(check.http, context)
    return await _resources(check.resources, context)


async def _http(check: HttpCheck, context: ActionContext) -> Answer:
    block = check.request()
    try:
        prepared = await prepare(block, context, keyed=False)
    except CannotPrepareError as problem:
        return Answer(healthy=False, text=redact(str(problem), secret_values(context.scope)))
    secrets = prepared.secrets | secret_values(context.scope)
    try:
        reply = await context.http.send(call_of(block, prepared, context.remaining()))
    except HttpSendError as error:
        return Answer(healthy=False, text=redact(f"HTTP request failed: {error}", secrets))
    return _judge(check, block, reply, secrets)


def _judge(check: HttpCheck, block: HttpAction, reply: HttpReply, secrets: Iterable[str]) -> Answer:
    if reply.not_followed:
        return Answer(healthy=False, text=redact(reply.not_followed, secrets))
    text = text_of(reply, secrets)
    if not accepted(block, reply):
        return Answer(healthy=False, text=unwanted(block, reply) + words(text))
    problem = _unexpected(check.healthy_when, reply)
    if problem:
        return Answer(healthy=False, text=redact(f"HTTP {reply.status}, but {problem}", secrets))
    return Answer(healthy=True, text=f"HTTP {reply.status}")


def _unexpected(healthy_when: str, reply: HttpReply) -> str:
    """Return why an answer is not as `healthyWhen` says; empty when it is, or nothing is said."""
    if not healthy_when:
        return ""
    try:
        expression = compile_healthy_when(healthy_when)
    except WhenError as error:
        return str(error)
    text = reply.body.decode("utf-8", "replace")
    return expression.problem(status=reply.status, headers=reply.headers, body=_json(reply), text=text)


def _json(reply: HttpReply) -> object:
    try:
        return None if reply.truncated else orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None


async def _resources(checks: tuple[ResourceCheck, ...], context: ActionContext) -> Answer:
    slots = asyncio.Semaphore(AT_ONCE)

    async def looked_at(check: ResourceCheck) -> str:
        async with slots:
            return await _resource(check, context)

    problems = [problem for problem in await together(map(looked_at, checks)) if problem]
    if not problems:
        return Answer(healthy=True, text=f"{len(checks)} object{'s are' if len(checks) > 1 else ' is'} ready")
    more = f"; and {len(problems) - MOST_TOLD} more" if len(problems) > MOST_TOLD else ""
    return Answer(healthy=False, text="; ".join(problems[:MOST_TOLD]) + more)


async def _resource(check: ResourceCheck, context: ActionContext) -> str:
    """Return what is wrong with one object; empty when it is ready."""
    label = f"{check.kind} {check.name}"
    try:
        ready_when = compile_ready_when(check.ready_when) if check.ready_when else None
        resource = await context.kube.resource_for(check.api_version, check.kind)
        namespace = (check.namespace or context.workflow_namespace) if resource.namespaced else ""
        target = Target(resource, namespace, check.name)
        label = target.label
        problem = await why_not_ready(context, target, ready_when)
    except (KubeError, WhenError) as error:
        problem = str(error)
    return f"{label} is not ready: {problem}" if problem else ""
