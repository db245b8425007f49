"""The order in which the parts of a run really ran, as far as its record tells (decision R2)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import UTC, datetime

_EARLIEST = datetime.min.replace(tzinfo=UTC)


def order_of_work(started: Sequence[datetime | None], after: Sequence[Sequence[int]]) -> list[int]:
    """Return the positions of parts in the order in which they ran.

    `started` is when each began, `after` what each waited for. Recorded times are whole seconds, so of parts that began
    within one second each comes after what it waited for, else in the order of the list. A part that never began keeps
    its place behind the ones listed before it.
    """
    begun = _filled_up(started)
    waiting = [len(set(needs)) for needs in after]
    followers: list[list[int]] = [[] for _ in started]
    for index, needs in enumerate(after):
        for need in set(needs):
            followers[need].append(index)
    ready = [(begun[index], index) for index, count in enumerate(waiting) if count == 0]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        _, done = heapq.heappop(ready)
        order.append(done)
        for index in followers[done]:
            waiting[index] -= 1
            if waiting[index] == 0:
                heapq.heappush(ready, (begun[index], index))
    # what waits for itself never ran; it is listed all the same
    return order + sorted(set(range(len(started))).difference(order))


def _filled_up(started: Sequence[datetime | None]) -> list[datetime]:
    latest = _EARLIEST
    filled = []
    for moment in started:
        filled.append(latest if moment is None else moment)
        latest = max(latest, filled[-1])
    return filled
