r"""Following a collection: list it, watch it from there, list again when the thread is lost.

What to do next is a pure step machine (`step`); `Reflector` is the thin loop round it that does the requests. The
state is only ever replaced by `step`, so a failure never loses it:

    MustList --listed(rv)--> MustWatch(rv) --line(rv)--> MustWatch(rv')
       ^  \--failed: wait--> MustList          |--ended, broken--> MustWatch(rv)
       |                                       |--gone (410 as HTTP status or ERROR event), refused, line too long,
       +---------------------------------------+  silent, the server's history ends before rv, somebody wants a refresh

A resourceVersion that the server called too old is never used again. One that lies in its future, as after etcd was
restored from a backup, is silent for ever; so what is silent is listed anew, and after a broken watch the server is
asked how far its history goes before the thread is taken up.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from app.kube.client import KubeClient
from app.kube.errors import ApiError, ApiUnavailable, Gone, KubeError, WatchSilent, is_transient
from app.kube.pages import LIST_PAGE
from app.kube.resources import Resource
from app.kube.stream import EventType
from app.runtime import metrics
from app.runtime.groups import TaskGroup, demand_not_cancelled
from app.runtime.logging import get_logger
from app.runtime.tasks import Backoff

log = get_logger(__name__)

GOOD_WATCH_SECONDS = 5.0
"""A watch that lived this long is followed by the next one at once; a shorter one by a delay."""

SILENCE_GROWS = 2.0
"""How many times the usual silence is waited for once a silent watch turned out to have missed nothing.

Servers that send no bookmarks while nothing changes would have to serve the whole list each time."""

MOST_PATIENCE = 30
"""How many times the patience with one page a whole list may take: half an hour with the usual 60 s."""

YIELD_EVERY = 25
"""Objects handed over before other tasks get a turn."""


@dataclass(frozen=True, slots=True)
class MustList:
    """Nothing is known that a watch could start from."""


@dataclass(frozen=True, slots=True)
class MustWatch:
    """Everything up to `resource_version` is known."""

    resource_version: str


State = MustList | MustWatch


@dataclass(frozen=True, slots=True)
class Listed:
    """A list is complete."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Line:
    """A watch event, or a bookmark, has been taken over."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A watch ended without error after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A list failed, or a watch after `seconds`."""

    error: KubeError
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Next:
    """The state to go on from; whether to wait (growing delays) before, and at least how many seconds then."""

    state: State
    wait: bool = False
    at_least: float = 0.0


def step(state: State, happened: Listed | Line | Ended | Failed) -> Next:
    """Return what follows from what happened."""
    match happened:
        case Listed(resource_version) | Line(resource_version):
            return Next(MustWatch(resource_version))
        case Ended(seconds):
            return Next(state, wait=seconds < GOOD_WATCH_SECONDS)
        case Failed(Gone(), seconds):
            return Next(MustList(), wait=seconds < GOOD_WATCH_SECONDS)
        case Failed(WatchSilent()):
            return Next(MustList())
        case Failed(error, seconds) if is_transient(error):
            asked = error.retry_after if isinstance(error, ApiError) else None
            return Next(state, wait=seconds < GOOD_WATCH_SECONDS or asked is not None, at_least=asked or 0.0)
        case Failed():
            return Next(MustList(), wait=True)


class Sink(Protocol):
    """Where a reflector puts what it learns. Calls come from one task, in order."""

    @property
    def known_version(self) -> int:
        """The newest version that is known of the present history; 0 before the first list."""

    def begin(self) -> None:
        """Begin a new list; forget the pages of one that failed."""

    def page(self, items: list[dict[str, Any]]) -> None:
        """Take some objects of the list."""

    def complete(self, resource_version: str) -> None:
        """End the list: what was not in it does not exist (any more)."""

    def event(self, type_: EventType, obj: dict[str, Any]) -> None:
        """One object changed."""

    def bookmark(self, resource_version: str) -> None:
        """Everything up to this version has been delivered."""


