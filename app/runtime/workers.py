"""Work on what users wrote, in processes of its own that can be ended: no object holds up an event loop.

A thread would not do: much of what takes long (JSON, YAML, validation, regular expressions) keeps the interpreter, and
a thread cannot be ended. A library's process pool would not do either: its workers outlive a process that is killed,
or wait for locks in shared memory. These end with the pipe that they read from.
"""

from __future__ import annotations

import asyncio
import pickle  # nosec B403
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.worker import ERROR, HEAD, QUESTION

log = get_logger(__name__)

Answer = Callable[[str, tuple[Any, ...]], Awaitable[Any]]
"""Answers a question that a call asks."""


class WorkFailedError(Exception):
    """A call gave no result; the message says why, in words for whoever wrote the object."""

    result = "crashed"


class OverrunError(WorkFailedError):
    """It took longer than it may, and was ended."""

    result = "overrun"


class BusyError(WorkFailedError):
    """Too many calls wait."""

    result = "busy"


async def _no_answer(name: str, values: tuple[Any, ...]) -> Any:  # noqa: ANN401
    raise RuntimeError(f"{name} with {len(values)} values is not answered here")


class Workers:
    """At most `processes` workers, started when they are needed. Use as `async with Workers("name") as workers:`."""

    def __init__(self, name: str, *, processes: int = 2, waiting: int = 64) -> None:
        self._name = name
        self._places = asyncio.Semaphore(processes)
        self._waiting = 0
        self._most_waiting = waiting
        self._idle: list[Process] = []
        self._busy: set[Process] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (*self._idle, *self._busy):
            await _end(process)

    async def call(self, function: str, *arguments: object, seconds: float, answer: Answer = _no_answer) -> Any:  # noqa: ANN401
        """Have a worker call `module:function` with something to ask with, and the arguments; return its result.

        Raises WorkFailedError. What the call asks is answered by `answer`; its errors are raised where it asked.
        """
        started, result = time.perf_counter(), "success"
        try:
            return await self._call(function, arguments, seconds, answer)
        except WorkFailedError as error:
            result = error.result
            log.warning("work was given up", workers=self._name, function=function, error=str(error))
            raise
        finally:
            metrics.worker_calls_total.labels(result).inc()
            metrics.worker_call_seconds.observe(time.perf_counter() - started)

    async def _call(self, function: str, arguments: tuple[object, ...], seconds: float, answer: Answer) -> Any:  # noqa: ANN401
        if self._waiting >= self._most_waiting:
            raise BusyError(f"{self._waiting} large objects are waited for, try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                async with self._places:
                    process = self._idle.pop() if self._idle else await _start()
                    self._busy.add(process)
                    try:
                        result = await _talk(process, (function, arguments, seconds), answer)
                    except BaseException:
                        await _end(process)
                        raise
                    finally:
                        self._busy.discard(process)
                    self._idle.append(process)
        except TimeoutError:
            raise OverrunError(f"it took longer than {seconds:.1f} s: make it smaller or simpler") from None
        except (EOFError, OSError) as error:
            raise WorkFailedError("the process that looked at it ended: make it smaller or simpler") from error
        finally:
            self._waiting -= 1
        frame, value = result
        if frame == ERROR:
            raise WorkFailedError(str(value))
        return value


async def _start() -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.runtime.worker", stdin=PIPE, stdout=PIPE, start_new_session=True
    )


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            await process.wait()


async def _talk(process: Process, call: object, answer: Answer) -> tuple[str, Any]:
    await _write(process, call)
    while True:
        frame, value = await _read(process)
        if frame != QUESTION:
            return frame, value
        name, values = value
        said: tuple[Any, Exception | None]
        try:
            said = (await answer(name, values), None)
        except Exception as error:
            said = (None, error)
        await _write(process, said)


async def _write(process: Process, value: object) -> None:
    assert process.stdin is not None
    data = pickle.dumps(value)
    process.stdin.write(HEAD.pack(len(data)) + data)
    await process.stdin.drain()


async def _read(process: Process) -> Any:  # noqa: ANN401
    assert process.stdout is not None
    (size,) = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
    return pickle.loads(await process.stdout.readexactly(size))  # noqa: S301 # nosec B301 - from a process of ours
