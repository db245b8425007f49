"""Workers do what would hold up an event loop, and are ended when they do not come back."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from app.runtime.workers import BusyError, OverrunError, Workers, WorkFailedError

pytestmark = pytest.mark.slow

HERE = "tests.unit.runtime.test_workers"


def twice(_ask: object, text: str) -> tuple[str, int]:
    return text * 2, os.getpid()


def asking(ask: Callable[..., Any], name: str) -> str:
    try:
        return f"{name} is {ask('value', name, 1)}"
    except ValueError as error:
        return f"no {name}: {error}"


def spin(_ask: object) -> None:
    while True:
        pass


def die(_ask: object) -> None:
    os._exit(3)


def grow(_ask: object) -> int:
    return len(bytearray(4 * 1024**3))


def fail(_ask: object) -> None:
    raise KeyError("x")


async def test_calls_are_answered_by_a_process_that_is_used_again() -> None:
    async with Workers("test") as workers:
        first = await workers.call(f"{HERE}:twice", "a", seconds=30)
        second = await workers.call(f"{HERE}:twice", "é" * 1_000_000, seconds=30)
    assert first[0] == "aa"
    assert second == ("é" * 2_000_000, first[1])
    assert first[1] != os.getpid()


async def test_a_call_may_ask_and_is_told_errors() -> None:
    async def answer(name: str, values: tuple[Any, ...]) -> Any:
        if values[0] == "b":
            raise ValueError("there is none")
        return (name, *values)

    async with Workers("test") as workers:
        said = [await workers.call(f"{HERE}:asking", name, seconds=30, answer=answer) for name in "ab"]
    assert said == ["a is ('value', 'a', 1)", "no b: there is none"]


@pytest.mark.parametrize(
    ("function", "error", "told"),
    [
        ("spin", OverrunError, r"it took longer than 3\.0 s"),
        ("die", WorkFailedError, "ended"),
        ("grow", WorkFailedError, "it needs too much memory"),
        ("fail", WorkFailedError, "KeyError: 'x'"),
    ],
)
async def test_what_does_not_come_back_is_ended_and_the_next_call_works(
    function: str, error: type[Exception], told: str
) -> None:
    async with Workers("test", processes=1) as workers:
        late = 0.0

        async def watch() -> None:
            nonlocal late
            while True:
                started = time.perf_counter()
                await asyncio.sleep(0.01)
                late = max(late, time.perf_counter() - started)

        watching = asyncio.create_task(watch())
        with pytest.raises(error, match=told):
            await workers.call(f"{HERE}:{function}", seconds=3)
        watching.cancel()
        assert late < 2.0  # the call has three seconds: what holds up the loop for all of them shows
        assert (await workers.call(f"{HERE}:twice", "a", seconds=30))[0] == "aa"


async def test_no_more_than_so_many_wait() -> None:
    async with Workers("test", processes=1, waiting=2) as workers:
        calls = [asyncio.create_task(workers.call(f"{HERE}:spin", seconds=2)) for _ in range(2)]
        await asyncio.sleep(0.1)
        with pytest.raises(BusyError, match="2 large objects are waited for"):
            await workers.call(f"{HERE}:twice", "a", seconds=2)
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in results] == [OverrunError, OverrunError]
