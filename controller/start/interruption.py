"""Starts that somebody calls off while they wait for what they have to read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from app.runtime.groups import TaskGroup

T = TypeVar("T")

TOLD_AFTER = 5.0
"""Seconds of reading after which a start says what it waits for."""


class StartInterruptedError(Exception):
    """The execution was cancelled, deleted or removed while its start was reading; nothing has been run."""


class Starting:
    """The executions that are reading what they need for their start, by uid."""

    def __init__(self) -> None:
        self._called_off: dict[str, asyncio.Event] = {}

    def interrupt(self, uid: str) -> None:
        """Have a start break off, if it is still reading."""
        if uid in self._called_off:
            self._called_off[uid].set()

    @contextmanager
    def noted(self, uid: str) -> Iterator[None]:
        """Hear what is said about a start inside the block, also while it does not read."""
        self._called_off[uid] = asyncio.Event()
        try:
            yield
        finally:
            del self._called_off[uid]

    async def unless_interrupted(
        self, uid: str, reading: Coroutine[Any, Any, T], still_reading: Callable[[], Awaitable[object]] | None = None
    ) -> T:
        """Return what `reading` of a noted start returns or raises. Raises StartInterruptedError.

        It must do nothing that may not be cut off. When it takes longer than `TOLD_AFTER`, `still_reading` is called
        and waited for, once.
        """
        called_off = self._called_off[uid]
        try:
            async with TaskGroup() as group:
                work = group.create_task(reading, name="start/reading")
                interrupted = group.create_task(called_off.wait(), name="start/called-off")
                first = {work, interrupted}
                if still_reading is not None:
                    done, _ = await asyncio.wait(first, timeout=TOLD_AFTER, return_when=asyncio.FIRST_COMPLETED)
                    if not done:
                        await still_reading()
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                interrupted.cancel()
                work.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if work.cancelled():
            raise StartInterruptedError
        return work.result()
