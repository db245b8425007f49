"""The spans of runs: execution, stages, workflows, actions, each recorded when it has ended (docs/tracing.md).

Whoever commits an end records its span; what an earlier leader ended is not recorded again. A part in which nothing was
attempted has no time of its own and is recorded with the part that it belongs to; what is within a skipped stage is not
recorded at all. Skipped actions that never began are only counted: thousands may be skipped in one step, for which all
runs would wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from app.engine.definition import Address, RollBack, RunDefinition
from app.engine.events import ActionFinished, ActionStarted, AttemptFailed, Event
from app.models.execution import (
    ActionStatus,
    DRPlanExecution,
    DRPlanExecutionStatus,
    StageStatus,
    WorkflowExecutionStatus,
)
from app.models.phases import Operation, Phase
from app.models.snapshot import Snapshot
from app.runtime.logging import get_logger
from app.runtime.tracing import AttributeValue, Moment, PastSpan, Traces, identity_of
from controller.run.trace_attributes import Part, action_attributes, is_call, part_attributes

log = get_logger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a time that a status does not say."""


class RunTrace:
    """Follows one run from status to status. `in_doubt` are the actions that an earlier process had started."""

    def __init__(
        self,
        traces: Traces,
        snapshot: Snapshot,
        definition: RunDefinition,
        *,
        in_doubt: Iterable[Address] = (),
        now: datetime,
    ) -> None:
        self._traces = traces
        self._uid = snapshot.execution_uid
        self._target_uid = snapshot.target.uid if snapshot.target is not None else ""
        self._definition = definition
        self._common: dict[str, AttributeValue] = {
            "k8s.namespace.name": snapshot.execution_namespace,
            "drplan.execution.name": snapshot.execution_name,
            "drplan.plan.name": snapshot.plan_name,
            "drplan.operation": definition.operation.value,
        }
        self._moments: defaultdict[Address, list[Moment]] = defaultdict(list)
        for address in in_doubt:
            self._moments[address].append(Moment("drplan.attempt.resumed", now))

    def follow(self, old: DRPlanExecutionStatus, new: DRPlanExecutionStatus, events: Iterable[Event]) -> None:
        """Record what ended between two statuses, which `events` led to; the run's own end is left to `end`."""
        with _harmless():
            for event in events:
                self._note(event)
            for s, (before, after) in enumerate(zip(old.stage_statuses, new.stage_statuses, strict=True)):
                if before is not after:
                    self._follow_stage(s, before, after)

    def end(self, execution: DRPlanExecution) -> None:
        """Record the run itself, and what of it never began."""
        with _harmless():
            for s, stage in enumerate(execution.status.stage_statuses):
                if not _stage_began(stage):
                    self._record_stage(s, stage)
        record_execution(self._traces, execution, self._target_uid)

    def exemplar(self, address: Address) -> dict[str, str] | None:
        """Return what leads from a value that was observed of an action to its span."""
        return self._traces.exemplar(self._identity(*address))

    def _note(self, event: Event) -> None:
        if isinstance(event, ActionStarted):
            number: dict[str, AttributeValue] = {"drplan.attempt.number": event.attempt}
            self._moments[event.address].append(Moment("drplan.attempt.started", event.at, number))
        elif isinstance(event, AttemptFailed):
            why: dict[str, AttributeValue] = {
                "drplan.message": event.message,
                "drplan.attempt.not_before": event.not_before.isoformat(),
            }
            self._moments[event.address].append(Moment("drplan.attempt.failed", event.at, why))
        elif isinstance(event, ActionFinished) and event.phase is Phase.FAILED:
            failed = Moment("drplan.attempt.failed", event.at, {"drplan.message": event.message})
            self._moments[event.address].append(failed)

    def _follow_stage(self, s: int, old: StageStatus, new: StageStatus) -> None:
        for w, (before, after) in enumerate(zip(old.workflow_executions, new.workflow_executions, strict=True)):
            if before is not after:
                self._follow_workflow(s, w, before, after)
        if _has_ended(old, new) and _stage_began(new):
            self._record_stage(s, new)

    def _follow_workflow(self, s: int, w: int, old: WorkflowExecutionStatus, new: WorkflowExecutionStatus) -> None:
        for a, (before, after) in enumerate(zip(old.action_statuses, new.action_statuses, strict=True)):
            if before is not after and _has_ended(before, after) and _action_began(after):
                self._record_action(Address(s, w, a), after)
        if _has_ended(old, new) and _workflow_began(new):
            self._record_workflow(s, w, new)

    def _record_stage(self, s: int, stage: StageStatus) -> None:
        if stage.phase is not Phase.SKIPPED:
            for w, workflow in enumerate(stage.workflow_executions):
                if not _workflow_began(workflow):
                    self._record_workflow(s, w, workflow)
        span = self._span(stage, f"stage {stage.name}", self._identity(s), identity_of(self._uid))
        self._record(span, {**self._names(s), "drplan.stage.parallel": stage.parallel})

    def _record_workflow(self, s: int, w: int, workflow: WorkflowExecutionStatus) -> None:
        attributes, skipped = self._names(s, w), 0
        for a, action in enumerate(workflow.action_statuses):
            if action.phase is Phase.FAILED and not _action_began(action):
                self._record_action(Address(s, w, a), action)
            elif not _action_began(action):
                skipped += 1
        if skipped:
            attributes["drplan.workflow.actions_not_started"] = skipped
        name = f"workflow {workflow.workflow_ref.name}"
        self._record(self._span(workflow, name, self._identity(s, w), self._identity(s)), attributes)

    def _record_action(self, address: Address, action: ActionStatus) -> None:
        node = self._definition.action(address)
        word, link = "action", ""
        if self._definition.operation is Operation.REVERT:
            word = "rollback"
        if isinstance(node.step, RollBack) and self._target_uid:
            link = identity_of(self._target_uid, node.step.stage, node.step.workflow_index, action.name)
        span = self._span(action, f"{word} {action.name}", self._identity(*address), self._identity(*address[:2]))
        span = replace(span, moments=self._moments.pop(address, ()), link=link, is_call=is_call(node))
        names = {**self._names(*address[:2]), "drplan.action.name": action.name}
        self._record(span, {**names, **action_attributes(node, action)})

    def _span(self, part: Part, name: str, identity: str, parent: str) -> PastSpan:
        end = part.completion_time or part.start_time or _EPOCH
        problem = part.message if part.phase is Phase.FAILED else None
        start = part.start_time or end
        return PastSpan(identity, parent, name, start, end, {**self._common, **part_attributes(part)}, problem)

    def _record(self, span: PastSpan, attributes: Mapping[str, AttributeValue]) -> None:
        self._traces.record(replace(span, attributes={**span.attributes, **attributes}))

    def _names(self, s: int, w: int | None = None) -> dict[str, AttributeValue]:
        stage = self._definition.stages[s]
        if w is None:
            return {"drplan.stage.name": stage.name}
        workflow = stage.workflows[w]
        return {
            "drplan.stage.name": stage.name,
            "drplan.workflow.name": workflow.name,
            "drplan.workflow.namespace": workflow.namespace,
        }

    def _identity(self, s: int, w: int | None = None, a: int | None = None) -> str:
        """Return the identity of a part; an action's is its idempotency key."""
        stage = self._definition.stages[s]
        if w is None:
            return identity_of(self._uid, stage.name)
        workflow = stage.workflows[w]
        if a is None:
            return identity_of(self._uid, stage.name, workflow.snapshot_index)
        return identity_of(self._uid, stage.name, workflow.snapshot_index, workflow.actions[a].name)


