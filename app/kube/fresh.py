"""Reading an object afresh that is known by its uid, and changing one by compare-and-swap (invariants 4 and 5)."""

from __future__ import annotations

from typing import Any, Protocol

from app.kube.errors import ABSENT, Conflict
from app.kube.resources import Resource

ATTEMPTS = 10
"""Conflicts in a row that a change takes before it gives up, to be repeated later."""


class Reads(Protocol):
    """Whatever reads one object."""

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> dict[str, Any]:
        """Return the object, or raise NotFound."""


async def read_same(kube: Reads, resource: Resource, namespace: str, name: str, uid: str) -> dict[str, Any] | None:
    """Return an object as it is stored now; None when it is gone or another one has its name.

    An empty `uid`, of an object that was never seen, fits any.
    """
    try:
        found = await kube.get(resource, name, namespace=namespace)
    except ABSENT:
        return None
    return found if uid in ("", found["metadata"]["uid"]) else None


class Attempts:
    """Counts the conflicts of one change, which is read and computed anew after each."""

    def __init__(self, what: str, hint: str = "") -> None:
        """Count for `what`, as the error names what is changed; `hint` says what to do then."""
        self._what = what
        self._hint = hint
        self._conflicts = 0

    def conflict(self) -> None:
        """Count one. Raises `Conflict` when it is one too many."""
        self._conflicts += 1
        if self._conflicts >= ATTEMPTS:
            hint = f"; {self._hint}" if self._hint else ""
            raise Conflict(409, "Conflict", f"{self._what} changed {ATTEMPTS} times in a row{hint}")
