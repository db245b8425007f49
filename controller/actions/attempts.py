"""What every attempt of an action has in common: its deadline, its error texts, and that it shows no secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from app.engine.outcome import Failed, Outcome
from app.engine.templates import secret_values
from app.engine.text import redact
from app.kube.errors import ApiError, ApiUnavailable, Conflict, KubeError, NotServed, UnknownKind, is_transient
from app.models.execution import ActionOutputs
from controller.actions.base import ActionContext

LAST_LOOK_SECONDS = 10.0
"""How long the one observation after the time-out may take (decision A1)."""


class CameAndWentError(Exception):
    """What the action makes may have been made before and be gone. The text says why; an operator is asked."""


Settling = Callable[[], Awaitable[Outcome]]
"""The rest of an attempt, which minds the deadline itself."""


def failed(error: KubeError, outputs: ActionOutputs | None = None, *, prefix: str = "") -> Failed:
    """Return the outcome of an action that met `error`: the server's own text is the message (contract: actions 1).

    Three things are worth repeating (decision A1): an API server that is away or overloaded; a conflict; a kind that is
    not served yet, or not as it was known, because a CustomResourceDefinition may still bring it.
    """
    repeatable = is_transient(error) or isinstance(error, (Conflict, NotServed))
    return Failed(
        message=f"{prefix}{error}",
        outputs=outputs,
        retryable=repeatable or (isinstance(error, UnknownKind) and error.may_come),
        retry_after=error.retry_after if isinstance(error, ApiError) else None,
        in_doubt=isinstance(error, ApiUnavailable) and error.in_doubt,
    )


def timed_out(context: ActionContext, reason: str = "", outputs: ActionOutputs | None = None) -> Failed:
    """Return the outcome of an action that ran out of time; it is never repeated (decision A1)."""
    detail = f": {reason}" if reason else ""
    return Failed(f"timed out after {context.timeout_text}{detail}", outputs, timed_out=True)


async def within_deadline(
    context: ActionContext,
    work: Callable[[], Awaitable[Outcome | Settling]],
    last_look: Callable[[], Awaitable[Outcome]],
    outputs: Callable[[], ActionOutputs | None] = lambda: None,
) -> Outcome:
    """Run `work` until the action's deadline. When that passes, or has passed already, `last_look` says how it stands.

    `work` may return a function instead of an outcome: what is left then is waiting, which keeps the deadline by itself
    and knows best what to say when it passes. `last_look` changes nothing but what a time-out has to clean up. API
    errors become failures with what `outputs` returns then; `CameAndWentError` leaves the action undecided.
    Values of secret parameters are masked in every message.
    """
    context.reports.follow(outputs)
    try:
        outcome = await _until_deadline(context, work, last_look, outputs)
    except CameAndWentError as doubt:
        outcome = Failed(str(doubt), outputs(), undecided=True)
    return replace(outcome, message=redact(outcome.message, secret_values(context.scope)))


async def _until_deadline(
    context: ActionContext,
    work: Callable[[], Awaitable[Outcome | Settling]],
    last_look: Callable[[], Awaitable[Outcome]],
    outputs: Callable[[], ActionOutputs | None],
) -> Outcome:
    if context.remaining() > 0:
        try:
            async with asyncio.timeout_at(context.deadline) as bound:
                result = await work()
            return await result() if callable(result) else result
        except TimeoutError:
            if not bound.expired():
                raise
        except KubeError as error:
            return failed(error, outputs())
    try:
        async with asyncio.timeout(LAST_LOOK_SECONDS) as bound:
            return await last_look()
    except TimeoutError:
        if not bound.expired():
            raise
        return timed_out(context, "and the API server did not say in time how it stands", outputs())
    except KubeError as error:
        return timed_out(context, str(error), outputs())
