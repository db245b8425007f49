"""The shape of a run: what there is to do, in which order and under which policies.

Computed from the snapshot, never stored. Execute and Revert have the same shape, so that one fold and one decision
serve both; only what an action does differs (`Forward` or `RollBack`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from app.engine.graph import ancestors, topological_order
from app.engine.retry import RetryPolicy
from app.engine.when import Language
from app.models.actions import ActionBody, ActionType
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, ResolvedParam
from app.models.health import HealthCheck
from app.models.phases import Operation, PlanPolicy, StagePolicy, WorkflowPolicy

DEFAULT_TIMEOUT = timedelta(minutes=5)


class Address(NamedTuple):
    """Where an action is: indexes of stage, workflow and action in the run's definition."""

    stage: int
    workflow: int
    action: int


ObjectKey = tuple[str, str, str, str]
"""Group, kind, namespace and name."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Do what the action says."""

    type: ActionType
    body: ActionBody


@dataclass(frozen=True, slots=True)
class RollBack:
    """Take an action of the target run back.

    With `custom`, that block is executed as `type`; without, the executor of `type` undoes what `outputs` names.
    `stage`, `workflow_index` and `action` are those of the target run. `explained` are the objects of which the
    target's own record explains why they may be gone (decision R5).
    """

    type: ActionType
    body: ActionBody
    custom: bool
    outputs: ActionOutputs
    stage: str
    workflow_index: int
    target_address: Address
    explained: frozenset[ObjectKey] = frozenset()