def record_execution(traces: Traces, execution: DRPlanExecution, target_uid: str = "") -> None:
    """Record an execution that has ended, also one that never started.

    `target_uid` is that of the execution which a Revert took back.
    """
    if traces.recording:
        with _harmless():
            traces.record(_execution_span(execution, target_uid))


def _execution_span(execution: DRPlanExecution, target_uid: str) -> PastSpan:
    metadata, spec, status = execution.metadata, execution.spec, execution.status
    end = status.completion_time or status.start_time or metadata.creation_timestamp or _EPOCH
    attributes: dict[str, AttributeValue] = {
        "k8s.namespace.name": metadata.namespace,
        "drplan.execution.name": metadata.name,
        "drplan.execution.uid": metadata.uid,
        "drplan.plan.name": spec.plan_ref,
        "drplan.operation": spec.operation_type.value,
        "drplan.phase": execution.phase.value,
    }
    if spec.mode is not None:
        attributes["drplan.mode"] = spec.mode.value
    if spec.revert_execution_ref:
        attributes["drplan.revert.target"] = spec.revert_execution_ref
    if status.message and execution.phase is not Phase.FAILED:
        attributes["drplan.message"] = status.message
    return PastSpan(
        identity=identity_of(metadata.uid),
        parent="",
        name=f"{spec.operation_type} {spec.plan_ref}",
        start=status.start_time or end,
        end=end,
        attributes=attributes,
        problem=status.message if execution.phase is Phase.FAILED else None,
        link=identity_of(target_uid) if target_uid else "",
    )


@contextmanager
def _harmless() -> Iterator[None]:
    """Log a defect in tracing, which must never break off a run."""
    try:
        yield
    except Exception as error:
        log.error("trace is not complete", exc_info=error)


def _has_ended(old: Part, new: Part) -> bool:
    return new.phase.is_final and not old.phase.is_final


def _action_began(action: ActionStatus) -> bool:
    return action.attempt > 0


def _workflow_began(workflow: WorkflowExecutionStatus) -> bool:
    return any(_action_began(action) for action in workflow.action_statuses)


def _stage_began(stage: StageStatus) -> bool:
    return any(_workflow_began(workflow) for workflow in stage.workflow_executions)
