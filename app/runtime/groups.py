"""Doing several things at once without ever losing a cancellation.

`asyncio.TaskGroup` of Python 3.11 and 3.12 loses one when a child fails at the moment in which the parent is
cancelled: the group raises the child's error only. A parent that catches errors and tries again then goes on for ever,
although it was told to end. `asyncio.gather` does the same. What is here differs in one thing: whoever is cancelled
from outside gets CancelledError, whatever else went wrong. And the count of `Task.cancelling` is kept right, which
`demand_not_cancelled` relies on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from app.runtime import last_work
from app.runtime.logging import get_logger

log = get_logger(__name__)

T = TypeVar("T")
U = TypeVar("U")


def first_error(error: BaseException) -> BaseException:
    """Return the first error of a group, however deep it is in groups of its own; any other error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class TaskGroup:
    """Tasks that end together: leaving the block waits for all, the failure of one cancels the rest.

    Failures leave the block as an ExceptionGroup. When the block's own task was cancelled from outside, CancelledError
    leaves it instead, once the children have ended; their failures are logged then.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._errors: list[BaseException] = []
        self._parent: asyncio.Task[Any] | None = None
        self._cancelled_before = 0
        self._leaving = False
        self._woke_parent = False
        self._aborted = False

    async def __aenter__(self) -> Self:
        self._parent = _current()
        self._cancelled_before = self._parent.cancelling()
        return self

    @property
    def ending(self) -> bool:
        """Whether the tasks are being cancelled."""
        return self._aborted

    def create_task(self, work: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Start a task of the group; one that is started while the group ends is cancelled at once."""
        task = asyncio.get_running_loop().create_task(last_work.child(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if self._aborted:
            task.cancel()
        return task

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._parent is not None
        self._leaving = True
        if self._woke_parent:
            self._parent.uncancel()
        if error is not None:
            self._abort()
        await self._wait_for_all()
        if self._parent.cancelling() > self._cancelled_before:
            self._tell_errors(error)
            raise (error if isinstance(error, asyncio.CancelledError) else asyncio.CancelledError)
        errors = self._errors if error is None or isinstance(error, asyncio.CancelledError) else [*self._errors, error]
        if errors:
            raise BaseExceptionGroup("unhandled errors in a TaskGroup", errors) from None

    async def _wait_for_all(self) -> None:
        """Wait until no task is left; a cancellation meanwhile is passed on to them, and counts at the end."""
        if self._woke_parent and not self._tasks:
            await self._pause()  # the cancellation that woke the block may not have arrived yet
        while self._tasks:
            try:
                await asyncio.wait(self._tasks)
            except asyncio.CancelledError:
                if not self._aborted:
                    self._abort()

    async def _pause(self) -> None:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._errors.append(error)
        if self._aborted:
            return
        self._abort()
        if not self._leaving and self._parent is not None and not self._parent.done():
            self._woke_parent = True
            self._parent.cancel()

    def _abort(self) -> None:
        self._aborted = True
        for task in tuple(self._tasks):
            task.cancel()

    def _tell_errors(self, error: BaseException | None) -> None:
        for each in (*self._errors, error):
            if each is not None and not isinstance(each, asyncio.CancelledError):
                log.info("a task failed while it was being cancelled", error=f"{type(each).__name__}: {each}")


async def both(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Do two things at the same time. When one fails the other is cancelled, and the error is raised as it is."""
    try:
        async with TaskGroup() as group:
            one, two = group.create_task(first), group.create_task(second)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return one.result(), two.result()


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do many things at the same time; the results in their order. When one fails, as with `both`."""
    try:
        async with TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def demand_not_cancelled() -> None:
    """Raise CancelledError when the current task was told to end.

    For loops that catch errors and go on: whatever swallowed the cancellation below them, it is not lost.
    """
    if _current().cancelling():
        raise asyncio.CancelledError


def _current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("no task is running")
    return task
