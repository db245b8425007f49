"""Which executions of a plan have not ended, and which of them holds it (decisions W3, D7, D9).

Stored executions are looked at as plain dicts, so that one that cannot be decoded still counts. One that is parked, as
after a restore from a backup, does not start by itself: another one may start beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.engine.wishes import asks
from app.models.names import ADOPTED_ANNOTATION, FINALIZER, START_RESTORED_ANNOTATION
from app.models.phases import has_ended
from app.models.plan import CurrentExecution
from app.models.stored import items, members


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """One execution, as far as it matters to others."""

    namespace: str
    name: str
    uid: str
    phase: str
    """As stored; empty when none is written yet."""
    created: str = ""
    """creationTimestamp, as stored."""
    parked: bool = False
    """It does not begin before somebody says so."""

    @property
    def key(self) -> str:
        """`namespace/name`, as messages print it."""
        return f"{self.namespace}/{self.name}"


def unfinished_runs(plan: str, executions: Iterable[Mapping[str, Any]]) -> list[UnfinishedRun]:
    """The executions of the plan of that name that have not ended, oldest first."""
    runs = [_run(item) for item in executions if members(item.get("spec")).get("planRef") == plan]
    return sorted((run for run in runs if not has_ended(run.phase)), key=lambda run: (run.created, run.name))


def comes_from_backup(uid: str, finalizers: Collection[str], annotations: Mapping[str, str]) -> bool:
    """Tell whether an execution that has not started was created with our finalizer on it (decision D9).

    Not one that somebody lets start, nor one that the controller has seen under this uid.
    """
    if FINALIZER not in finalizers or (uid and annotations.get(ADOPTED_ANNOTATION) == uid):
        return False
    return not asks(annotations, START_RESTORED_ANNOTATION)


def is_parked(item: Mapping[str, Any]) -> bool:
    """Tell whether a stored execution has not begun and does not begin before somebody says so."""
    status, metadata = members(item.get("status")), members(item.get("metadata"))
    if str(status.get("phase") or "Pending") != "Pending":
        return False
    says_so = any(
        (each.get("type"), each.get("status")) == ("Suspended", "True")
        for each in map(members, items(status.get("conditions")))
    )
    annotations = members(metadata.get("annotations"))
    return says_so or comes_from_backup(str(metadata.get("uid", "")), items(metadata.get("finalizers")), annotations)


def holder(lock: CurrentExecution | None, unfinished: Sequence[UnfinishedRun]) -> UnfinishedRun | None:
    """The execution that runs now: the one the lock names, else one that is Running, else the oldest.

    A lock whose execution is gone, has ended or was created anew under its name does not count, nor do parked ones.
    """
    held = locked(lock, unfinished)
    if held is not None:
        return held
    started = [run for run in unfinished if run.phase not in ("", "Pending")]
    return next(iter([*started, *(run for run in unfinished if not run.parked)]), None)


def locked(lock: CurrentExecution | None, unfinished: Sequence[UnfinishedRun]) -> UnfinishedRun | None:
    """The unfinished execution that the lock names; None for a stale lock."""
    if lock is None:
        return None
    return next(
        (run for run in unfinished if run.name == lock.name and (not lock.uid or lock.uid == run.uid)),
        None,
    )


def _run(item: Mapping[str, Any]) -> UnfinishedRun:
    meta = members(item.get("metadata"))
    return UnfinishedRun(
        namespace=str(meta.get("namespace", "")),
        name=str(meta.get("name", "")),
        uid=str(meta.get("uid", "")),
        phase=str(members(item.get("status")).get("phase") or ""),
        created=str(meta.get("creationTimestamp", "")),
        parked=is_parked(item),
    )
