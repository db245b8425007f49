"""How many actions are under way at once, over all runs, so that descriptors, memory and targets are not exhausted.

A run asks before it records an attempt as started. What it gets no slot for stays pending, and the run is woken when
there is one. Slots are shared as switches share their buffers: a run that has some gets another only while it has less
than SHARE times what is free. So one run alone gets most of them and never all, and the first action of another one
need not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.runtime import metrics

DEFAULT_MOST = 500
"""Actions at once unless the settings say otherwise."""
SHARE = 4
"""One run alone gets SHARE of SHARE + 1 parts of the slots, two get SHARE of 2 * SHARE + 1 each."""


@dataclass(slots=True)
class _Share:
    held: int = 0
    missing: int = 0
    granted: int = 0
    """Slots that are kept for it until it asks again; part of what it misses."""
    wake: Callable[[], None] = lambda: None

    @property
    def used(self) -> int:
        return self.held + self.granted


class EffectSlots:
    """The slots of one process. Runs are named by uid; all is called from the event loop."""

    def __init__(self, most: int = DEFAULT_MOST) -> None:
        self._most = most
        self._runs: dict[str, _Share] = {}
        """In the order in which they last got something."""
        self._used = 0

    def ask(self, uid: str, wanted: int, wake: Callable[[], None]) -> int:
        """Take up to `wanted` slots and return how many; for the rest `wake` is called when there may be some.

        It replaces what the run asked for before: it asks for 0 when it wants to begin nothing.
        """
        run = self._runs.setdefault(uid, _Share())
        self._used -= run.granted
        run.granted, kept, taken = 0, run.granted, 0
        while taken < wanted and (taken < kept or self._may_take(run)):
            self._take(run)
            taken += 1
        run.missing, run.wake = wanted - taken, wake
        if taken:
            self._served(uid)
        if kept > taken:
            self._hand_out()
        self._tidy(uid)
        return taken

    def awaits(self, uid: str) -> bool:
        """Tell whether a run misses slots and has none to fetch: it is woken when it has."""
        run = self._runs.get(uid)
        return run is not None and run.missing > 0 and run.granted == 0

    def hold(self, uid: str) -> None:
        """Count an action that goes on in any case, as one that an earlier process had begun."""
        self._take(self._runs.setdefault(uid, _Share()))
        self._show()

    def give_back(self, uid: str, number: int = 1) -> None:
        """Let go of slots whose actions have ended, or did not begin."""
        if number == 0:
            return
        run = self._runs[uid]
        run.held -= number
        self._used -= number
        self._hand_out()
        self._tidy(uid)

    def leave(self, uid: str) -> None:
        """Let go of everything that a run has and waits for."""
        run = self._runs.pop(uid, None)
        if run is not None:
            self._used -= run.used
            self._hand_out()
        self._show()

    def _may_take(self, run: _Share) -> bool:
        free = self._most - self._used
        return free > 0 and (run.used == 0 or run.used < SHARE * free)

    def _take(self, run: _Share) -> None:
        run.held += 1
        self._used += 1

    def _hand_out(self) -> None:
        """Keep free slots for those who wait: first for who has the fewest, then for whose last one is longest ago."""
        while waiting := [item for item in self._runs.items() if item[1].missing > item[1].granted]:
            uid, run = min(waiting, key=lambda item: item[1].used)
            if not self._may_take(run):
                return
            run.granted += 1
            self._used += 1
            self._served(uid)
            run.wake()

    def _served(self, uid: str) -> None:
        """Put a run behind the others."""
        self._runs[uid] = self._runs.pop(uid)

    def _tidy(self, uid: str) -> None:
        run = self._runs[uid]
        if run.used == run.missing == 0:
            del self._runs[uid]
        self._show()

    def _show(self) -> None:
        metrics.action_effects.labels("running").set(sum(run.held for run in self._runs.values()))
        metrics.action_effects.labels("waiting").set(sum(run.missing for run in self._runs.values()))
