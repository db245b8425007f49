"""The watchdog ends what does not end by itself, and gives what was stopped another chance."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from app.runtime.watchdog import EXIT_OVERDUE, TICK_SECONDS, Watchdog

pytestmark = pytest.mark.slow


class Watched:
    """A watchdog on a clock of its own."""

    def __init__(self) -> None:
        self.now = 100.0
        self.reason = ""
        self.ended: list[str] = []
        self.watchdog = Watchdog(end=self.ended.append, clock=lambda: self.now)
        self.watchdog.watch("no longer leads", lambda: self.reason, 5.0)

    def pass_(self, seconds: float) -> None:
        """Let time pass in ticks."""
        for _ in range(round(seconds / TICK_SECONDS)):
            self.now += TICK_SECONDS
            self.watchdog.look()


def test_a_condition_that_holds_for_too_long_ends_the_process() -> None:
    watched = Watched()
    watched.pass_(60)
    watched.reason = "lost"
    watched.pass_(5)
    assert not watched.ended
    watched.pass_(1)
    assert watched.ended[0] == "no longer leads: lost, and it has not ended within 5 s"


def test_one_that_comes_and_goes_does_not() -> None:
    watched = Watched()
    for _ in range(10):
        watched.reason = "lost"
        watched.pass_(4)
        watched.reason = ""
        watched.pass_(1)
    assert not watched.ended


def test_only_time_in_which_the_process_ran_counts() -> None:
    watched = Watched()
    watched.reason = "lost"
    watched.pass_(4)
    watched.now += 3600
    watched.pass_(5)
    assert not watched.ended
    watched.pass_(1)
    assert watched.ended


def test_a_signal_before_anybody_listens_is_kept() -> None:
    watched, told = Watched(), list[str]()
    watched.watchdog.signalled(signal.SIGTERM)
    watched.watchdog.on_signal(lambda: told.append("stop"))
    assert told == ["stop"]
    watched.watchdog.signalled(signal.SIGINT)
    assert told == ["stop", "stop"]


def run(work: str) -> subprocess.Popen[bytes]:
    script = f"""
    import asyncio, sys, time, uvloop
    from app.runtime.watchdog import Watchdog
    watchdog = Watchdog()
    watchdog.start(1.0)
    print("up", flush=True)
    {work}
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


@pytest.mark.parametrize(
    "work", ["time.sleep(60)", "while True: pass", "uvloop.run(asyncio.sleep(60))"], ids=["sleep", "spin", "uvloop"]
)
def test_sigterm_is_obeyed_whatever_the_process_does(work: str) -> None:
    process = run(work)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == EXIT_OVERDUE
    first, *rest = errors.decode().splitlines()
    line = json.loads(first)
    assert line["error"] == "shutdown: told to stop by SIGTERM, and it has not ended within 1 s"
    assert (line["level"], line["exit_code"]) == ("error", 70)
    assert any("<module>" in text for text in rest), "it does not say where the threads stood"


def test_a_loop_is_told_of_the_signal() -> None:
    process = run(
        "stop = asyncio.Event()\n"
        "    async def main():\n"
        "        loop = asyncio.get_running_loop()\n"
        "        watchdog.on_signal(lambda: loop.call_soon_threadsafe(stop.set))\n"
        "        await stop.wait()\n"
        "    uvloop.run(main())\n"
        "    sys.exit(3)"
    )
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 3


def test_stopping_gives_the_signals_back() -> None:
    process = run("watchdog.stop()\n    print('stopped', flush=True)\n    time.sleep(60)")
    assert process.stdout is not None
    assert process.stdout.readline() == b"stopped\n"
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
