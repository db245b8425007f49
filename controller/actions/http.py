"""HTTP actions: one request an attempt (contract: actions 3; decisions A1 and A6)."""

from __future__ import annotations

import codecs
import time
from collections.abc import Iterable
from datetime import timedelta

from app.engine.durations import parse_duration
from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.engine.templates import secret_values
from app.engine.text import redact, redact_start, single_line
from app.kube.errors import parse_retry_after
from app.models.actions import ActionBody, HttpAction
from app.models.execution import ActionOutputs, HttpResponse
from app.runtime.http_client import HttpCall, HttpReply
from app.runtime.http_errors import HttpSendError
from controller.actions.attempts import Settling, timed_out, within_deadline
from controller.actions.base import ActionContext
from controller.actions.http_request import CannotPrepareError, PreparedRequest, prepare

BODY_BYTES = 1000
"""Bytes of the answer's body that outputs keep."""
WORDS = 200
"""Characters of the answer's body in the message of a failure."""

_RETRYABLE = frozenset({408, 425, 429})
_NOT_TAKEN = frozenset({425, 429})
"""Statuses by which a target says that it did nothing yet."""
_SEE_OTHER = 303
_UNREADABLE = "\ufffd"


class HttpExecutor:
    """Sends the request; its success is decided by the status code."""

    async def execute(self, body: ActionBody, context: ActionContext) -> Outcome:
        """Send the request once. The last answer is in the outputs, whether it counted as success or not."""
        block = body.http
        if block is None:
            return Failed("HTTP configuration is required")
        if context.in_doubt and block.at_most_once:
            return Failed("the controller was interrupted while the call was under way", undecided=True)

        async def work() -> Outcome | Settling:
            try:
                prepared = await prepare(block, context)
            except CannotPrepareError as problem:
                return Failed(str(problem), retryable=problem.retryable, retry_after=problem.retry_after)
            return lambda: _send(block, prepared, context)

        async def last_look() -> Outcome:
            return timed_out(context)

        return await within_deadline(context, work, last_look)

    async def rollback(self, body: ActionBody, outputs: ActionOutputs, context: ActionContext) -> Outcome:  # noqa: ARG002
        """Do nothing: what a request did can only be taken back by a rollback of the user's own."""
        return NothingToDo("No rollback defined for HTTP action")


def call_of(block: HttpAction, prepared: PreparedRequest, timeout: float) -> HttpCall:
    """Return the call that a request is sent with; `timeout` is in seconds."""
    return HttpCall(
        method=prepared.method,
        url=prepared.url,
        headers=prepared.headers,
        body=prepared.body,
        timeout=timeout,
        follow_redirects=block.follow_redirects is not False,
        redirect_as_get=block.follow_redirects == "AsGet",
        secret_headers=prepared.secret_headers,
        verify=not block.insecure_skip_verify,
        ca_bundle=block.ca_bundle or None,
        client_cert=prepared.client_cert,
    )


async def _send(block: HttpAction, prepared: PreparedRequest, context: ActionContext) -> Outcome:
    left, own = context.remaining(), _request_timeout(block)
    call = call_of(block, prepared, min(left, own))
    try:
        reply = await context.http.send(call)
    except HttpSendError as error:
        text = redact(f"HTTP request failed: {error}", prepared.secrets)
        if error.timed_out and own < left:
            text += f" (requestTimeout: {block.request_timeout})"
        if error.in_doubt and block.at_most_once:
            return Failed(text, undecided=True)
        if error.timed_out and left <= own:
            return timed_out(context, text)
        return Failed(text, retryable=error.retryable)
    return _judge(block, prepared, reply, prepared.secrets | secret_values(context.scope))


def _request_timeout(block: HttpAction) -> float:
    """Seconds of one attempt by the action's own choice; a value that cannot be read is told at admission."""
    try:
        own = parse_duration(block.request_timeout) if block.request_timeout else timedelta.max
    except ValueError:
        own = timedelta.max
    return own.total_seconds() if own > timedelta(0) else timedelta.max.total_seconds()


def _judge(block: HttpAction, prepared: PreparedRequest, reply: HttpReply, secrets: Iterable[str]) -> Outcome:
    text = text_of(reply, secrets)
    outputs = ActionOutputs(http_response=HttpResponse(status_code=reply.status, body=first_bytes(text)))
    odd = f"; {redact(reply.odd, secrets)}" if reply.odd else ""
    if reply.not_followed and reply.status not in block.success_codes:
        return Failed(redact(reply.not_followed, secrets), outputs)
    if accepted(block, reply):
        return Succeeded(f"HTTP {prepared.method} succeeded with status {reply.status}{odd}", outputs)
    worth = _NOT_TAKEN if block.at_most_once else _RETRYABLE
    return Failed(
        message=unwanted(block, reply) + words(text) + odd,
        outputs=outputs,
        retryable=not reply.done and (reply.status in worth or (reply.status >= 500 and not block.at_most_once)),
        retry_after=parse_retry_after(
            reply.headers.get("retry-after"), now=time.time(), date=reply.headers.get("date")
        ),
    )


def text_of(reply: HttpReply, secrets: Iterable[str]) -> str:
    """Return the body of an answer as text, without secrets."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    masked = redact_start if reply.truncated else redact
    return masked(decode(reply.body, final=not reply.truncated), secrets)


def accepted(block: HttpAction, reply: HttpReply) -> bool:
    """Tell whether the status code of an answer is one that is wanted."""
    if block.success_codes:
        return reply.status in block.success_codes or (reply.done and _SEE_OTHER in block.success_codes)
    return 200 <= reply.status <= 299 or (reply.done and reply.status == _SEE_OTHER)


def unwanted(block: HttpAction, reply: HttpReply) -> str:
    """Return what is to be said of a status code that is not accepted."""
    text = "status code {} not in success codes" if block.success_codes else "unexpected status code: {}"
    return text.format(reply.status)


def words(text: str) -> str:
    """Return what the target says about its refusal, as the end of a message; nothing of a body that is no text."""
    line = single_line(text)
    if not line or line.count(_UNREADABLE) * 10 > len(line):
        return ""
    return f": {line[:WORDS]}{'…' if len(line) > WORDS else ''}"


def first_bytes(text: str, limit: int = BODY_BYTES) -> str:
    """Return as much of `text` as fits into `limit` bytes of UTF-8, never part of a character."""
    return codecs.getincrementaldecoder("utf-8")().decode(text.encode("utf-8", "replace")[:limit])
