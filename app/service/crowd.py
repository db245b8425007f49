"""Who has a connection, and who gives way when there are too many (no I/O).

A port that is full still takes new connections: the one of least use ends. So whoever only holds connections cannot
keep others out, and the API server, which has a few peers with many connections, is served within milliseconds.
"""

from __future__ import annotations

from collections import Counter
from enum import IntEnum
from typing import Protocol


class Standing(IntEnum):
    """What a connection is worth; the lowest ends first."""

    UNPROVEN = 0
    """Has not had a review or another request answered well, or is slow with one."""
    KEPT = 1
    """Idle after a request that was answered well."""
    BUSY = 2
    """Is being answered, or just began a request: never ended to make room."""


class Guest(Protocol):
    """A connection, from the moment it is accepted."""

    peer: str
    since: float
    """When it last changed what it is doing."""

    def standing(self, now: float) -> Standing:
        """What it is worth now."""

    def evict(self) -> None:
        """End it at once."""


class Crowd:
    """The connections of one port."""

    def __init__(self, most: int, per_peer: int) -> None:
        self._most = most
        self._per_peer = per_peer
        self._guests: set[Guest] = set()
        self._peers: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._guests)

    def __contains__(self, guest: Guest) -> bool:
        return guest in self._guests

    def guests(self) -> list[Guest]:
        """All of them, as of now."""
        return list(self._guests)

    def admit(self, guest: Guest, now: float) -> tuple[bool, Guest | None]:
        """Whether a new connection gets in, and which one was ended for it.

        At the limit of its peer one of the same peer gives way, at the limit of the port one of the peer that has
        most: of the lowest standing, the one that has been at it longest.
        """
        victim = None
        if self._peers[guest.peer] >= self._per_peer:
            victim = self._least([each for each in self._guests if each.peer == guest.peer], now)
        elif len(self._guests) >= self._most:
            victim = self._least(self._guests, now)
        else:
            self._enter(guest)
            return True, None
        if victim is None:
            return False, None
        self.leave(victim)
        victim.evict()
        self._enter(guest)
        return True, victim

    def leave(self, guest: Guest) -> None:
        """Forget a connection that has ended; one that is not there is fine."""
        if guest in self._guests:
            self._guests.discard(guest)
            self._peers[guest.peer] -= 1
            if not self._peers[guest.peer]:
                del self._peers[guest.peer]

    def _enter(self, guest: Guest) -> None:
        self._guests.add(guest)
        self._peers[guest.peer] += 1

    def _least(self, among: set[Guest] | list[Guest], now: float) -> Guest | None:
        chosen = min(among, key=lambda each: (each.standing(now), -self._peers[each.peer], each.since))
        return None if chosen.standing(now) is Standing.BUSY else chosen
