"""From the snapshot of a Revert to its definition: the target's work in reverse (contract: lifecycle 12).

Stages, workflows and actions are listed in the order of the work, every one of the target (decision R2). What there
is to do follows from the target's record and the definitions in the snapshot (decisions R4 to R7).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import ValidationError

from app.engine.build import action_order, checks_of, params_of_use, retry_of, timeout_of
from app.engine.definition import (
    ActionDefinition,
    Address,
    RollBack,
    RunDefinition,
    StageDefinition,
    WorkflowDefinition,
    references,
)
from app.engine.explained import absences
from app.engine.record import with_marks
from app.engine.work_order import order_of_work
from app.models.actions import (
    Action,
    ActionBody,
    ActionType,
    ResourceOperation,
    RollbackPolicy,
    operation_of,
    rollback_policy_of,
    rollback_type,
)
from app.models.execution import (
    ActionOutputs,
    ActionStatus,
    DRPlanExecutionStatus,
    StageStatus,
    WorkflowExecutionStatus,
)
from app.models.phases import Phase, PlanPolicy, StagePolicy, WorkflowPolicy
from app.models.revert_options import RevertFailurePolicy, RevertOptions
from app.models.snapshot import Snapshot
from app.models.workflow import DRWorkflowSpec

_ALWAYS_MADE = frozenset({ActionType.JOB, ActionType.SUBSCRIPTION})
"""Types whose recorded object an action of the Go operator always made itself."""
_UNVOUCHED = (
    "The rollback of this action uses outputs, and nothing but the status of an execution without outcome record says "
    "what these were; undo it by hand, then revert the rest with spec.revertOptions.failurePolicy: Continue"
)
WITHOUT_SNAPSHOT = "reverted from recorded outputs and the live definitions, because {target} left no snapshot"


def revert_definition(snapshot: Snapshot) -> RunDefinition:
    """Return what a Revert does, from its snapshot. Raises ValueError when the snapshot has no target."""
    target = snapshot.target
    if target is None:
        raise ValueError(f"snapshot of Revert {snapshot.execution_name} has no target")
    options = snapshot.revert_options or RevertOptions()
    goes_on = options.failure_policy is RevertFailurePolicy.CONTINUE
    builder = _Builder(snapshot, target.status, goes_on=goes_on)
    return RunDefinition(
        operation=snapshot.operation,
        plan_name=snapshot.plan_name,
        mode=snapshot.mode,
        policy=PlanPolicy.CONTINUE if goes_on else PlanPolicy.STOP,
        stages=tuple(
            builder.stage(index, target.status.stage_statuses[index]) for index in reversed(builder.order_of_stages())
        ),
        note="" if target.has_snapshot else WITHOUT_SNAPSHOT.format(target=target.name),
        checks=checks_of(snapshot.health_check, None),
    )


class _Builder:
    def __init__(self, snapshot: Snapshot, status: DRPlanExecutionStatus, *, goes_on: bool) -> None:
        self._snapshot = snapshot
        self._stages = status.stage_statuses
        self._unrecorded = snapshot.target is not None and snapshot.target.unrecorded
        self._stage_policy = StagePolicy.CONTINUE if goes_on else StagePolicy.STOP
        self._workflow_policy = WorkflowPolicy.CONTINUE if goes_on else WorkflowPolicy.FAIL_FAST
        self._absences = absences(snapshot, status, self._order_of_actions())

    def order_of_stages(self) -> list[int]:
        """Return the positions of the target's stages in the order in which they ran."""
        positions = {stage.name: index for index, stage in enumerate(self._stages)}
        depends_on = {stage.name: stage.depends_on for stage in self._snapshot.plan_spec.stages}
        after = [
            [positions[name] for name in depends_on.get(stage.name, ()) if name in positions] for stage in self._stages
        ]
        return self._order([stage.start_time for stage in self._stages], after)

    def _order(self, started: Sequence[datetime | None], after: Sequence[Sequence[int]]) -> list[int]:
        return order_of_work(started, after) if self._snapshot.in_order_of_work else list(range(len(started)))

    def _order_of_workflows(self, stage: StageStatus) -> list[int]:
        started = [workflow.start_time for workflow in stage.workflow_executions]
        after = [[] if stage.parallel or not position else [position - 1] for position in range(len(started))]
        return self._order(started, after)

    def _order_within(self, workflow: WorkflowExecutionStatus) -> list[int]:
        listed = workflow.action_statuses
        return self._order([action.start_time for action in listed], _dependencies(listed, self._spec_of(workflow)))

    def _order_of_actions(self) -> list[Address]:
        """Return every action of the target, in the order in which they ran."""
        return [
            Address(s, w, a)
            for s in self.order_of_stages()
            for w in self._order_of_workflows(self._stages[s])
            for a in self._order_within(self._stages[s].workflow_executions[w])
        ]

    def _spec_of(self, workflow: WorkflowExecutionStatus) -> DRWorkflowSpec | None:
        return self._snapshot.workflow_of(workflow.workflow_ref)

    def stage(self, index: int, stage: StageStatus) -> StageDefinition:
        workflows = tuple(
            self._workflow(index, position, stage.name, stage.workflow_executions[position])
            for position in reversed(self._order_of_workflows(stage))
        )
        entered = stage.phase in (Phase.SUCCEEDED, Phase.FAILED) or any(not workflow.skip for workflow in workflows)
        return StageDefinition(
            name=stage.name,
            workflows=workflows,
            policy=self._stage_policy,
            skip="" if entered else f"Original stage phase was {stage.phase}, skipped rollback",
            snapshot_index=index,
        )

    def _workflow(
        self, stage: int, index: int, stage_name: str, workflow: WorkflowExecutionStatus
    ) -> WorkflowDefinition:
        namespace, name = workflow.workflow_ref.key_in(self._snapshot.execution_namespace)
        spec = self._spec_of(workflow)
        by_name = {action.name: action for action in spec.actions} if spec else {}
        listed = workflow.action_statuses
        actions = [
            self._action(
                Address(stage, index, position), stage_name, listed[position], by_name.get(listed[position].name)
            )
            for position in reversed(self._order_within(workflow))
        ]
        entered = workflow.phase in (Phase.SUCCEEDED, Phase.FAILED) or any(not action.skip for action in actions)
        return WorkflowDefinition(
            namespace=namespace,
            name=name,
            actions=tuple(_in_sequence(actions)),
            policy=self._workflow_policy,
            params=params_of_use(self._snapshot.stages[stage].workflows[index], self._snapshot.resolved_params),
            skip="" if entered else f"Original workflow phase was {workflow.phase}, skipped rollback",
            snapshot_index=index,
        )

    def _action(
        self, address: Address, stage_name: str, status: ActionStatus, definition: Action | None
    ) -> ActionDefinition:
        type_ = _type_of(status, definition)
        skip = _nothing_to_do(status, definition, type_)
        if skip or type_ is None:
            return ActionDefinition(name=status.name, type=type_ or "", step=None, skip=skip)
        if definition is None and type_ not in _ALWAYS_MADE:
            return ActionDefinition(name=status.name, type=type_, step=None, fail=_cannot_tell(status))
        try:
            rollback = definition.custom_rollback() if definition and status.phase is Phase.SUCCEEDED else None
        except ValidationError as error:
            return ActionDefinition(name=status.name, type=type_, step=None, fail=_unreadable(error))
        if rollback is not None and self._unrecorded and _reads_outputs(rollback):
            return ActionDefinition(name=status.name, type=type_, step=None, fail=_UNVOUCHED)
        body: ActionBody = rollback or definition or ActionBody()
        step = RollBack(
            type=rollback_type(rollback, type_) if rollback else type_,
            body=body,
            custom=rollback is not None,
            outputs=status.outputs or ActionOutputs(),
            stage=stage_name,
            workflow_index=address.workflow,
            target_address=address,
            explained=self._absences.explained(address, status, definition),
        )
        timed = body if body.timeout else definition or body
        retried = body if body.retry_policy else definition or body
        return ActionDefinition(
            name=status.name, type=type_, step=step, retry=retry_of(retried), timeout=timeout_of(timed)
        )


