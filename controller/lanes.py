"""Lanes of a work queue: kinds of keys with workers of their own, so that slow ones hold up no others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

Key = tuple[str, str]
"""Namespace and name of an object."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane's bounds.

    Keys that take longer than `patience` seconds free their worker, while at most `most` are worked on in all; without
    it they keep it. None takes longer than `timeout` seconds.
    """

    name: str
    workers: int = 4
    patience: float | None = None
    most: int = 0
    timeout: float = 120.0


class Waiting:
    """Keys that wait, each once, in the order of their coming and by lane."""

    def __init__(self, lanes: tuple[Lane, ...]) -> None:
        self._of_lane: dict[str, OrderedDict[Key, None]] = {lane.name: OrderedDict() for lane in lanes}
        self._lane: dict[Key, str] = {}

    def __len__(self) -> int:
        return len(self._lane)

    def put(self, key: Key, lane: str) -> bool:
        """Have a key wait in a lane, out of the other where it waited; tell whether it is new there."""
        before = self._lane.get(key)
        if before == lane:
            return False
        if before is not None:
            del self._of_lane[before][key]
        self._lane[key] = lane
        self._of_lane[lane][key] = None
        return True

    def take(self, lane: str) -> Key | None:
        """Return the first key of a lane, which waits no more; None when it is empty."""
        if not self._of_lane[lane]:
            return None
        key, _ = self._of_lane[lane].popitem(last=False)
        del self._lane[key]
        return key

    def of(self, lane: str) -> Collection[Key]:
        """Return the keys of a lane."""
        return self._of_lane[lane].keys()