@dataclass(frozen=True, slots=True)
class ActionDefinition:
    """One action of the run.

    `after` are the actions that must have ended, `needs` those that must not have failed. `skip` is the reason why
    there is nothing to do and `fail` why it cannot be done, both known beforehand; `step` is None only then.
    """

    name: str
    type: str
    step: Forward | RollBack | None
    after: tuple[int, ...] = ()
    needs: tuple[int, ...] = ()
    when: str = ""
    skip: str = ""
    fail: str = ""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: timedelta = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class WorkflowDefinition:
    """One workflow of a stage. `snapshot_index` is its place among the workflows of the snapshot's stage.

    `params` are the parameters that differ from the run's, as the status shows them. `values` are all that have one,
    without those named in `secrets`, whose values are never part of a definition.
    """

    namespace: str
    name: str
    actions: tuple[ActionDefinition, ...]
    policy: WorkflowPolicy = WorkflowPolicy.FAIL_FAST
    skip: str = ""
    snapshot_index: int = 0
    params: tuple[ResolvedParam, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()

    order: tuple[int, ...] = field(init=False, compare=False)
    """The actions, each behind those that it waits for."""
    before: tuple[int, ...] = field(init=False, compare=False)
    """For each action those that surely ended before it starts, as bits."""

    positions: Mapping[str, int] = field(init=False, compare=False)
    """The actions by name."""
    waiting: tuple[tuple[int, ...], ...] = field(init=False, compare=False)
    """For each action those that wait for it."""
    place: tuple[int, ...] = field(init=False, compare=False)
    """For each action its place in `order`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", {action.name: index for index, action in enumerate(self.actions)})
        order, before = _order_and_before([action.after for action in self.actions])
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "before", before)
        object.__setattr__(self, "waiting", _turned_round([action.after for action in self.actions]))
        place = {index: place for place, index in enumerate(order)}
        object.__setattr__(self, "place", tuple(place[index] for index in range(len(order))))

    @property
    def key(self) -> str:
        """`namespace/name` of the workflow."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class StageDefinition:
    """One stage. `policy` is the effective one; `snapshot_index` is the place of the snapshot's stage."""

    name: str
    workflows: tuple[WorkflowDefinition, ...]
    policy: StagePolicy
    parallel: bool = False
    depends_on: tuple[str, ...] = ()
    needs: tuple[int, ...] = ()
    skip: str = ""
    snapshot_index: int = 0


@dataclass(frozen=True, slots=True)
class CheckDefinition:
    """One health check. `stage` is the index of the stage that it ends; None when it ends the run.

    `attempts` is how many may fail, the last of which fails the check. All checks of one gate have the same
    `sustained_for`; zero means that each has to be healthy once.
    """

    stage: int | None
    body: HealthCheck
    attempts: int
    interval: timedelta
    timeout: timedelta
    sustained_for: timedelta

    @property
    def name(self) -> str:
        """Name of the check."""
        return self.body.name


@dataclass(frozen=True, slots=True)
class RunDefinition:
    """A whole run. `language` is what conditions are written in that name more than modes (decision P7)."""

    operation: Operation
    plan_name: str
    mode: str
    stages: tuple[StageDefinition, ...]
    policy: PlanPolicy = PlanPolicy.STOP
    max_parallel_stages: int = 1
    note: str = ""
    language: Language | None = None
    conditions: int = 0
    """How many conditions it has that name more than modes."""
    checks: tuple[CheckDefinition, ...] = ()
    """Health checks: those of stages in their order, then those of the run."""

    gates: Mapping[int | None, tuple[int, ...]] = field(init=False, compare=False)
    """The health checks that end a stage, by its index, and the run (None)."""
    dependants: tuple[tuple[int, ...], ...] = field(init=False, compare=False)
    """For each stage those that need it."""
    size: int = field(init=False, compare=False)
    """Stages, workflows, actions, and what these wait for: what drawing a change takes time by."""
    repeated_workflows: frozenset[str] = field(init=False, compare=False)
    """Workflows of which more than one use may be under way at the same time, by `namespace/name`."""
    repeated_actions: frozenset[str] = field(init=False, compare=False)
    """Names of which more than one action may be under way at the same time."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dependants", _turned_round([stage.needs for stage in self.stages]))
        object.__setattr__(self, "size", sum(map(_size, self.stages)) + len(self.checks))
        gates: dict[int | None, tuple[int, ...]] = {}
        for index, check in enumerate(self.checks):
            gates[check.stage] = (*gates.get(check.stage, ()), index)
        object.__setattr__(self, "gates", gates)
        groups = _at_once(self.stages, self.max_parallel_stages)
        workflows = [_repeated(workflow.key for workflow in group) for group in groups]
        actions = [_repeated(action.name for workflow in group for action in workflow.actions) for group in groups]
        object.__setattr__(self, "repeated_workflows", frozenset[str]().union(*workflows))
        object.__setattr__(self, "repeated_actions", frozenset[str]().union(*actions))

    def action(self, address: Address) -> ActionDefinition:
        """Return the action at `address`."""
        return self.stages[address.stage].workflows[address.workflow].actions[address.action]

    def workflow(self, address: Address) -> WorkflowDefinition:
        """Return the workflow that `address` is in."""
        return self.stages[address.stage].workflows[address.workflow]


def _turned_round(edges: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """Return for each position those whose entries name it."""
    found: list[list[int]] = [[] for _ in edges]
    for index, named in enumerate(edges):
        for other in named:
            found[other].append(index)
    return tuple(map(tuple, found))


def _at_once(stages: Sequence[StageDefinition], max_parallel_stages: int) -> list[list[WorkflowDefinition]]:
    """Return groups of workflows of which some may be under way at the same time."""
    if max_parallel_stages > 1:
        return [[workflow for stage in stages for workflow in stage.workflows]]
    return [list(stage.workflows) for stage in stages if stage.parallel]


def _repeated(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name, count in Counter(names).items() if count > 1)


def _size(stage: StageDefinition) -> int:
    actions = [action for workflow in stage.workflows for action in workflow.actions]
    return 1 + len(stage.needs) + len(stage.workflows) + sum(1 + len(action.after) for action in actions)


def _order_and_before(after: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return positions, each behind those it waits for, and for each all that it waits for, as bits.

    Where actions wait for each other, which only stored objects of the Go operator can, the order is that of the list.
    """
    positions = range(len(after))
    if all(earlier == ((index - 1,) if index else ()) for index, earlier in enumerate(after)):
        return tuple(positions), tuple((1 << index) - 1 for index in positions)
    graph = dict(enumerate(after))
    reached = ancestors(graph)
    try:
        order = topological_order(graph)
    except ValueError:
        order = list(positions)
    return tuple(order), tuple(reached[index] for index in positions)


def references(outputs: ActionOutputs | None) -> tuple[CoreReference, ...]:
    """Return every object that `outputs` names, in the order they were made."""
    if outputs is None:
        return ()
    single = (
        outputs.job_ref,
        outputs.localization_ref,
        outputs.globalization_ref,
        outputs.helm_chart_ref,
        outputs.subscription_ref,
    )
    resources = outputs.resource_refs or ((outputs.resource_ref,) if outputs.resource_ref else ())
    return tuple(ref for ref in single if ref) + outputs.subscription_refs + tuple(resources)


def object_key(ref: CoreReference) -> ObjectKey:
    """Return what tells the objects of one action apart."""
    return ref.api_version.rpartition("/")[0], ref.kind, ref.namespace, ref.name
