"""From the snapshot of an Execute to its definition."""

from __future__ import annotations

import re
from datetime import timedelta

from app.engine.definition import (
    DEFAULT_TIMEOUT,
    ActionDefinition,
    CheckDefinition,
    Forward,
    RunDefinition,
    StageDefinition,
    WorkflowDefinition,
)
from app.engine.durations import parse_duration
from app.engine.retry import RetryPolicy
from app.engine.text import MASK, cut
from app.engine.when import Language, names_modes_only
from app.models.actions import Action, ActionBody
from app.models.execution import ResolvedParam
from app.models.health import HealthChecks
from app.models.phases import Mode, PlanPolicy, StagePolicy
from app.models.plan import DRPlanSpec, Stage
from app.models.snapshot import Snapshot, StageRun, WorkflowRun
from app.models.workflow import DRWorkflowSpec

DEFAULT_CHECK_ATTEMPTS = 5
DEFAULT_CHECK_INTERVAL = timedelta(seconds=3)
DEFAULT_CHECK_TIMEOUT = timedelta(seconds=10)
_MODE = re.compile(r"\b(?:mode|operation)\b")
MODE_ASSUMED = "No spec.mode given: mode install was assumed"


def execute_definition(snapshot: Snapshot, language: Language | None = None) -> RunDefinition:
    """Return what an Execute does, from its snapshot; `language` reads the conditions that name more than modes."""
    spec = snapshot.plan_spec
    positions = {stage.name: index for index, stage in enumerate(spec.stages)}
    return RunDefinition(
        operation=snapshot.operation,
        plan_name=snapshot.plan_name,
        mode=snapshot.mode,
        policy=spec.failure_policy,
        max_parallel_stages=spec.max_parallel_stages or 1,
        stages=tuple(
            _stage(index, stage, snapshot.stages[index], spec, snapshot.workflows, positions, snapshot.resolved_params)
            for index, stage in enumerate(spec.stages)
        ),
        note=MODE_ASSUMED if snapshot.mode_assumed and _mode_matters(snapshot) else "",
        language=language,
        conditions=sum(
            not names_modes_only(action.when)
            for run in snapshot.stages
            for used in run.workflows
            for action in snapshot.workflows[used.key].actions
        ),
        checks=_checks_of_execute(snapshot),
    )


def _checks_of_execute(snapshot: Snapshot) -> tuple[CheckDefinition, ...]:
    """Return the health checks of an Execute. In mode delete there are none: what is deleted cannot be healthy."""
    spec = snapshot.plan_spec
    if snapshot.mode == Mode.DELETE.lower():
        return ()
    of_stages = [check for index, stage in enumerate(spec.stages) for check in checks_of(stage.health_check, index)]
    ends_run = spec.health_check is not None and spec.health_check.on_execute
    return (*of_stages, *(checks_of(spec.health_check, None) if ends_run else ()))


def checks_of(block: HealthChecks | None, stage: int | None) -> tuple[CheckDefinition, ...]:
    """Return the health checks of a stage, or of a run; what cannot be parsed counts as the default."""
    if block is None:
        return ()
    sustained_for = _time(block.sustained_for, timedelta(0))
    return tuple(
        CheckDefinition(
            stage=stage,
            body=check,
            attempts=check.attempts or DEFAULT_CHECK_ATTEMPTS,
            interval=_time(check.interval, DEFAULT_CHECK_INTERVAL),
            timeout=_time(check.timeout, DEFAULT_CHECK_TIMEOUT),
            sustained_for=sustained_for,
        )
        for check in block.checks
    )


def _time(text: str | None, default: timedelta) -> timedelta:
    """Return a time as written; what is not positive, or cannot be parsed, counts as the default."""
    try:
        time = parse_duration(text) if text else default
    except ValueError:
        return default
    return time if time > timedelta(0) else default


def stage_policy(stage: Stage, plan: PlanPolicy) -> StagePolicy:
    """Return the policy that counts for a stage: its own, else the plan's (decision P4)."""
    return stage.failure_policy or StagePolicy(plan.value)


def timeout_of(body: ActionBody) -> timedelta:
    """Return an action's time-out; what cannot be parsed or is not positive counts as the default of 5 minutes.

    Admission refuses such a value; stored objects of the Go operator may have one, and there it had no effect.
    """
    return _time(body.timeout, DEFAULT_TIMEOUT)


def retry_of(body: ActionBody) -> RetryPolicy:
    """Return an action's retry policy; numbers that cannot be parsed count as the defaults, as with `timeout_of`."""
    try:
        return RetryPolicy.parse(body.retry_policy)
    except ValueError:
        return RetryPolicy()


def action_order(actions: tuple[Action, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return for each action the indexes of those it waits for, and of those that must not have failed.

    Without any `dependsOn` the actions run one after another, each waiting for the one before; else each waits for and
    needs its own dependencies only (decision P5). Names that do not exist are admission's matter and are left out.
    """
    if not any(action.depends_on for action in actions):
        return [(((index - 1,) if index else ()), ()) for index in range(len(actions))]
    positions = {action.name.strip(): index for index, action in enumerate(actions)}
    ordered = []
    for action in actions:
        names = dict.fromkeys(name.strip() for name in action.depends_on)
        needs = tuple(positions[name] for name in names if name in positions)
        ordered.append((needs, needs))
    return ordered


def params_of_use(used: WorkflowRun, params: tuple[ResolvedParam, ...]) -> tuple[ResolvedParam, ...]:
    """Return the parameters of one use of a workflow that differ from those of the run, as a status shows them."""
    of_run = {param.name: param.value for param in params}
    own = {name: cut(value) for name, value in used.params.items()} | dict.fromkeys(used.secret_params, MASK)
    return tuple(ResolvedParam(name=name, value=own[name]) for name in sorted(own) if of_run.get(name) != own[name])


def _stage(
    index: int,
    stage: Stage,
    run: StageRun,
    plan: DRPlanSpec,
    workflows: dict[str, DRWorkflowSpec],
    positions: dict[str, int],
    params: tuple[ResolvedParam, ...],
) -> StageDefinition:
    return StageDefinition(
        name=stage.name,
        parallel=stage.parallel,
        depends_on=stage.depends_on,
        needs=tuple(positions[name] for name in stage.depends_on if name in positions),
        policy=stage_policy(stage, plan.failure_policy),
        snapshot_index=index,
        workflows=tuple(
            _workflow(position, used, workflows[used.key], params) for position, used in enumerate(run.workflows)
        ),
    )


def _workflow(
    index: int, used: WorkflowRun, spec: DRWorkflowSpec, params: tuple[ResolvedParam, ...]
) -> WorkflowDefinition:
    order = action_order(spec.actions)
    return WorkflowDefinition(
        namespace=used.namespace,
        name=used.name,
        policy=spec.failure_policy,
        snapshot_index=index,
        params=params_of_use(used, params),
        values=used.params,
        secrets=frozenset(used.secret_params),
        actions=tuple(
            ActionDefinition(
                name=action.name,
                type=action.type.value,
                step=Forward(action.type, action),
                after=after,
                needs=needs,
                when=action.when,
                retry=retry_of(action),
                timeout=timeout_of(action),
            )
            for action, (after, needs) in zip(spec.actions, order, strict=True)
        ),
    )


def _mode_matters(snapshot: Snapshot) -> bool:
    """Tell whether a condition names the mode, in whatever language: to read them all would take time."""
    return any(_MODE.search(action.when) for spec in snapshot.workflows.values() for action in spec.actions)
