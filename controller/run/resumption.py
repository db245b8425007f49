"""What a run is taken up from: its snapshot, the status that this controller sealed, the journal's later events.

Others may be able to write a status. So a run does not go on from one that journal and seal do not confirm: it is
rebuilt from the journal if that still has all of the run, else it cannot be taken up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.engine.definition import RunDefinition
from app.engine.fold import initial_status
from app.engine.text import cut, single_line
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.snapshot import Snapshot
from controller.journal import Entry
from controller.run.definition import prepare
from controller.run.recorded import recorded_status
from controller.sealing import SEAL, is_sealed


class CannotResumeError(Exception):
    """A run that cannot be taken up; the text says why, and becomes the message of its end."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """What a run goes on from: `base`, and with the later events of the journal `status`.

    `touched` says how its stored status had been changed; empty when it had not.
    """

    definition: RunDefinition
    base: DRPlanExecutionStatus
    status: DRPlanExecutionStatus
    touched: str = ""


def take_up(
    snapshot: Snapshot, execution: DRPlanExecution, stored: Mapping[str, Any], entries: Sequence[Entry]
) -> Resumption:
    """Return what a run goes on from; `stored` is the status as the API server has it.

    Raises `CannotResumeError`.
    """
    try:
        definition = prepare(snapshot)
        touched = how_touched(snapshot, stored)
        if not touched:
            return Resumption(definition, execution.status, _later(definition, execution, entries))
        if [entry.sequence for entry in entries] != list(range(1, len(entries) + 1)) or not entries:
            raise CannotResumeError(
                f"The status of this run was changed by somebody else ({touched}), and what had been done is no "
                "longer in the journal; nothing was started again. Look at what the actions made. A Revert of this "
                "execution acts on its status only as far as its creator may delete and change the objects named there"
            )
        begun = initial_status(
            definition,
            entries[0].event.at,
            generation=snapshot.execution_generation,
            resolved_params=snapshot.resolved_params,
        )
        fresh = execution.model_copy(update={"status": begun})
        return Resumption(definition, begun, _later(definition, fresh, entries), touched)
    except CannotResumeError:
        raise
    except Exception as error:
        problem = cut(single_line(f"{type(error).__name__}: {error}"), 256)
        raise CannotResumeError(
            f"The run cannot be taken up: its status, its journal and its snapshot do not fit together ({problem}); "
            "look at what the actions made, what had been recorded is below"
        ) from error


def how_touched(snapshot: Snapshot, stored: Mapping[str, Any]) -> str:
    """Return how somebody else changed a stored status; empty when nobody did, and for runs of earlier releases.

    One of earlier that was put back has its seal; `controller.run.inheritance` tells that the journal goes on
    elsewhere.
    """
    if not snapshot.seal_key or is_sealed(snapshot.seal_key, snapshot.execution_uid, stored):
        return ""
    return "status.seal does not fit" if stored.get(SEAL) else "status.seal is missing"


def _later(definition: RunDefinition, execution: DRPlanExecution, entries: Sequence[Entry]) -> DRPlanExecutionStatus:
    status = recorded_status(definition, execution, entries).model_copy(update={"seal": ""})
    if not fits(definition, status):
        raise ValueError("the lists of the status are not those of the plan")
    return status


def fits(definition: RunDefinition, status: DRPlanExecutionStatus) -> bool:
    """Tell whether a status lists just the stages, workflows, actions and checks of its run, in their order."""
    listed = [
        (stage.name, [[action.name for action in workflow.action_statuses] for workflow in stage.workflow_executions])
        for stage in status.stage_statuses
    ]
    defined = [
        (stage.name, [[action.name for action in workflow.actions] for workflow in stage.workflows])
        for stage in definition.stages
    ]
    checks = [check.name for check in definition.checks]
    return listed == defined and [check.name for check in status.health_checks] == checks
