"""What the next process learns of the one that ended: the object that was computed on, and none that merely waited."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.runtime import last_work
from app.runtime.groups import both
from app.runtime.last_work import LastWork, Left, Work

WORK = Work("DRPlan", "shop", "failover", "u-1", 3)
OTHER = Work("DRWorkflow", "bank", "w", "u-2", 1)


def left_by(path: Path) -> tuple[Left, ...]:
    return LastWork(str(path)).left


async def test_an_object_is_named_while_it_computes_and_not_while_it_waits(tmp_path: Path) -> None:
    path = tmp_path / "work"
    seen: dict[str, list[Work]] = {}
    last, gate = LastWork(str(path)), asyncio.Event()

    def look(name: str) -> None:
        seen[name] = [left.work for left in last_work._left_in(path)]

    async def part(name: str) -> None:
        look(name)
        await gate.wait()
        look(f"{name} again")

    async def work() -> str:
        await both(part("one"), part("two"))
        await last_work.to_thread(look, "thread")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        look("at the end")
        return "done"

    task = asyncio.create_task(last.watched(WORK, work()))
    await asyncio.sleep(0.05)
    look("others")
    gate.set()
    assert await task == "done"
    look("afterwards")
    during = ("one", "two", "one again", "two again", "thread", "at the end")
    assert {name: seen[name] for name in during} == {key: [WORK] for key in during}
    assert seen["others"] == seen["afterwards"] == []


async def test_errors_and_cancellations_pass_and_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / "work"
    last = LastWork(str(path))

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await last.watched(WORK, failing())
    task = asyncio.create_task(last.watched(WORK, asyncio.sleep(60)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert last_work._left_in(path) == []


@pytest.mark.parametrize("ticks", [0, 2, 3, 9])
async def test_what_goes_on_for_long_is_told_from_a_short_step(ticks: int, tmp_path: Path) -> None:
    path = tmp_path / "work"
    last = LastWork(str(path))
    last.begin(WORK)
    for _ in range(ticks + 1):
        assert last.tick() == ""
    last.begin(OTHER, slot=5)
    assert left_by(path) == (Left(WORK, long=ticks >= last_work.LONG_TICKS), Left(OTHER, long=False))
    assert left_by(path) == ()


async def test_an_object_that_loop_and_threads_work_on_is_one(tmp_path: Path) -> None:
    path = tmp_path / "work"
    last = LastWork(str(path))
    last.begin(WORK)
    last.begin(WORK, slot=3)
    for _ in range(last_work.LONG_TICKS + 1):
        last.tick()
    last.begin(WORK, slot=7)
    assert left_by(path) == (Left(WORK, long=True),)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_the_file_outlives_a_process_that_is_killed(how: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "work"
    code = f"""
import asyncio, os
from app.runtime.last_work import LastWork, Work
async def work():
    await asyncio.sleep(0)
    os.kill(os.getpid(), {int(how)})
asyncio.run(LastWork({str(path)!r}).watched(Work("DRPlan", "shop", "failover", "u-1", 3), work()))
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONFAULTHANDLER": ""})
    assert ended.returncode == -how
    assert [left.work for left in left_by(path)] == [WORK]


@pytest.mark.parametrize("content", [b"", b"\xff" * 40_000, b"\1\0\0\0\0\0\0\0\4\0[1,2]", b"\1" * 3])
def test_a_file_of_another_sort_is_nothing(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "work"
    path.write_bytes(content)
    assert left_by(path) == ()


def test_a_place_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    last = LastWork(str(tmp_path / "file" / "work"))
    last.begin(WORK)
    last.end()
    assert last.tick() == ""
    assert last.left == ()


def test_a_name_that_does_not_fit_is_not_noted(tmp_path: Path) -> None:
    path = tmp_path / "work"
    LastWork(str(path)).begin(Work("DRPlan", "n", "x" * 5000, "u", 1))
    assert left_by(path) == ()
