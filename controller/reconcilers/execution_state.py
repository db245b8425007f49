"""What the state of an execution says, by itself and against its plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from pydantic import ValidationError

from app.cel.language import compile_expression
from app.engine.build import execute_definition
from app.engine.definition import RunDefinition
from app.engine.revert import revert_definition
from app.engine.when import WhenError, names_modes_only, parse_when
from app.kube.errors import ApiError, Conflict, is_transient
from app.models.execution import DRPlanExecution
from app.models.phases import Operation, Phase
from app.models.snapshot import Snapshot
from app.models.stored import items, members
from app.runtime.last_work import to_thread
from app.runtime.parts import decoded
from controller.start import StartRefusedError
from controller.verdict import cancel_wish


@contextmanager
def refused_as(what: str) -> Iterator[None]:
    """Turn a refusal of the API server that is for good into one of the start."""
    try:
        yield
    except ApiError as error:
        if is_transient(error) or isinstance(error, Conflict):
            raise
        raise StartRefusedError(f"the API server refuses {what}: {error}") from error


@contextmanager
def unfit_as_refused(snapshot: Snapshot) -> Iterator[None]:
    """Turn what a target lists and its snapshot does not have into a refusal of the start."""
    try:
        yield
    except (ValueError, LookupError) as error:
        name = snapshot.target.name if snapshot.target is not None else snapshot.plan_name
        problem = f"{type(error).__name__}: {error}"
        raise StartRefusedError(f"the status of {name} does not fit its snapshot ({problem})") from error


def cancel_message(execution: DRPlanExecution) -> str:
    """Return why an execution is to be cancelled; empty when it is not."""
    metadata = execution.metadata
    return cancel_wish(metadata.annotations, deleted=metadata.deletion_timestamp is not None)


def cancel_message_of(metadata: Mapping[str, Any]) -> str:
    """The same from the metadata of a stored object."""
    return cancel_wish(metadata.get("annotations") or {}, deleted="deletionTimestamp" in metadata)


def definition_of(snapshot: Snapshot) -> RunDefinition:
    """Return what the run of a snapshot does."""
    if snapshot.operation is Operation.REVERT:
        return revert_definition(snapshot)
    return execute_definition(snapshot, compile_expression)


async def prepared(snapshot: Snapshot) -> RunDefinition:
    """Return what the run of a snapshot does, conditions compiled: off the event loop, which that may hold up."""
    return await to_thread(prepare, snapshot)


def prepare(snapshot: Snapshot) -> RunDefinition:
    """See `prepared`."""
    definition = definition_of(snapshot)
    actions = (action for stage in definition.stages for each in stage.workflows for action in each.actions)
    for text in dict.fromkeys(action.when for action in actions if not names_modes_only(action.when)):
        with suppress(WhenError):
            parse_when(text, definition.language)
    return definition


async def without_unreadable_status(stored: Mapping[str, Any]) -> DRPlanExecution | None:
    """Return a stored execution, with an empty status where that does not decode; None when it does not otherwise."""
    for found in (stored, {**stored, "status": {}}):
        with suppress(ValidationError):
            return await decoded(DRPlanExecution, found)
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
