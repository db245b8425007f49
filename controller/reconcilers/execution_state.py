"""What the state of an execution says, by itself and against its plan."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from app.cel.language import compile_expression
from app.engine.build import execute_definition
from app.engine.definition import RunDefinition
from app.engine.revert import revert_definition
from app.engine.texts import EXECUTION_CANCELED
from app.engine.when import WhenError, names_modes_only, parse_when
from app.engine.wishes import asks
from app.kube.errors import ApiError, Conflict, is_transient
from app.models.execution import DRPlanExecution
from app.models.names import CANCEL_ANNOTATION, RESUME_ANNOTATION, START_RESTORED_ANNOTATION
from app.models.phases import Operation, Phase
from app.models.plan import DRPlanStatus
from app.models.snapshot import Snapshot
from app.models.stored import items, members
from app.models.suspension import Reason
from app.rules.execution import already_running
from controller.metadata import restored_from_backup
from controller.start import StartRefusedError

DELETED = "Execution deleted while running"


class LockHeldError(Exception):
    """The plan belongs to another execution."""


@contextmanager
def refused_as(what: str) -> Iterator[None]:
    """Turn a refusal of the API server that is for good into one of the start."""
    try:
        yield
    except ApiError as error:
        if is_transient(error) or isinstance(error, Conflict):
            raise
        raise StartRefusedError(f"the API server refuses {what}: {error}") from error


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
    return EXECUTION_CANCELED if asks(annotations, CANCEL_ANNOTATION) else ""


def parking(execution: DRPlanExecution, led_since: datetime, resume_within: float) -> tuple[str, Reason] | None:
    """Return message and reason of an execution that does not start by itself; None when it may start.

    `led_since` is when this process took over. What was created `resume_within` seconds before that, or longer ago, was
    meant for then; it may also come with an old snapshot of etcd.
    """
    metadata = execution.metadata
    if cancel_message(execution):
        return None
    if restored_from_backup(execution):
        message = (
            "This execution was restored from a backup and does not start by itself; annotate it with "
            f'{START_RESTORED_ANNOTATION}: "true" to start it, or delete it'
        )
        return message, Reason.RESTORED_FROM_BACKUP
    wanted = any(asks(metadata.annotations, name) for name in (RESUME_ANNOTATION, START_RESTORED_ANNOTATION))
    created = metadata.creation_timestamp or led_since
    if (led_since - created).total_seconds() <= resume_within or wanted:
        return None
    message = (
        f"This execution was created at {created:%Y-%m-%dT%H:%M:%SZ}, long before a controller could start it, and "
        f'does not start by itself; annotate it with {RESUME_ANNOTATION}: "true" to start it, or delete it'
    )
    return message, Reason.CREATED_LONG_AGO


def definition_of(snapshot: Snapshot) -> RunDefinition:
    """Return what the run of a snapshot does."""
    if snapshot.operation is Operation.REVERT:
        return revert_definition(snapshot)
    return execute_definition(snapshot, compile_expression)


async def prepared(snapshot: Snapshot) -> RunDefinition:
    """Return what the run of a snapshot does, conditions compiled: off the event loop, which that may hold up."""
    return await asyncio.to_thread(prepare, snapshot)


def prepare(snapshot: Snapshot) -> RunDefinition:
    """See `prepared`."""
    definition = definition_of(snapshot)
    actions = (action for stage in definition.stages for each in stage.workflows for action in each.actions)
    for text in dict.fromkeys(action.when for action in actions if not names_modes_only(action.when)):
        with suppress(WhenError):
            parse_when(text, definition.language)
    return definition


def demand_lock(status: DRPlanStatus, execution: DRPlanExecution) -> None:
    """Raise `LockHeldError` when the plan belongs to another execution."""
    held = status.current_execution
    if held is not None and held.uid != execution.metadata.uid:
        namespace = held.namespace or execution.metadata.namespace
        raise LockHeldError(already_running(execution.spec.plan_ref, namespace, held.name))


def without_unreadable_status(stored: Mapping[str, Any]) -> DRPlanExecution | None:
    """Return a stored execution, with an empty status where that does not decode; None when it does not otherwise."""
    for found in (stored, {**stored, "status": {}}):
        with suppress(ValidationError):
            return DRPlanExecution.from_wire(found)
    return None


def is_unsettled(plan_status: Mapping[str, Any], execution: DRPlanExecution) -> bool:
    """Tell whether the plan still counts an execution that has ended as its owner, or as unfinished."""
    held = members(plan_status.get("currentExecution"))
    uid, name = execution.metadata.uid, execution.metadata.name
    if held.get("uid") == uid or (not held.get("uid") and held.get("name") == name):
        return True
    return any(
        record.get("uid") == uid and record.get("phase") in (Phase.PENDING, Phase.RUNNING, "")
        for record in map(members, items(plan_status.get("executionHistory")))
    )
