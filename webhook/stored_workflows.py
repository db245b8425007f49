"""Reading the workflows that a plan references: fresh, and with few requests.

A request costs more than a few objects that nobody asked for. So several workflows of one namespace come with a page of
its list, and with the pages after it as long as these are worth it. Those of a namespace that has many more are read
one by one, and so are the few of a small plan. How many workflows a plan can have at all follows from the size of a
status (`app.rules.estimate`).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from app.engine.object_names import name_problem, namespace_problem
from app.kube.client import KubeClient
from app.kube.errors import ABSENT
from app.kube.resources import WORKFLOWS
from app.runtime import groups
from webhook.failures import READ_SECONDS, as_lookup_failure
from webhook.review import JsonObject

ONE_BY_ONE = 3
"""At most so many workflows of a namespace are read one by one."""

PAGE_FOR_EACH = 4
"""Objects of a list for each one that is wanted: what a review may move beside what it needs."""

MOST_IN_PAGE = 100
"""Objects of a page at most: workflows may have more than 1 MiB each, and a page is in memory as a whole."""

CROWDED_SECONDS = 60.0
"""How long it is remembered that a namespace has many workflows: it is not known to be so for ever."""

MOST_CROWDED = 1_000
"""Namespaces that are remembered as crowded."""

PARALLEL_READS = 8
"""Requests of one review at the same time."""

Key = tuple[str, str]
Found = dict[Key, JsonObject | None]
K = TypeVar("K")
R = TypeVar("R")


class StoredWorkflows:
    """Workflows as the API server has them now: nothing of an object is kept from one call to the next."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._crowded: dict[str, tuple[float, float]] = {}
        """By namespace: how many workflows it had, and until when that is remembered."""

    async def read(self, keys: Iterable[Key]) -> Found:
        """The workflows by namespace and name, each asked for once; None for one that does not exist.

        Raises LookupFailedError.
        """
        asked = list(dict.fromkeys(keys))
        wanted = [key for key in asked if not namespace_problem(key[0]) and not name_problem(key[1])]
        names: dict[str, list[str]] = defaultdict(list)
        for namespace, name in wanted:
            names[namespace].append(name)
        listed = [namespace for namespace in names if self._is_listed(namespace, len(names[namespace]))]
        found: Found = {}
        for page in (await together(lambda namespace: self._pages(namespace, names[namespace]), listed)).values():
            found.update(page)
        found |= await together(self._get, [key for key in wanted if key not in found])
        return {key: found.get(key) for key in asked}

    def _is_listed(self, namespace: str, wanted: int) -> bool:
        stored, until = self._crowded.get(namespace, (0, 0.0))
        return wanted > ONE_BY_ONE and (_is_worth_listing(stored, wanted) or until < time.monotonic())

    async def _pages(self, namespace: str, names: Sequence[str]) -> Found:
        """What the list of the namespace tells of these: all, or those of its first pages if it has many more."""
        wanted, limit = set(names), min(MOST_IN_PAGE, PAGE_FOR_EACH * len(names))
        found: Found = {}
        token, seen = "", 0
        while wanted:
            page = await self._page(namespace, limit, token)
            stored = {item["metadata"]["name"]: item for item in page["items"]}
            found |= {(namespace, name): stored[name] for name in wanted & stored.keys()}
            wanted -= stored.keys()
            seen += len(stored)
            metadata = page.get("metadata", {})
            token = metadata.get("continue")
            if not token:
                return found | {(namespace, name): None for name in wanted}
            left = metadata.get("remainingItemCount", math.inf)
            if not _is_worth_listing(left, len(wanted)):
                self._remember(namespace, seen + left)
                break
        return found

    def _remember(self, namespace: str, stored: float) -> None:
        if len(self._crowded) >= MOST_CROWDED:
            self._crowded.clear()
        self._crowded[namespace] = (stored, time.monotonic() + CROWDED_SECONDS)

    async def _page(self, namespace: str, limit: int, token: str) -> JsonObject:
        async with as_lookup_failure(f"failed to list DRWorkflows of namespace {namespace}"):
            return await self._kube.list(
                WORKFLOWS, namespace=namespace, limit=limit, continue_token=token, timeout=READ_SECONDS
            )

    async def _get(self, key: Key) -> JsonObject | None:
        namespace, name = key
        async with as_lookup_failure(f"failed to get DRWorkflow {namespace}/{name}"):
            try:
                return await self._kube.get(WORKFLOWS, name, namespace=namespace, timeout=READ_SECONDS)
            except ABSENT:
                return None


def _is_worth_listing(stored: float, wanted: int) -> bool:
    """Whether a list of so many workflows is cheaper than reading those that are wanted one by one."""
    return stored <= PAGE_FOR_EACH * wanted


async def together(read: Callable[[K], Awaitable[R]], keys: Sequence[K]) -> dict[K, R]:
    """What `read` gives for each key, PARALLEL_READS at a time. The first error ends those that are under way."""
    places = asyncio.Semaphore(PARALLEL_READS)

    async def one(key: K) -> R:
        async with places:
            return await read(key)

    return dict(zip(keys, await groups.together(one(key) for key in keys), strict=True))