def _dependencies(actions: Sequence[ActionStatus], spec: DRWorkflowSpec | None) -> Sequence[Sequence[int]]:
    """Return what each action waited for; nothing where the definition is not that of the record."""
    if spec is None or [action.name for action in spec.actions] != [action.name for action in actions]:
        return [()] * len(actions)
    return [needs for needs, _ in action_order(spec.actions)]


def _in_sequence(actions: list[ActionDefinition]) -> list[ActionDefinition]:
    return [replace(action, after=(index - 1,) if index else ()) for index, action in enumerate(actions)]


def _type_of(status: ActionStatus, definition: Action | None) -> ActionType | None:
    """Return an action's type: as defined, as recorded, or as its outputs tell (records of the Go operator)."""
    if definition is not None:
        return definition.type
    if status.type in set(ActionType):
        return ActionType(status.type)
    outputs = status.outputs
    if outputs is None:
        return None
    made = {
        ActionType.JOB: outputs.job_ref,
        ActionType.LOCALIZATION: outputs.localization_ref,
        ActionType.GLOBALIZATION: outputs.globalization_ref,
        ActionType.HELM_CHART: outputs.helm_chart_ref,
        ActionType.SUBSCRIPTION: outputs.subscription_ref or outputs.subscription_refs,
        ActionType.KUBERNETES_RESOURCE: outputs.resource_ref or outputs.resource_refs,
        ActionType.HTTP: outputs.http_response,
    }
    return next((type_ for type_, output in made.items() if output), None)


