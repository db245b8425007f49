"""Making a status fit into an object: bodies go first, then messages, then clusters and parameters (decision D6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.engine.text import cut
from app.engine.tree import map_actions, map_stages, map_workflows
from app.models.execution import (
    ActionStatus,
    DRPlanExecutionStatus,
    HealthCheckStatus,
    HttpResponse,
    StageStatus,
    WorkflowExecutionStatus,
)

STATUS_LIMIT = 1024 * 1024
"""Bytes of JSON that a status may have."""


@dataclass(frozen=True, slots=True)
class _Step:
    body: int
    message: int
    details: bool
    """Whether an action's clusters, conflicts and latest failure and the parameters of a workflow stay."""
    marks: bool = True
    """Whether the Revert that took an action back stays named with it; the controller's record of it has it too."""


_STEPS = (
    _Step(body=200, message=1024, details=True),
    _Step(body=0, message=1024, details=True),
    _Step(body=0, message=256, details=True),
    _Step(body=0, message=96, details=True),
    _Step(body=0, message=48, details=False),
    _Step(body=0, message=48, details=False, marks=False),
)


def shrink(
    status: DRPlanExecutionStatus, size: Callable[[DRPlanExecutionStatus], int], limit: int = STATUS_LIMIT
) -> DRPlanExecutionStatus:
    """Return `status` with no more left out than it takes to fit; `size` gives the bytes of its JSON.

    A status that cannot be made to fit is returned as small as it gets.
    """
    if size(status) <= limit:
        return status
    shrunk = status
    for step in _STEPS:
        shrunk = _with_actions(status, step)
        if size(shrunk) <= limit:
            break
    return shrunk


def minimal(status: DRPlanExecutionStatus) -> DRPlanExecutionStatus:
    """Return the least that a run can be taken up from and reverted by, for an API server that refuses the whole.

    Phases, times, attempts and the names of what was made stay; bodies, clusters, parameters and the ends of messages
    go. The lists themselves must stay: the journal's entries that earlier writes covered are gone by then.
    """
    return _with_actions(status.model_copy(update={"resolved_params": ()}), _STEPS[-1])


def _with_actions(status: DRPlanExecutionStatus, step: _Step) -> DRPlanExecutionStatus:
    def stage_of(stage: StageStatus) -> StageStatus:
        return stage.model_copy(update={"message": cut(stage.message, step.message)})

    def workflow_of(workflow: WorkflowExecutionStatus) -> WorkflowExecutionStatus:
        params = workflow.resolved_params if step.details else ()
        return workflow.model_copy(update={"message": cut(workflow.message, step.message), "resolved_params": params})

    params = status.resolved_params if step.details else ()
    checks = tuple(_shorter_check(check, step) for check in status.health_checks)
    kept = status.model_copy(update={"resolved_params": params, "health_checks": checks})
    shorter = map_workflows(map_stages(kept, stage_of), workflow_of)
    return map_actions(shorter, lambda _, action: _shorter(action, step))


def _shorter_check(check: HealthCheckStatus, step: _Step) -> HealthCheckStatus:
    """Return a check with less to read; the answer is in the message too."""
    answer = cut(check.last_answer, step.message) if step.details else ""
    return check.model_copy(update={"message": cut(check.message, step.message), "last_answer": answer})


def _shorter(action: ActionStatus, step: _Step) -> ActionStatus:
    outputs = action.outputs
    if outputs is not None and outputs.http_response is not None:
        response = HttpResponse(
            status_code=outputs.http_response.status_code, body=cut(outputs.http_response.body, step.body)
        )
        outputs = outputs.model_copy(update={"http_response": response})
    return action.model_copy(
        update={
            "message": cut(action.message, step.message),
            "outputs": outputs,
            "cluster_statuses": action.cluster_statuses if step.details else (),
            "last_failure": cut(action.last_failure, step.message) if step.details else "",
            "rolled_back_by": action.rolled_back_by if step.marks else "",
            "conflicts": action.conflicts if step.details else (),
        }
    )
