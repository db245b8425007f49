"""How many objects a page of a list may have, so that it is neither slow to decode nor large in memory.

The API server counts objects, not bytes. So a page that turns out too large is not read to its end, and is asked for
again with fewer objects; the next one of that type then begins with as few. A page that does not come in time is asked
for again with fewer objects as well, down to one: a server that reads its objects from etcd may never get a large one
done. What was slow once may have been so because the server was busy: with every quick page the next has more again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from app.kube.bodies import JsonObject
from app.kube.errors import AnswerTooLarge, ApiUnavailable, KubeError, ServerError
from app.kube.resources import Resource
from app.kube.transport import MOST_BYTES

LIST_PAGE = 200
"""Objects a page of a whole collection: a page is decoded in one go, which must not hold up the event loop."""
PAGE_BYTES = 768 * 1024
"""Bytes of a page of several objects, for the same reason: decoding takes up to 60 ms for each MiB, and neither a
thread nor another process can spare the event loop that. A single object may have more."""
_SHRINK = 4
SLOW_SECONDS = 10.0
"""How long a page of many objects may take before it is asked for with fewer: it may be too large for the server."""
SLOW_PAGE = 12
"""Objects of a page that is waited for as long as the caller wants: a server that is merely slow answers that one."""
QUICK_SECONDS = 1.0
"""A page that comes within this time lets the next have twice as many objects, up to what was asked for."""

ReadPage = Callable[[int | None, int], Awaitable[JsonObject]]
"""Reads a page of so many objects and bytes at most. Raises AnswerTooLarge."""


class PageSizes:
    """Remembers the types whose objects are large, and those that the server is slow to read."""

    def __init__(self) -> None:
        self._most: dict[Resource, int] = {}
        self._in_time: dict[Resource, int] = {}

    async def read(self, resource: Resource, limit: int | None, read: ReadPage) -> JsonObject:
        """Read one page of `limit` objects or fewer; a collection in one go without a limit.

        Raises what `read` does. A page of few objects that came too late raises as well; the next one has fewer.
        """
        if limit is None:
            return await read(None, MOST_BYTES)
        while True:
            size = min(limit, self._most.get(resource, limit), self._in_time.get(resource, limit))
            try:
                page = await self._timed(resource, size, read)
            except AnswerTooLarge:
                if size == 1:
                    raise
                self._most[resource] = max(1, size // _SHRINK)
            else:
                if page is not None:
                    return page

    async def _timed(self, resource: Resource, size: int, read: ReadPage) -> JsonObject | None:
        """Return a page; None when it did not come in time, and one of fewer objects is to be tried."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        is_many = size > SLOW_PAGE
        try:
            async with asyncio.timeout(SLOW_SECONDS if is_many else None):
                page = await read(size, PAGE_BYTES if size > 1 else MOST_BYTES)
        except TimeoutError:
            self._in_time[resource] = _smaller(size)
            if not is_many:
                raise
            return None
        except KubeError as error:
            if _is_too_slow(error, loop.time() - began):
                self._in_time[resource] = _smaller(size)
            raise
        if resource in self._in_time and loop.time() - began <= QUICK_SECONDS:
            self._in_time[resource] = max(self._in_time[resource], 2 * size)
        return page


def _smaller(size: int) -> int:
    return max(1, size // _SHRINK)


def _is_too_slow(error: KubeError, seconds: float) -> bool:
    """Tell whether fewer objects might come: no answer in time, or one that the server gave up after a long time."""
    if isinstance(error, ApiUnavailable) and error.in_doubt and isinstance(error.__cause__, TimeoutError):
        return True
    return seconds >= SLOW_SECONDS and isinstance(error, ApiUnavailable | ServerError)
