"""Work on what users wrote, in processes of its own that can be ended: no object holds up an event loop.

A thread would not do: much of what takes long (JSON, YAML, validation, regular expressions) keeps the interpreter, and
a thread cannot be ended. A library's process pool would not do either: its workers outlive a process that is killed,
or wait for locks in shared memory. These end with the pipe that they read from.
"""

from __future__ import annotations

import asyncio
import math
import pickle  # nosec B403
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.worker import ERROR, HEAD, QUESTION

log = get_logger(__name__)

PATIENCE = 20.0
"""Seconds that a worker is waited for unless the caller says otherwise."""
START_SECONDS = 1.0
"""Between two tries to start a worker."""
Answer = Callable[[str, tuple[Any, ...]], Awaitable[Any]]
"""Answers a question that a call asks."""


class WorkFailedError(Exception):
    """A call gave no result; the message says why, in words for whoever wrote the object."""

    result = "crashed"


class OverrunError(WorkFailedError):
    """It took longer than it may, and was ended."""

    result = "overrun"


class BusyError(WorkFailedError):
    """No worker was free in time, or none could be started: it says nothing about the object."""

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

    async def call(
        self,
        function: str,
        *arguments: object,
        seconds: float,
        patience: float | None = PATIENCE,
        answer: Answer = _no_answer,
    ) -> Any:  # noqa: ANN401
        """Have a worker call `module:function` with something to ask with, and the arguments; return its result.

        `seconds` are those of the call itself, `patience` is how long a worker is waited for; None: as long as the
        caller waits, and however many do. Raises WorkFailedError. What the call asks is answered by `answer`, whose
        errors are raised where it asked.
        """
        started, result = time.perf_counter(), "success"
        if patience is not None and self._waiting >= self._most_waiting:
            metrics.worker_calls_total.labels(BusyError.result).inc()
            raise BusyError(f"{self._waiting} large objects are waited for, try again")
        self._waiting += 1
        try:
            return await self._call((function, arguments, seconds), patience, answer)
        except WorkFailedError as error:
            result = error.result
            log.warning("work was given up", workers=self._name, function=function, error=str(error))
            raise
        finally:
            self._waiting -= 1
            metrics.worker_calls_total.labels(result).inc()
            metrics.worker_call_seconds.observe(time.perf_counter() - started)

    async def _call(self, call: tuple[str, tuple[Any, ...], float], patience: float | None, answer: Answer) -> Any:  # noqa: ANN401
        """Do a call; once more when its worker was ended, which may have been by anything that lacked memory."""
        _, _, seconds = call
        for is_last in (False, True):
            async with self._worker(patience) as process:
                try:
                    async with asyncio.timeout(seconds):
                        frame, value = await _talk(process, call, answer)
                except TimeoutError:
                    raise OverrunError(f"it took longer than {seconds:.1f} s: make it smaller or simpler") from None
                except (EOFError, OSError) as error:
                    if is_last:
                        text = "the process that looked at it ended: make it smaller or simpler"
                        raise WorkFailedError(text) from error
                    await _end(process)
                    continue
            if frame == ERROR:
                raise WorkFailedError(str(value))
            return value
        raise AssertionError("the last try returns or raises")

    @asynccontextmanager
    async def _worker(self, patience: float | None) -> AsyncGenerator[Process]:
        """Have a worker, which is ended when its work does not come to an end. Raises BusyError."""
        try:
            async with asyncio.timeout(patience):
                await self._places.acquire()
        except TimeoutError:
            raise BusyError(f"no worker was free within {patience:g} s, try again") from None
        try:
            process = await self._living(patience)
            self._busy.add(process)
            try:
                yield process
            except BaseException:
                await _end(process)
                raise
            finally:
                self._busy.discard(process)
            if process.returncode is None:
                self._idle.append(process)
        finally:
            self._places.release()

    async def _living(self, patience: float | None) -> Process:
        """Return an idle worker that lives, or a new one, for which memory or descriptors are waited for."""
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        until = math.inf if patience is None else time.monotonic() + patience
        while True:
            try:
                return await _start()
            except OSError as error:
                log.warning("no worker could be started", workers=self._name, error=str(error))
                if time.monotonic() >= until:
                    raise BusyError(f"no worker could be started ({error.strerror}), try again") from error
            await asyncio.sleep(START_SECONDS)


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
