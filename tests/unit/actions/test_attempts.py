"""The deadline of an attempt, and what becomes of errors."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.engine.outcome import Failed, Outcome, Succeeded
from app.kube.errors import (
    AlreadyExists,
    ApiUnavailable,
    Conflict,
    Forbidden,
    KubeError,
    ServerError,
    TooManyRequests,
)
from app.kube.resources import CONFIG_MAPS
from app.models.execution import ActionOutputs
from controller.actions.attempts import Settling, failed, timed_out, within_deadline
from controller.actions.objects import Made, Target
from tests.unit.actions.support import context

pytestmark = pytest.mark.looptime

AWAY = ApiUnavailable("no answer", server="https://127.0.0.1:1", in_doubt=True)
OUTPUTS = ActionOutputs()


async def unexpected() -> Outcome:
    raise AssertionError("must not be called")


@pytest.mark.parametrize(
    ("error", "retryable", "after"),
    [
        (AWAY, True, None),
        (ServerError(503, "ServiceUnavailable", "busy"), True, None),
        (TooManyRequests(429, "TooManyRequests", "slow down", retry_after=3.0), True, 3.0),
        (Conflict(409, "Conflict", "changed"), True, None),
        (AlreadyExists(409, "AlreadyExists", "there"), False, None),
        (Forbidden(403, "Forbidden", "no"), False, None),
    ],
)
def test_errors_become_failures_with_the_servers_text(error: KubeError, retryable: bool, after: float | None) -> None:
    assert failed(error) == Failed(str(error), retryable=retryable, retry_after=after, in_doubt=error is AWAY)


async def test_api_error_is_told_with_what_was_made() -> None:
    async def work() -> Outcome:
        raise AWAY

    where = context()
    assert await within_deadline(where, work, unexpected, lambda: OUTPUTS) == Failed(
        "no answer", OUTPUTS, retryable=True, in_doubt=True
    )


async def test_deadline_ends_the_work_and_the_last_look_decides() -> None:
    async def work() -> Outcome:
        await asyncio.sleep(3600)
        return Succeeded("never")

    async def last_look() -> Outcome:
        return Succeeded("it is there after all")

    where = context(seconds=5.0)
    assert await within_deadline(where, work, last_look) == Succeeded("it is there after all")
    assert asyncio.get_running_loop().time() == where.deadline


async def test_expired_action_is_only_looked_at() -> None:
    where = context(seconds=0.0)

    async def work() -> Outcome:
        raise AssertionError("must not be called")

    async def last_look() -> Outcome:
        return timed_out(where, "still missing")

    assert await within_deadline(where, work, last_look) == Failed("timed out after 0s: still missing", timed_out=True)


async def test_last_look_is_bounded_and_its_errors_are_told() -> None:
    async def hangs() -> Outcome:
        await asyncio.sleep(3600)
        return Succeeded("never")

    async def fails() -> Outcome:
        raise AWAY

    where = context(seconds=0.0)
    hung = await within_deadline(where, unexpected, hangs, lambda: OUTPUTS)
    assert isinstance(hung, Failed)
    assert not hung.retryable
    assert hung.outputs == OUTPUTS
    assert await within_deadline(where, unexpected, fails) == Failed("timed out after 0s: no answer", timed_out=True)


async def test_settling_is_not_cut_off() -> None:
    async def settle() -> Outcome:
        await asyncio.sleep(30)
        return Succeeded("settled")

    async def work() -> Settling:
        return settle

    assert await within_deadline(context(seconds=5.0), work, unexpected) == Succeeded("settled")


async def test_timeouts_of_the_work_itself_are_defects() -> None:
    async def work() -> Outcome:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await within_deadline(context(), work, unexpected)


async def test_secret_values_are_masked() -> None:
    async def work() -> Outcome:
        return Failed("password hunter2 is too short")

    where = context(params={"p": "hunter2"}, secrets=frozenset({"p"}))
    assert await within_deadline(where, work, unexpected) == Failed("password *** is too short")


@pytest.mark.parametrize(
    ("error", "names"),
    [
        (AWAY, ["a", "b"]),
        (ServerError(500, "InternalError", "oops"), ["a", "b"]),
        (Forbidden(403, "Forbidden", "no"), ["a"]),
        (ApiUnavailable("refused", server="x", in_doubt=False), ["a"]),
        (asyncio.CancelledError(), ["a", "b"]),
        (None, ["a"]),
    ],
)
def test_what_may_have_been_made_is_named_without_uid(error: Any, names: list[str]) -> None:
    made, second = Made(), Target(CONFIG_MAPS, "ns", "b")
    made.refs.append(Target(CONFIG_MAPS, "ns", "a").reference("uid-a"))
    try:
        with made.making(second):
            if error is not None:
                raise error
    except (KubeError, asyncio.CancelledError):
        pass
    assert [ref.name for ref in made.all()] == names
    assert [ref.uid for ref in made.all()] == ["uid-a", ""][: len(names)]


async def test_remaining_time_is_never_negative() -> None:
    where = context(seconds=3.0)
    assert where.remaining() == 3.0
    assert replace(where, deadline=where.deadline - 10).remaining() == 0.0
