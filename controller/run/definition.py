"""What a run does, from its snapshot."""

from __future__ import annotations

from contextlib import suppress

from app.cel.language import compile_expression
from app.engine.build import execute_definition
from app.engine.definition import RunDefinition
from app.engine.revert import revert_definition
from app.engine.when import WhenError, names_modes_only, parse_when
from app.models.phases import Operation
from app.models.snapshot import Snapshot
from app.runtime.last_work import to_thread


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
