"""Reading and replacing nodes of a status, which is a tree of frozen models shared between versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar

from app.engine.definition import Address
from app.engine.durations import format_duration
from app.engine.text import cut
from app.models.execution import (
    ActionStatus,
    DRPlanExecutionStatus,
    HealthCheckStatus,
    StageStatus,
    WorkflowExecutionStatus,
)
from app.models.phases import Phase

T = TypeVar("T")
Node = TypeVar("Node", ActionStatus, WorkflowExecutionStatus, StageStatus, HealthCheckStatus)
Parent = TypeVar("Parent", WorkflowExecutionStatus, StageStatus, DRPlanExecutionStatus)


def replaced(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    """Return `items` with the one at `index` replaced."""
    return (*items[:index], item, *items[index + 1 :])


def action_at(status: DRPlanExecutionStatus, address: Address) -> ActionStatus:
    """Return the action at `address`. Raises IndexError when the run has none there."""
    return status.stage_statuses[address.stage].workflow_executions[address.workflow].action_statuses[address.action]


def each_address(status: DRPlanExecutionStatus) -> Iterator[Address]:
    """Yield the address of every action of the run, in order."""
    yield from (address for address, _ in each_action(status))


def each_action(status: DRPlanExecutionStatus) -> Iterator[tuple[Address, ActionStatus]]:
    """Yield every action of the run with its address, in order."""
    for s, stage in enumerate(status.stage_statuses):
        for w, workflow in enumerate(stage.workflow_executions):
            for a, action in enumerate(workflow.action_statuses):
                yield Address(s, w, a), action


def map_actions(
    status: DRPlanExecutionStatus, change: Callable[[Address, ActionStatus], ActionStatus]
) -> DRPlanExecutionStatus:
    """Return `status` with `change` made to every action; what it leaves as it is stays shared."""
    addresses = each_address(status)

    def changed(workflow: WorkflowExecutionStatus) -> WorkflowExecutionStatus:
        actions = tuple(change(next(addresses), action) for action in workflow.action_statuses)
        return _with_items(workflow, "action_statuses", actions)

    return map_workflows(status, changed)


def map_workflows(
    status: DRPlanExecutionStatus, change: Callable[[WorkflowExecutionStatus], WorkflowExecutionStatus]
) -> DRPlanExecutionStatus:
    """Return `status` with `change` made to every workflow, in order."""

    def changed(stage: StageStatus) -> StageStatus:
        return _with_items(stage, "workflow_executions", tuple(map(change, stage.workflow_executions)))

    return map_stages(status, changed)


def map_stages(status: DRPlanExecutionStatus, change: Callable[[StageStatus], StageStatus]) -> DRPlanExecutionStatus:
    """Return `status` with `change` made to every stage, in order."""
    return _with_items(status, "stage_statuses", tuple(map(change, status.stage_statuses)))


def _with_items(node: Parent, member: str, items: tuple[object, ...]) -> Parent:
    """Return `node` with the items of a member replaced; itself when they are the same ones."""
    if all(new is old for new, old in zip(items, getattr(node, member), strict=True)):
        return node
    return node.model_copy(update={member: items})


def with_action(status: DRPlanExecutionStatus, address: Address, action: ActionStatus) -> DRPlanExecutionStatus:
    """Return `status` with the action at `address` replaced."""
    stage = status.stage_statuses[address.stage]
    workflow = stage.workflow_executions[address.workflow]
    workflow = workflow.model_copy(
        update={"action_statuses": replaced(workflow.action_statuses, address.action, action)}
    )
    return with_stage(status, address.stage, with_workflow(stage, address.workflow, workflow))


def with_workflow(stage: StageStatus, index: int, workflow: WorkflowExecutionStatus) -> StageStatus:
    """Return `stage` with one workflow replaced."""
    return stage.model_copy(update={"workflow_executions": replaced(stage.workflow_executions, index, workflow)})


def with_stage(status: DRPlanExecutionStatus, index: int, stage: StageStatus) -> DRPlanExecutionStatus:
    """Return `status` with one stage replaced."""
    return status.model_copy(update={"stage_statuses": replaced(status.stage_statuses, index, stage)})


def ended(
    node: Node, phase: Phase, message: str, at: datetime, *, reason: str = "", failed_at: datetime | None = None
) -> Node:
    """Return `node` as ended at `at`: terminal phase, both times, duration, reason and message.

    What failed did so at `failed_at`, if that was before it ended. Leaders' clocks differ: what was started by one
    never ends before its start by another.
    """
    start = node.start_time or at
    end = max(at, start)
    update: dict[str, Any] = {
        "phase": phase,
        "start_time": start,
        "completion_time": end,
        "duration": format_duration(end - start),
        "reason": reason,
        "message": cut(message),
    }
    if phase is Phase.FAILED:
        update["failure_time"] = failed_at or end
    if isinstance(node, ActionStatus):
        update |= {"next_attempt_time": None, "undecided": False, "again": False, "last_failure": ""}
    if isinstance(node, WorkflowExecutionStatus):
        update["current_action"] = ""
    if isinstance(node, HealthCheckStatus):
        update["next_attempt_time"] = None
    return node.model_copy(update=update)


def begun(node: Node, at: datetime) -> Node:
    """Return `node` as running since `at`; one that runs already is returned as it is."""
    if node.phase is Phase.RUNNING:
        return node
    return node.model_copy(update={"phase": Phase.RUNNING, "start_time": at, "message": ""})


def running_actions(status: DRPlanExecutionStatus) -> list[tuple[Address, ActionStatus]]:
    """Return the actions whose phase is Running, in order."""
    return [
        (Address(s, w, a), action)
        for s, stage in enumerate(status.stage_statuses)
        if stage.phase is Phase.RUNNING
        for w, workflow in enumerate(stage.workflow_executions)
        if workflow.phase is Phase.RUNNING
        for a, action in enumerate(workflow.action_statuses)
        if action.phase is Phase.RUNNING
    ]
