"""HTTP actions: one request an attempt (contract: actions, section 3; decisions A1 and A6)."""

from __future__ import annotations

import codecs
import time
from collections.abc import Iterable

from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.engine.templates import secret_values
from app.engine.text import redact
from app.kube.errors import parse_retry_after
from app.models.actions import ActionBody, HttpAction
from app.models.execution import ActionOutputs, HttpResponse
from app.runtime.http_client import HttpCall, HttpReply, HttpSendError
from controller.actions.attempts import Settling, attempt, timed_out
from controller.actions.base import ActionContext
from controller.actions.http_request import CannotPrepare, PreparedRequest, prepare

ATTEMPT_SECONDS = 30.0
"""Longest time for one request, redirects and reading the answer included."""
BODY_BYTES = 1000
"""Bytes of the answer's body that outputs keep."""

_RETRYABLE = frozenset({408, 425, 429})


class HttpExecutor:
    """Sends the request; its success is decided by the status code."""

    async def execute(self, body: ActionBody, context: ActionContext) -> Outcome:
        """Send the request once. The last answer is in the outputs, whether it counted as success or not."""
        block = body.http
        if block is None:
            return Failed("HTTP configuration is required")

        async def work() -> Outcome | Settling:
            try:
                prepared = await prepare(block, context)
            except CannotPrepare as problem:
                return Failed(str(problem), retryable=problem.retryable, retry_after=problem.retry_after)
            return lambda: _send(block, prepared, context)

        async def last_look() -> Outcome:
            return timed_out(context)

        return await attempt(context, work, last_look)

    async def rollback(self, body: ActionBody, outputs: ActionOutputs, context: ActionContext) -> Outcome:  # noqa: ARG002
        """Do nothing: what a request did can only be taken back by a rollback of the user's own."""
        return NothingToDo("No rollback defined for HTTP action")


async def _send(block: HttpAction, prepared: PreparedRequest, context: ActionContext) -> Outcome:
    seconds = min(ATTEMPT_SECONDS, context.remaining())
    call = HttpCall(
        method=prepared.method,
        url=prepared.url,
        headers=prepared.headers,
        body=prepared.body,
        timeout=seconds,
        follow_redirects=block.follow_redirects is not False,
        verify=not block.insecure_skip_verify,
        ca_bundle=block.ca_bundle or None,
        client_cert=prepared.client_cert,
    )
    try:
        reply = await context.http.send(call)
    except HttpSendError as error:
        text = redact(f"HTTP request failed: {error}", prepared.secrets)
        if context.remaining() <= 0:
            return timed_out(context, text)
        return Failed(text, retryable=error.retryable)
    return _judge(block, prepared, reply, prepared.secrets | secret_values(context.scope))


def _judge(block: HttpAction, prepared: PreparedRequest, reply: HttpReply, secrets: Iterable[str]) -> Outcome:
    body = first_bytes(redact(reply.body.decode("utf-8", "replace"), secrets))
    outputs = ActionOutputs(http_response=HttpResponse(status_code=reply.status, body=body))
    accepted = reply.status in block.success_codes if block.success_codes else 200 <= reply.status <= 299
    left_out = f"; {reply.left_out}" if reply.left_out else ""
    if accepted:
        return Succeeded(f"HTTP {prepared.method} succeeded with status {reply.status}{left_out}", outputs)
    return Failed(
        message=(
            f"status code {reply.status} not in success codes"
            if block.success_codes
            else f"unexpected status code: {reply.status}"
        )
        + left_out,
        outputs=outputs,
        retryable=reply.status in _RETRYABLE or reply.status >= 500,
        retry_after=parse_retry_after(reply.headers.get("retry-after"), now=time.time()),
    )


def first_bytes(text: str, limit: int = BODY_BYTES) -> str:
    """Return as much of `text` as fits into `limit` bytes of UTF-8, never part of a character."""
    return codecs.getincrementaldecoder("utf-8")().decode(text.encode("utf-8", "replace")[:limit])
