"""Workers do what would hold up an event loop, and are ended when they do not come back."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.runtime import workers as workers_module
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


def nap(_ask: object, seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def die_once(_ask: object, mark: str) -> str:
    if not Path(mark).exists():
        Path(mark).touch()
        os._exit(3)
    return "done"


LIMITED = """
import sys
import time
from app.runtime.worker import limit_memory
limit_memory(sys.argv[1:])
try:
    data = bytearray(int(sys.stdin.read()))
except MemoryError:
    print("too much")
else:
    print("fits")
"""


@pytest.mark.parametrize(
    ("limit", "mebibytes", "said"),
    [
        ("536870912", 60, "fits"),
        ("536870912", 200, "too much"),
        ("1073741824\n", 200, "fits"),
        ("67108864", 150, "too much"),
        ("max", 300, "fits"),
        ("9223372036854771712", 300, "fits"),
        (None, 300, "fits"),
    ],
)
def test_a_worker_leaves_its_container_the_memory(tmp_path: Path, limit: str | None, mebibytes: int, said: str) -> None:
    """Whatever a worker is given: two hostile objects at a time do not end the process that has the workers."""
    file = tmp_path / "memory.max"
    if limit is not None:
        file.write_text(limit)
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "none"), str(file)]
    run = subprocess.run(command, input=str(mebibytes * 1024**2), capture_output=True, text=True, check=True)
    assert run.stdout.strip() == said


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
        turns = 0

        async def watch() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.01)
                turns += 1

        watching = asyncio.create_task(watch())
        with pytest.raises(error, match=told):
            await workers.call(f"{HERE}:{function}", seconds=3 if function == "spin" else 60)
        watching.cancel()
        assert turns >= (5 if function == "spin" else 1)  # with the loop held up for all of the call there is none
        assert (await workers.call(f"{HERE}:twice", "a", seconds=30))[0] == "aa"


async def test_no_more_than_so_many_wait() -> None:
    async with Workers("test", processes=1, waiting=2) as workers:
        calls = [asyncio.create_task(workers.call(f"{HERE}:spin", seconds=2)) for _ in range(2)]
        async with asyncio.timeout(20):
            while workers._waiting < 2:
                await asyncio.sleep(0)
        with pytest.raises(BusyError, match="2 large objects are waited for"):
            await workers.call(f"{HERE}:twice", "a", seconds=2)
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in results] == [OverrunError, OverrunError]


async def test_who_waits_for_a_worker_has_the_whole_time_for_its_own_call() -> None:
    """Of many that need a worker at once none is too large for having had to wait."""
    async with Workers("test", processes=1, waiting=2) as workers:
        await workers.call(f"{HERE}:nap", 0.0, seconds=60)
        calls = [workers.call(f"{HERE}:nap", 0.5, seconds=3, patience=None) for _ in range(10)]
        assert len(set(await asyncio.gather(*calls))) == 1
        spinning = asyncio.create_task(workers.call(f"{HERE}:spin", seconds=3))
        await asyncio.sleep(0.1)
        with pytest.raises(BusyError, match=r"no worker was free within 0\.5 s"):
            await workers.call(f"{HERE}:twice", "a", seconds=2, patience=0.5)
        with pytest.raises(OverrunError):
            await spinning


async def test_a_worker_that_was_ended_by_others_fails_no_call(tmp_path: Path) -> None:
    """As the kernel does when memory is short: while it was idle, and in the midst of a call."""
    async with Workers("test", processes=1) as workers:
        os.kill(await workers.call(f"{HERE}:nap", 0.0, seconds=30), signal.SIGKILL)
        assert (await workers.call(f"{HERE}:twice", "a", seconds=30))[0] == "aa"
        assert await workers.call(f"{HERE}:die_once", str(tmp_path / "mark"), seconds=30) == "done"


async def test_a_worker_that_cannot_be_started_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0
    start = asyncio.create_subprocess_exec

    async def refused(*command: Any, **more: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries in (1, 2, 4):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return await start(*command, **more)

    monkeypatch.setattr(workers_module, "START_SECONDS", 0.01)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", refused)
    async with Workers("test", processes=1) as workers:
        assert (await workers.call(f"{HERE}:twice", "a", seconds=30, patience=None))[0] == "aa"
        assert tries == 3
    async with Workers("test", processes=1) as workers:
        with pytest.raises(BusyError, match="no worker could be started"):
            await workers.call(f"{HERE}:twice", "a", seconds=30, patience=0.0)
