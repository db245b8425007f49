"""Which executions of a plan have not ended, and which of them holds it (decisions W3, D7).

Stored executions are looked at as plain dicts, so that one that cannot be decoded still counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.models.plan import CurrentExecution

ENDED = frozenset({"Succeeded", "Failed", "Cancelled", "Canceled"})
"""Phases, as stored, of executions that have ended. Unknown has not."""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution, as far as it matters to others."""

    namespace: str
    name: str
    uid: str
    phase: str
    """As stored; empty when none is written yet."""
    created: str = ""
    """creationTimestamp, as stored."""

    @property
    def key(self) -> str:
        """`namespace/name`, as messages print it."""
        return f"{self.namespace}/{self.name}"


def unfinished_runs(plan: str, executions: Iterable[Mapping[str, Any]]) -> list[Run]:
    """The executions of the plan of that name that have not ended, oldest first."""
    runs = [_run(item) for item in executions if _member(item, "spec").get("planRef") == plan]
    return sorted((run for run in runs if run.phase not in ENDED), key=lambda run: (run.created, run.name))


def holder(lock: CurrentExecution | None, unfinished: Sequence[Run]) -> Run | None:
    """The execution that runs now: the one the lock names, else one that is Running, else the oldest.

    A lock whose execution is gone, has ended or was created anew under its name does not count.
    """
    held = locked(lock, unfinished)
    if held is not None:
        return held
    started = [run for run in unfinished if run.phase not in ("", "Pending")]
    return next(iter([*started, *unfinished]), None)


def locked(lock: CurrentExecution | None, unfinished: Sequence[Run]) -> Run | None:
    """The unfinished execution that the lock names; None for a stale lock."""
    if lock is None:
        return None
    return next(
        (run for run in unfinished if run.name == lock.name and (not lock.uid or lock.uid == run.uid)),
        None,
    )


def _run(item: Mapping[str, Any]) -> Run:
    meta = _member(item, "metadata")
    return Run(
        namespace=str(meta.get("namespace", "")),
        name=str(meta.get("name", "")),
        uid=str(meta.get("uid", "")),
        phase=str(_member(item, "status").get("phase") or ""),
        created=str(meta.get("creationTimestamp", "")),
    )


def _member(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = item.get(name)
    return value if isinstance(value, Mapping) else {}