class Reflector:
    """Keeps a sink up to date with one collection until cancelled.

    Refusals (a missing permission, a CRD not installed) and failures are logged and tried again with growing
    delays (0.8 s to 30 s, jittered, from the start again after 2 good minutes).
    """

    def __init__(
        self,
        kube: KubeClient,
        resource: Resource,
        sink: Sink,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        inactivity: float = 75.0,
    ) -> None:
        self._kube = kube
        self._resource = resource
        self._sink = sink
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._inactivity = inactivity
        self._patience = inactivity
        self._last_line: float | None = None
        self._broken = False
        self._wanted = asyncio.Event()
        self._listed = asyncio.Event()
        self._listed_from = -math.inf
        self._pages = 0
        self.last_error: KubeError | None = None

    @property
    def seconds_since_last_line(self) -> float:
        """Age of the last sign of life of the list or watch, in seconds; infinite before the first."""
        if self._last_line is None:
            return float("inf")
        return asyncio.get_running_loop().time() - self._last_line

    async def refresh(self, since: float, patience: float) -> None:
        """Return when a list is complete that began at `since` (loop time) or later; `run` must be running.

        Raises TimeoutError as `first_list` does.
        """
        while self._listed_from < since:
            self._listed.clear()
            self._wanted.set()
            await self._until_listed(patience)

    async def first_list(self, patience: float) -> None:
        """Return when a list is complete. Raises TimeoutError when for `patience` seconds no page of one has come.

        How long it takes in all depends on what is stored, so that only a list that stands still is given up, or one
        that comes to no end for many times as long.
        """
        if self._listed_from == -math.inf:
            await self._until_listed(patience)

    async def _until_listed(self, patience: float) -> None:
        for _ in range(MOST_PATIENCE):
            pages = self._pages
            try:
                async with asyncio.timeout(patience):
                    await self._listed.wait()
            except TimeoutError:
                if self._pages == pages:
                    raise
            else:
                return
        raise TimeoutError

    def list_anew(self) -> None:
        """Break off a watch or a delay, and list."""
        self._wanted.set()

    async def run(self) -> None:
        """List and watch for ever."""
        iterations = metrics.loop_iterations_total.labels(f"watch/{self._resource.plural}")
        delays = Backoff()
        state: State = MustList()
        while True:
            demand_not_cancelled()
            iterations.inc()
            then = await self._unless_wanted(self._advance(MustList() if self._wanted.is_set() else state))
            state = then.state
            if then.wait:
                await self._unless_wanted(_pause(max(delays.next(), then.at_least)))

    async def _unless_wanted(self, work: Coroutine[Any, Any, Next]) -> Next:
        """Do `work`, or break it off when somebody wants a refresh."""
        try:
            async with TaskGroup() as group:
                doing, wanted = group.create_task(work), group.create_task(self._wanted.wait())
                await asyncio.wait({doing, wanted}, return_when=asyncio.FIRST_COMPLETED)
                wanted.cancel()
                doing.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return Next(MustList()) if doing.cancelled() else doing.result()

    async def _advance(self, state: State) -> Next:
        """Do what the state asks for, up to its end or failure."""
        if isinstance(state, MustList):
            try:
                version = await self._list()
            except KubeError as e:
                self._report("list", e)
                return step(state, Failed(e))
            return step(state, Listed(version))
        return await self._watch(state)

    async def _list(self) -> str:
        """Read the whole collection in pages into the sink; returns its resourceVersion.

        When it expires between two pages, it is begun anew, in pages again: in one go it may not fit into memory.
        """
        began = asyncio.get_running_loop().time()
        self._wanted.clear()
        self._sink.begin()
        token: str | None = None
        while True:
            page = await self._kube.list(
                self._resource,
                namespace=self._namespace,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
                limit=LIST_PAGE,
                continue_token=token,
            )
            if token is None:
                await self._demand_not_stale(int(page["metadata"]["resourceVersion"]))
            self._alive()
            self._pages += 1
            items = page["items"]
            for start in range(0, len(items), YIELD_EVERY):
                self._sink.page(items[start : start + YIELD_EVERY])
                await asyncio.sleep(0)
            token = page.get("metadata", {}).get("continue")
            if not token:
                version = str(page["metadata"]["resourceVersion"])
                self._sink.complete(version)
                self._listed_from, self._broken = began, False
                self._listed.set()
                return version

    async def _watch(self, state: MustWatch) -> Next:
        loop = asyncio.get_running_loop()
        started = loop.time()
        then = Next(state)
        try:
            if self._broken and await self._ends_before(int(state.resource_version)):
                log.warning("the server's history ends before what is known of it", resource=str(self._resource))
                return Next(MustList())
        except KubeError as e:
            self._report("list", e)
            return step(state, Failed(e))
        events = self._kube.watch(
            self._resource,
            namespace=self._namespace,
            resource_version=state.resource_version,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            inactivity=self._patience,
            on_open=self._opened,
        )
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    self._alive()
                    self._patience = self._inactivity
                    version = str(event.object["metadata"]["resourceVersion"])
                    if event.type == "BOOKMARK":
                        self._sink.bookmark(version)
                    elif event.type != "ERROR":
                        self._sink.event(event.type, event.object)
                    then = step(then.state, Line(version))
        except KubeError as e:
            self._report("watch", e)
            self._broken = True
            if isinstance(e, WatchSilent):
                self._patience = SILENCE_GROWS * self._inactivity
            return step(then.state, Failed(e, loop.time() - started))
        return step(then.state, Ended(loop.time() - started))

    async def _demand_not_stale(self, version: int) -> None:
        """Raise ApiUnavailable when a list is older than what is known, though the server's history goes further.

        Whatever stands in between may answer with what it was told before. What is known stays, and is not begun anew.
        """
        known = self._sink.known_version
        if version < known and not await self._ends_before(known):
            text = f"a list of version {version} came, older than what is known ({known}) and than what the server has"
            raise ApiUnavailable(text, server=self._kube.server, in_doubt=False)

    async def _ends_before(self, version: int) -> bool:
        """Ask the server for its present version: one object, or none, and a quorum read."""
        page = await self._kube.list(self._resource, namespace=self._namespace, limit=1)
        return int(page["metadata"]["resourceVersion"]) < version

    def _opened(self) -> None:
        self._broken = False
        self._alive()

    def _alive(self) -> None:
        self._last_line = asyncio.get_running_loop().time()
        self.last_error = None

    def _report(self, verb: str, error: KubeError) -> None:
        self.last_error = error
        quiet = isinstance(error, WatchSilent)
        tell = log.debug if quiet else log.info if isinstance(error, (Gone, ApiUnavailable)) else log.warning
        tell(
            f"{verb} failed, trying again",
            resource=str(self._resource),
            namespace=self._namespace,
            error=f"{type(error).__name__}: {error}",
        )


async def _pause(seconds: float) -> Next:
    await asyncio.sleep(seconds)
    return Next(MustList())
