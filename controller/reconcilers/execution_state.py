"""What the state of an execution says, by itself and against its plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.cel.language import compile_expression
from app.engine.build import execute_definition
from app.engine.definition import RunDefinition
from app.engine.revert import revert_definition
from app.engine.texts import EXECUTION_CANCELED
from app.models.execution import DRPlanExecution
from app.models.names import CANCEL_ANNOTATION
from app.models.phases import Operation, Phase
from app.models.plan import DRPlanStatus
from app.models.snapshot import Snapshot
from app.rules.execution import already_running

DELETED = "Execution deleted while running"


class LockHeldError(Exception):
    """The plan belongs to another execution."""


def cancel_message(execution: DRPlanExecution) -> str:
    """Return why an execution is to be cancelled; empty when it is not."""
    metadata = execution.metadata
    return _cancel_message(metadata.annotations, deleted=metadata.deletion_timestamp is not None)


def cancel_message_of(metadata: Mapping[str, Any]) -> str:
    """The same from the metadata of a stored object."""
    return _cancel_message(metadata.get("annotations") or {}, deleted="deletionTimestamp" in metadata)


def _cancel_message(annotations: Mapping[str, str], *, deleted: bool) -> str:
    if deleted:
        return DELETED
    return EXECUTION_CANCELED if annotations.get(CANCEL_ANNOTATION) == "true" else ""


def definition_of(snapshot: Snapshot) -> RunDefinition:
    """Return what the run of a snapshot does."""
    if snapshot.operation is Operation.REVERT:
        return revert_definition(snapshot)
    return execute_definition(snapshot, compile_expression)


def demand_lock(status: DRPlanStatus, execution: DRPlanExecution) -> None:
    """Raise `LockHeldError` when the plan belongs to another execution."""
    held = status.current_execution
    if held is not None and held.uid != execution.metadata.uid:
        namespace = held.namespace or execution.metadata.namespace
        raise LockHeldError(already_running(execution.spec.plan_ref, namespace, held.name))


def is_unsettled(plan_status: Mapping[str, Any], execution: DRPlanExecution) -> bool:
    """Tell whether the plan still counts an execution that has ended as its owner, or as unfinished."""
    held = plan_status.get("currentExecution") or {}
    uid, name = execution.metadata.uid, execution.metadata.name
    if held.get("uid") == uid or (not held.get("uid") and held.get("name") == name):
        return True
    return any(
        record.get("uid") == uid and record.get("phase") in (Phase.PENDING, Phase.RUNNING, "")
        for record in plan_status.get("executionHistory") or ()
    )
