"""From rows, objects and a plan's own records to the runs that the API shows. Pure functions."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from app.kube.tables import Row
from app.models.execution import DRPlanExecution
from app.models.phases import Operation, Phase
from app.models.plan import ExecutionRecord
from app.service.api.models import ExecutionItem, HistoryItem
from app.service.api.tokens import Position

COLUMNS = (
    "Plan",
    "Operation",
    "Phase",
    "Progress",
    "Duration",
    "Mode",
    "Target",
    "Reverted-By",
    "Started",
    "Completed",
    "Message",
)
"""Printed columns of the CRD that a run is read from."""

EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs are wanted; what is None or empty admits all."""

    plan: str = ""
    phase: Phase | None = None
    operation: Operation | None = None
    since: datetime | None = None
    until: datetime | None = None

    def admits(self, item: ExecutionItem) -> bool:
        """Tell whether a run is wanted."""
        return (
            (not self.plan or item.plan == self.plan)
            and (self.phase is None or item.phase == self.phase)
            and (self.operation is None or item.operation_type == self.operation)
            and (self.since is None or item.created >= self.since)
            and (self.until is None or item.created < self.until)
        )

    def field_selector(self) -> str | None:
        """What of it the API server can select by itself. Pending may be unwritten, Cancelled have two spellings."""
        parts = [f"spec.planRef={self.plan}"] if self.plan else []
        if self.phase in (Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED, Phase.UNKNOWN):
            parts.append(f"status.phase={self.phase}")
        return ",".join(parts) or None


def key_of(item: ExecutionItem) -> tuple[float, str, str]:
    """What runs are sorted by: newest first, then namespace and name."""
    return (-item.created.timestamp(), item.namespace, item.name)


@dataclass(slots=True)
class Window:
    """The wanted runs after a position, the first `limit` of them in order; of the others only the number is kept."""

    wanted: Filter
    limit: int
    after: Position | None
    items: list[ExecutionItem] = field(default_factory=list)
    remaining: int = 0

    def add(self, items: Iterable[ExecutionItem]) -> None:
        """Take in more runs, in any order."""
        following = [
            item for item in items if self.wanted.admits(item) and (self.after is None or key_of(item) > self.after.key)
        ]
        self.remaining += len(following)
        kept = heapq.nsmallest(self.limit, chain(self.items, following), key=key_of)
        self.remaining += len(self.items) - len(kept)
        self.items = kept


def item_of_row(row: Row) -> ExecutionItem:
    """A run as a row of the Table shows it."""
    meta, cells = row.metadata, row.cells
    return ExecutionItem(
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        uid=meta.get("uid", ""),
        created=_time(meta.get("creationTimestamp")) or EPOCH,
        plan=cells["Plan"],
        operation_type=cells["Operation"],
        mode=cells["Mode"],
        revert_execution_ref=cells["Target"],
        phase=_phase(cells["Phase"]),
        progress=cells["Progress"],
        start_time=_time(cells["Started"]),
        completion_time=_time(cells["Completed"]),
        duration=cells["Duration"],
        message=cells["Message"],
        reverted_by=cells["Reverted-By"],
    )


def item_of(execution: DRPlanExecution) -> ExecutionItem:
    """A run as the object says."""
    meta, spec, status = execution.metadata, execution.spec, execution.status
    return ExecutionItem(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        created=meta.creation_timestamp or EPOCH,
        plan=spec.plan_ref,
        operation_type=spec.operation_type.value,
        mode=spec.mode.value if spec.mode else "",
        revert_execution_ref=spec.revert_execution_ref,
        phase=execution.phase.value,
        progress=status.progress,
        start_time=status.start_time,
        completion_time=status.completion_time,
        duration=status.duration,
        message=status.message,
        reverted_by=status.reverted_by,
    )


def item_of_record(record: ExecutionRecord, plan: str) -> ExecutionItem:
    """A run as the plan's own record says; the execution itself is gone."""
    return ExecutionItem(
        namespace=record.namespace,
        name=record.name,
        uid=record.uid,
        created=record.start_time or record.completion_time or EPOCH,
        plan=plan,
        operation_type=record.operation_type,
        phase=_phase(record.phase),
        start_time=record.start_time,
        completion_time=record.completion_time,
        message=record.message,
        reverted_by=record.reverted_by,
    )


def gone(records: Iterable[ExecutionRecord], uids: set[str], names: set[str]) -> list[ExecutionRecord]:
    """The records whose executions are not among those that exist: by uid, or by name where the record has none."""
    return [record for record in records if (record.uid not in uids if record.uid else record.name not in names)]


def history_item(item: ExecutionItem, *, exists: bool) -> HistoryItem:
    """A run as an item of a history."""
    return HistoryItem(**dict(item), exists=exists)


def records_of(plan: Mapping[str, Any]) -> tuple[ExecutionRecord, ...]:
    """The plan's own records."""
    stored = (plan.get("status") or {}).get("executionHistory") or ()
    return tuple(ExecutionRecord.from_wire(record) for record in stored)


def _phase(text: str) -> str:
    try:
        return Phase(text).value
    except ValueError:
        return text


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
