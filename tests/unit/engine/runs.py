"""Small plans in few words, and a player that runs them against the pure engine."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.engine.build import execute_definition
from app.engine.decide import conclude, decide
from app.engine.definition import Address, RunDefinition
from app.engine.events import ActionStarted, Event
from app.engine.fold import fold, initial_status
from app.engine.outcome import Failed, Outcome, Succeeded
from app.models.actions import Action, ActionType, HttpAction, RetryPolicy
from app.models.common import ObjectReference
from app.models.execution import ActionStatus, DRPlanExecutionStatus, StageStatus, WorkflowExecutionStatus
from app.models.phases import Operation, Phase, PlanPolicy, StagePolicy, WorkflowPolicy
from app.models.plan import DRPlanSpec, Stage, WorkflowReference
from app.models.revert_options import RevertOptions
from app.models.snapshot import Snapshot, StageRun, Target, WorkflowRun
from app.models.workflow import DRWorkflowSpec

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
NO_RETRY = RetryPolicy(limit=0)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def http(
    name: str,
    *depends_on: str,
    when: str = "",
    retry: RetryPolicy | None = NO_RETRY,
    timeout: str | None = None,
    rollback: dict[str, object] | None = None,
) -> Action:
    return Action(
        name=name,
        type=ActionType.HTTP,
        http=HttpAction(url="http://site.invalid/"),
        depends_on=depends_on,
        when=when,
        retry_policy=retry,
        timeout=timeout,
        rollback=rollback,
    )


@dataclass(frozen=True)
class W:
    actions: tuple[Action, ...]
    policy: WorkflowPolicy = WorkflowPolicy.FAIL_FAST


@dataclass(frozen=True)
class S:
    name: str
    workflows: tuple[W, ...]
    parallel: bool = False
    depends_on: tuple[str, ...] = ()
    policy: StagePolicy | None = None

    def workflow_name(self, index: int) -> str:
        return f"{self.name}-{index}"


def flow(*actions: str | Action, policy: WorkflowPolicy = WorkflowPolicy.FAIL_FAST) -> W:
    return W(tuple(http(action) if isinstance(action, str) else action for action in actions), policy)


def stage(
    name: str,
    *workflows: W,
    parallel: bool = False,
    depends_on: tuple[str, ...] = (),
    policy: StagePolicy | None = None,
) -> S:
    return S(name, workflows, parallel, depends_on, policy)


def snapshot_of(
    *stages: S,
    policy: PlanPolicy = PlanPolicy.STOP,
    at_once: int | None = None,
    mode: str = "install",
    mode_assumed: bool = False,
) -> Snapshot:
    return Snapshot(
        execution_name="run-1",
        execution_namespace="ns",
        execution_uid="uid-1",
        operation=Operation.EXECUTE,
        mode=mode,
        mode_assumed=mode_assumed,
        plan_name="plan",
        plan_spec=DRPlanSpec(
            failure_policy=policy,
            max_parallel_stages=at_once,
            stages=tuple(
                Stage(
                    name=s.name,
                    parallel=s.parallel,
                    depends_on=s.depends_on,
                    failure_policy=s.policy,
                    workflows=tuple(
                        WorkflowReference(workflow_ref=ObjectReference(name=s.workflow_name(i), namespace="ns"))
                        for i in range(len(s.workflows))
                    ),
                )
                for s in stages
            ),
        ),
        workflows={
            f"ns/{s.workflow_name(i)}": DRWorkflowSpec(actions=w.actions, failure_policy=w.policy)
            for s in stages
            for i, w in enumerate(s.workflows)
        },
        stages=tuple(
            StageRun(
                name=s.name,
                workflows=tuple(WorkflowRun(namespace="ns", name=s.workflow_name(i)) for i in range(len(s.workflows))),
            )
            for s in stages
        ),
    )


def definition_of(
    *stages: S, policy: PlanPolicy = PlanPolicy.STOP, at_once: int | None = None, mode: str = "install"
) -> RunDefinition:
    return execute_definition(snapshot_of(*stages, policy=policy, at_once=at_once, mode=mode))


def nodes(status: DRPlanExecutionStatus) -> Iterator[StageStatus | WorkflowExecutionStatus | ActionStatus]:
    """Every stage, workflow and action, parents first."""
    for one in status.stage_statuses:
        yield one
        for workflow in one.workflow_executions:
            yield workflow
            yield from workflow.action_statuses


def actions(status: DRPlanExecutionStatus) -> Iterator[tuple[Address, ActionStatus]]:
    for s, one in enumerate(status.stage_statuses):
        for w, workflow in enumerate(one.workflow_executions):
            for a, action in enumerate(workflow.action_statuses):
                yield Address(s, w, a), action


def find(status: DRPlanExecutionStatus, name: str) -> tuple[Address, ActionStatus]:
    """The action `name`, which tests keep unique within a plan."""
    return next((address, action) for address, action in actions(status) if action.name == name)


def phases(status: DRPlanExecutionStatus) -> dict[str, str]:
    """Phases of all actions by name."""
    return {action.name: action.phase.value for _, action in actions(status)}


@dataclass
class Player:
    """Runs a definition, one second an event. Everything that may start is started at once, unless `idle`."""

    definition: RunDefinition
    status: DRPlanExecutionStatus = field(init=False)
    now: datetime = START
    idle: bool = False
    started: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.status = initial_status(self.definition, self.now)
        self.start()

    def fold(self, event: Event) -> None:
        self.status = fold(self.definition, self.status, event)

    def start(self) -> None:
        """Start what may start, without letting time pass."""
        if self.idle:
            return
        for start in decide(self.definition, self.status, self.now).starts:
            name = self.definition.action(start.address).name
            self.started.append(name)
            self.running.append(name)
            self.fold(ActionStarted(self.now, start.address, start.attempt))

    def end(self, name: str, outcome: Outcome | None = None, *, seconds: float = 1) -> None:
        """End a running attempt, successfully when nothing else is said, and start what may start then."""
        self.now += timedelta(seconds=seconds)
        self.running.remove(name)
        address, _ = find(self.status, name)
        outcome = outcome or Succeeded(f"{name} done")
        self.fold(conclude(self.definition, self.status, address, outcome, self.now, jitter=0.5))
        self.start()

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.start()

    def play(self, failing: Collection[str] = ()) -> DRPlanExecutionStatus:
        """End everything in the order it started; `failing` actions fail for good."""
        while self.running:
            name = self.running[0]
            self.end(name, Failed(f"{name} broke") if name in failing else None)
        return self.status

    def action(self, name: str) -> ActionStatus:
        return find(self.status, name)[1]

    def stage(self, name: str) -> StageStatus:
        return next(one for one in self.status.stage_statuses if one.name == name)

    def phase(self) -> Phase | None:
        return self.status.phase


def revert_of(
    snapshot: Snapshot,
    target: DRPlanExecutionStatus,
    *,
    options: RevertOptions | None = None,
    has_snapshot: bool = True,
    name: str = "revert-1",
) -> Snapshot:
    """The snapshot of a Revert of the run that `snapshot` was made for."""
    return snapshot.model_copy(
        update={
            "execution_name": name,
            "execution_uid": f"uid-{name}",
            "operation": Operation.REVERT,
            "mode": "rollback",
            "mode_assumed": False,
            "target": Target(
                name=snapshot.execution_name, uid=snapshot.execution_uid, status=target, has_snapshot=has_snapshot
            ),
            "revert_options": options,
            "in_order_of_work": True,
        }
    )