def _nothing_to_do(status: ActionStatus, definition: Action | None, type_: ActionType | None) -> str:
    """Return why an action needs no rollback; empty when it does."""
    if status.rolled_back_by:
        return f"already rolled back by {status.rolled_back_by}"
    if definition is not None and rollback_policy_of(definition) is RollbackPolicy.NONE:
        return "rollbackPolicy None: what this action did stays"
    if status.phase is not Phase.SUCCEEDED:
        made = references(status.outputs) if _creates(definition, type_) else ()
        return "" if made else f"Original action phase was {status.phase}, skipped rollback"
    if definition is None:
        return "" if references(status.outputs) else "Action not found in workflow definition"
    if type_ is ActionType.HTTP and definition.rollback is None:
        return "No rollback defined for HTTP action"
    return ""


def _creates(definition: Action | None, type_: ActionType | None) -> bool:
    """Tell whether objects that an unfinished action recorded may be of its own making, or are to be restored."""
    if definition is None or type_ is None:
        return type_ is ActionType.JOB
    if rollback_policy_of(definition) is RollbackPolicy.RESTORE:
        return True
    return operation_of(definition, type_) not in (ResourceOperation.PATCH, ResourceOperation.DELETE)


def _cannot_tell(status: ActionStatus) -> str:
    """Return what to say when neither snapshot nor definition tells whether the run made an object or changed it."""
    named = ", ".join(f"{ref.kind} {ref.namespace}/{ref.name}" for ref in references(status.outputs))
    return (
        f"Action not found in workflow definition, so nothing says whether this run made {named} or changed it; "
        "undo it by hand, then revert the rest with spec.revertOptions.failurePolicy: Continue"
    )


def _unreadable(error: ValidationError) -> str:
    """Return what to say about a rollback block that does not decode, without the values in it."""
    problems = "; ".join(f"rollback.{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
    return f"The rollback of this action cannot be read: {problems}; undo it by hand, then revert the rest with " + (
        "spec.revertOptions.failurePolicy: Continue"
    )


def _reads_outputs(rollback: ActionBody) -> bool:
    return "$(outputs." in json.dumps(rollback.written())


def taken_back(definition: RunDefinition, revert: DRPlanExecutionStatus) -> tuple[Address, ...]:
    """Return the actions of the target that a Revert rolled back, by their places in the target's status."""
    return tuple(
        action.step.target_address
        for s, stage in enumerate(definition.stages)
        for w, workflow in enumerate(stage.workflows)
        for a, action in enumerate(workflow.actions)
        if isinstance(action.step, RollBack)
        and revert.stage_statuses[s].workflow_executions[w].action_statuses[a].phase is Phase.SUCCEEDED
    )


def mark_reverted(
    target: DRPlanExecutionStatus, definition: RunDefinition, revert: DRPlanExecutionStatus, revert_name: str
) -> DRPlanExecutionStatus:
    """Return the target's status with what a Revert took back marked (decision R2a)."""
    whole = revert.phase is Phase.SUCCEEDED
    return with_marks(target, taken_back(definition, revert), revert_name, whole=whole)


def target_problem(target_operation: str, status: DRPlanExecutionStatus, *, same_plan: bool, target: str) -> str:
    """Return why an execution cannot be reverted, in the words of the contract; empty when it can (decision R1)."""
    if target_operation != "Execute":
        return f"Cannot revert non-Execute operation (target is {target_operation})"
    phase = status.phase or Phase.PENDING
    if phase not in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED):
        return f"Cannot revert execution in phase {phase} (must be Succeeded, Failed or Cancelled)"
    if not same_plan:
        return f"Cannot revert execution {target}: it belongs to another plan"
    if status.reverted_by:
        return f"execution {target} was already reverted by {status.reverted_by}"
    if not status.stage_statuses:
        return "Target execution has no stage statuses to revert"
    return ""
