"""How many objects a page of a list may have, so that it is neither slow to decode nor large in memory.

The API server counts objects, not bytes. So a page that turns out too large is not read to its end, and is asked for
again with fewer objects; the next one of that type then begins with as few. So does the one after a page that did not
come in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from app.kube.bodies import JsonObject
from app.kube.errors import AnswerTooLarge, ApiUnavailable
from app.kube.resources import Resource
from app.kube.transport import MOST_BYTES

LIST_PAGE = 200
"""Objects a page of a whole collection: a page is decoded in one go, which must not hold up the event loop."""
PAGE_BYTES = 768 * 1024
"""Bytes of a page of several objects, for the same reason: decoding takes up to 60 ms for each MiB, and neither a
thread nor another process can spare the event loop that. A single object may have more."""
_SHRINK = 4
SLOW_SECONDS = 10.0
"""How long no answer may come until the next page has fewer objects: the server may be busy with a large one."""
SLOW_PAGE = 12
"""Objects that such a page has at least: a server that hangs answers no page, however small."""

ReadPage = Callable[[int | None, int], Awaitable[JsonObject]]
"""Reads a page of so many objects and bytes at most. Raises AnswerTooLarge."""


class PageSizes:
    """Remembers the types whose objects are large."""

    def __init__(self) -> None:
        self._most: dict[Resource, int] = {}

    async def read(self, resource: Resource, limit: int | None, read: ReadPage) -> JsonObject:
        """Read one page of `limit` objects or fewer; a collection in one go without a limit."""
        if limit is None:
            return await read(None, MOST_BYTES)
        while (size := min(limit, self._most.get(resource, limit))) > 1:
            began = asyncio.get_running_loop().time()
            try:
                return await read(size, PAGE_BYTES)
            except AnswerTooLarge:
                self._most[resource] = max(1, size // _SHRINK)
            except ApiUnavailable:
                if asyncio.get_running_loop().time() - began >= SLOW_SECONDS and size > SLOW_PAGE:
                    self._most[resource] = max(SLOW_PAGE, size // _SHRINK)
                raise
        return await read(size, MOST_BYTES)
