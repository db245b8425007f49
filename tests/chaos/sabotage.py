"""Does a fault to the n-th write of one run, and knows when the fault is over."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence

from tests.crash.harness import OWN, Crashing
from tests.support.proxy import Act, Answer, Forward, Proxy, Request, Rule


class Writes:
    """Recognises the writes that a controller makes for the runs of one namespace, each journal entry once.

    A journal segment holds earlier entries and those of other runs as well, so a write of it counts when it has an
    entry of this namespace that was in none before. Leases and Events are no writes of a run.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._entries: set[tuple[str, int]] = set()
        self.repeated = False
        """Whether a journal write without a new entry counts too: the same batch, sent again."""
        self.uids: set[str] = set()
        """Uids of the runs, which the controller's own ConfigMaps are named by."""

    def __call__(self, request: Request) -> bool:
        if request.method == "GET" or "/leases/" in request.path or "/events" in request.path:
            return False
        if request.writes_journal:
            return self._holds_news(request)
        if f"/namespaces/{OWN}/configmaps" in request.path:
            return self._namespace.encode() in request.body or any(uid in request.path for uid in self.uids)
        return f"/namespaces/{self._namespace}/" in request.path

    def _holds_news(self, request: Request) -> bool:
        mine = {(str(e["u"]), int(e["s"])) for e in request.entries if e["ns"] == self._namespace}
        news = mine - self._entries
        self._entries |= mine
        return bool(news) or (self.repeated and bool(mine))


class Sabotage:
    """Acts on the writes from the `nth` on, one act each."""

    def __init__(self, drplan: Crashing, nth: int, acts: Sequence[Act]) -> None:
        self._acts = acts
        self._number = itertools.count()
        self._lock = threading.Lock()
        self._busy = 0
        self.writes = Writes(drplan.namespace)
        self.ended = time.monotonic()
        """When the last act was over, or when there was none yet."""
        self.hit: list[str] = []
        """The writes that were acted on."""
        self._proxy: Proxy = drplan.proxy
        self._nth = nth
        self._seen = 0
        self.rule = drplan.proxy.on(self._takes, self._act, nth=nth, times=len(acts))

    def remove(self) -> None:
        """Act on nothing more."""
        self._proxy.remove(self.rule)

    @property
    def busy(self) -> bool:
        """Whether an act is under way."""
        with self._lock:
            return self._busy > 0

    def settle(self, timeout: float) -> None:
        """Wait until no act is under way."""
        deadline = time.monotonic() + timeout
        while self.busy:
            assert time.monotonic() < deadline, "the fault does not end"
            time.sleep(0.02)

    def _takes(self, request: Request) -> bool:
        takes = self.writes(request)
        self._seen += takes
        if takes and self._nth <= self._seen < self._nth + len(self._acts):
            self.writes.repeated = True
            self.hit.append(f"{request.method} {request.path.rpartition('/namespaces/')[2]}")
        return takes

    async def _act(self, rule: Rule, forward: Forward) -> Answer | None:
        with self._lock:
            self._busy += 1
        try:
            return await self._acts[next(self._number)](rule, forward)
        finally:
            with self._lock:
                self._busy -= 1
                self.ended = time.monotonic()
            rule.done()
