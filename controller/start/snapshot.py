"""From an execution that may start to its snapshot: what is run, with which parameters (design: the run)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.engine.text import MASK
from app.models.common import Parameter
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus, ResolvedParam
from app.models.phases import Mode, Operation
from app.models.plan import DRPlan, DRPlanSpec
from app.models.snapshot import Snapshot, StageRun, Target, WorkflowRun
from app.models.workflow import DRWorkflow
from app.rules.execution import Surroundings, check_execution
from app.rules.health import taken_by_checks
from app.rules.parameters.declared import literal, values_given
from app.rules.plan import workflow_keys
from app.runtime.last_work import to_thread
from controller.lanes import Key
from controller.references import ParameterError
from controller.sealing import new_seal_key
from controller.services import Services
from controller.snapshots import SnapshotDamagedError
from controller.start.parameters import ResolvedRun, SecretParam, Values, plain_values, resolve_run, secret_refs, shown
from controller.start.refusal import StartRefusedError
from controller.start.revert_target import RevertTarget, TargetRefusedError, read_target
from controller.start.sources import ReadWorkflow, read_workflows

MOST_PARAMETERS = 16 * 1024 * 1024
"""Characters of parameters that a snapshot may have, each use of a workflow counted: it is made as one text."""
Read = Mapping[Key, ReadWorkflow]


async def build_snapshot(services: Services, execution: DRPlanExecution, plan: DRPlan, read: Read) -> Snapshot:
    """Return the snapshot of a run about to start; `read` are workflows that have just been read for it.

    Raises `StartRefusedError`, and `KubeError` for another try.
    """
    try:
        if execution.spec.operation_type is Operation.REVERT:
            return await _revert_snapshot(services, execution, plan)
        return await _execute_snapshot(services, execution, plan, read)
    except (ParameterError, TargetRefusedError) as error:
        raise StartRefusedError(str(error)) from error


async def _execute_snapshot(services: Services, execution: DRPlanExecution, plan: DRPlan, read: Read) -> Snapshot:
    workflows = await _runnable(services, plan, read, required=True)
    around = Surroundings(plan=plan, workflows=dict(workflows), own_namespace=services.settings.namespace)
    stoppers = (await to_thread(check_execution, execution, around)).stoppers
    if stoppers:
        raise StartRefusedError("; ".join(finding.message for finding in stoppers))
    resolved = await resolve_run(plan, workflows, execution, services.bounded)
    snapshot = _snapshot(execution, plan, workflows, resolved)
    if (size := await to_thread(_parameter_characters, snapshot)) > MOST_PARAMETERS:
        raise StartRefusedError(
            f"the parameters of all uses of workflows have {size // 2**20} MiB together, at most "
            f"{MOST_PARAMETERS // 2**20} MiB are recorded: make them shorter, or split the plan into several"
        )
    return snapshot


def _parameter_characters(snapshot: Snapshot) -> int:
    """Characters of the parameters that are recorded: those of the run once for each use of a workflow."""
    uses = (used for stage in snapshot.stages for used in stage.workflows)
    return sum(len(name) + len(value) for used in uses for name, value in used.params.items())


async def _revert_snapshot(services: Services, execution: DRPlanExecution, plan: DRPlan) -> Snapshot:
    target = await read_target(services, execution)
    metadata = target.execution.metadata
    try:
        kept = await services.snapshots.load(metadata.uid)
    except SnapshotDamagedError as error:
        raise StartRefusedError(f"{error}; restore it, or delete it to revert from recorded outputs") from error
    if kept is not None and target.snapshot_digest and kept.digest != target.snapshot_digest:
        raise StartRefusedError(
            f"the snapshot of execution {metadata.key} is not the one with which its outcome was recorded; restore it, "
            "or delete it to revert from recorded outputs"
        )
    if kept is not None:
        return await _from_kept(services, execution, plan, target, kept)
    return await _from_live(services, execution, plan, target)


async def _from_kept(
    services: Services, execution: DRPlanExecution, plan: DRPlan, target: RevertTarget, kept: Snapshot
) -> Snapshot:
    """Return the target's definitions and parameters as they were, with the Revert's own parameters on top."""
    own = await _own_values(services, execution, plan, kept.resolved_params)
    before = {param.name: param.value for param in kept.resolved_params if param.value != MASK}
    secret = {name: SecretParam(ref) for name, ref in kept.health_secrets.items()}
    known: Values = {**before, **kept.health_params, **secret, **own}
    snapshot = _base(execution, plan).model_copy(
        update={
            "plan_spec": kept.plan_spec,
            "workflows": kept.workflows,
            "stages": _on_top(kept.stages, own),
            "resolved_params": _shown_on_top(kept.resolved_params, own),
            "target": _target(target, has_snapshot=True),
        }
    )
    return await _checked(services, execution, plan, target, snapshot, known)


def _target(target: RevertTarget, *, has_snapshot: bool) -> Target:
    metadata = target.execution.metadata
    return Target(
        name=metadata.name,
        uid=metadata.uid,
        status=target.execution.status,
        has_snapshot=has_snapshot,
        unrecorded=not target.recorded,
        differs=target.differs,
    )


async def _from_live(services: Services, execution: DRPlanExecution, plan: DRPlan, target: RevertTarget) -> Snapshot:
    """For a target without snapshot: the live definitions as far as they exist (invariant 6).

    What they read is read as for the target, whose creator was asked about it; the Revert's own parameters come on top.
    """
    workflows = await _runnable(services, plan, {}, required=False)
    known = _without_missing(plan, workflows)
    as_run = _as_run(execution, target.execution)
    supplied = values_given(execution.spec.params).keys()
    resolved = await resolve_run(known, workflows, as_run, services.bounded, supplied=supplied)
    before = shown(resolved.run)
    own = await _own_values(services, execution, plan, before)
    snapshot = _base(execution, plan).model_copy(
        update={
            "workflows": {"/".join(key): workflow.spec for key, workflow in workflows.items()},
            "stages": _on_top(_aligned(target.execution.status, known, resolved), own),
            "resolved_params": _shown_on_top(before, own),
            "target": _target(target, has_snapshot=False),
        }
    )
    return await _checked(services, execution, plan, target, snapshot, {**resolved.run, **own})


def _as_run(revert: DRPlanExecution, target: DRPlanExecution) -> DRPlanExecution:
    """Return the Revert with the name and the parameters of the run that it takes back."""
    metadata = revert.metadata.model_copy(update={"name": target.metadata.name})
    spec = revert.spec.model_copy(update={"params": target.spec.params})
    return revert.model_copy(update={"metadata": metadata, "spec": spec})


async def _own_values(
    services: Services, execution: DRPlanExecution, plan: DRPlan, run: Sequence[ResolvedParam]
) -> Values:
    """Return the Revert's own parameters; their references may take those of the run, unless these are secret."""
    own = values_given(execution.spec.params)
    if not own:
        return {}
    before = tuple(Parameter(name=param.name, value=param.value) for param in run if param.value != MASK)
    bare = plan.model_copy(update={"spec": DRPlanSpec.model_construct(stages=(), global_params=before)})
    values = (await resolve_run(bare, {}, execution, services.bounded)).run
    return {name: value for name, value in values.items() if name in own}


async def _runnable(services: Services, plan: DRPlan, read: Read, *, required: bool) -> dict[Key, DRWorkflow]:
    """Return the plan's workflows, of which `read` are there. Those that cannot run are refused when `required`."""
    keys = workflow_keys(plan)
    found = {**read, **await read_workflows(services, [key for key in keys if key not in read])}
    problems = [text for _, text in (found[key] for key in keys) if text]
    if required and problems:
        raise StartRefusedError("; ".join(problems))
    return {key: workflow for key in keys for workflow, text in (found[key],) if workflow and not text}


def _base(execution: DRPlanExecution, plan: DRPlan) -> Snapshot:
    mode = Mode.ROLLBACK if execution.spec.operation_type is Operation.REVERT else execution.spec.mode
    return Snapshot(
        execution_name=execution.metadata.name,
        execution_namespace=execution.metadata.namespace,
        execution_uid=execution.metadata.uid,
        execution_generation=execution.metadata.generation,
        operation=execution.spec.operation_type,
        mode=(mode or Mode.INSTALL).lower(),
        mode_assumed=mode is None,
        plan_name=plan.metadata.name,
        plan_uid=plan.metadata.uid,
        plan_spec=plan.spec,
        plan_generation=plan.metadata.generation,
        revert_options=execution.spec.revert_options,
        in_order_of_work=True,
        seal_key=new_seal_key(),
    )


def _snapshot(
    execution: DRPlanExecution, plan: DRPlan, workflows: dict[Key, DRWorkflow], resolved: ResolvedRun
) -> Snapshot:
    stages = tuple(
        StageRun(
            name=stage.name,
            workflows=tuple(
                _workflow_run(*used.workflow_ref.key_in(plan.metadata.namespace), resolved.workflows[(number, index)])
                for index, used in enumerate(stage.workflows)
            ),
        )
        for number, stage in enumerate(plan.spec.stages)
    )
    return _base(execution, plan).model_copy(
        update={
            "mode": resolved.mode,
            "mode_assumed": resolved.mode_assumed,
            "workflows": {"/".join(key): workflow.spec for key, workflow in workflows.items()},
            "stages": stages,
            "resolved_params": shown(resolved.run),
            **_health_values(taken_by_checks(plan.spec), resolved.run),
        }
    )


def _health_values(names: frozenset[str], values: Values) -> dict[str, Any]:
    """Return the members of a snapshot that hold what health checks take of parameters."""
    taken = {name: value for name, value in values.items() if name in names}
    return {"health_params": plain_values(taken), "health_secrets": secret_refs(taken)} if taken else {}


async def _checked(
    services: Services,
    execution: DRPlanExecution,
    plan: DRPlan,
    target: RevertTarget,
    snapshot: Snapshot,
    known: Values,
) -> Snapshot:
    """Return the snapshot of a Revert with what ends it: the plan's health check as it is now.

    Its parameters are those `known` of the run that is taken back; what that did not have is the plan's present one,
    read as for that run.
    """
    if plan.spec.health_check is None:
        return snapshot
    names = taken_by_checks(plan.spec)
    needed = tuple(
        each for each in plan.spec.global_params if literal(each) is not None or each.name in names - known.keys()
    )
    bare = plan.model_copy(update={"spec": DRPlanSpec.model_construct(stages=(), global_params=needed)})
    as_run = _as_run(execution, target.execution)
    bare_run = as_run.model_copy(update={"spec": as_run.spec.model_copy(update={"params": ()})})
    present = (await resolve_run(bare, {}, bare_run, services.bounded)).run
    values = _health_values(names, {**present, **known})
    return snapshot.model_copy(update={"health_check": plan.spec.health_check, **values})


def _workflow_run(namespace: str, name: str, values: Values) -> WorkflowRun:
    return WorkflowRun(namespace=namespace, name=name, params=plain_values(values), secret_params=secret_refs(values))


def _on_top(stages: Sequence[StageRun], own: Values) -> tuple[StageRun, ...]:
    """Return `stages` with the Revert's own parameters over those of every use."""
    return tuple(
        stage.model_copy(update={"workflows": tuple(_overlaid(workflow, own) for workflow in stage.workflows)})
        for stage in stages
    )


def _shown_on_top(before: Sequence[ResolvedParam], own: Values) -> tuple[ResolvedParam, ...]:
    params = [*(param for param in before if param.name not in own), *shown(own)]
    return tuple(sorted(params, key=lambda param: param.name))


def _overlaid(workflow: WorkflowRun, own: Values) -> WorkflowRun:
    plain, secret = plain_values(own), secret_refs(own)
    return workflow.model_copy(
        update={
            "params": {name: v for name, v in {**workflow.params, **plain}.items() if name not in secret},
            "secret_params": {name: r for name, r in {**workflow.secret_params, **secret}.items() if name not in plain},
        }
    )


def _without_missing(plan: DRPlan, workflows: dict[Key, DRWorkflow]) -> DRPlan:
    stages = []
    for stage in plan.spec.stages:
        used = tuple(
            reference
            for reference in stage.workflows
            if reference.workflow_ref.key_in(plan.metadata.namespace) in workflows
        )
        stages.append(stage.model_copy(update={"workflows": used}))
    return plan.model_copy(update={"spec": plan.spec.model_copy(update={"stages": tuple(stages)})})


def _aligned(status: DRPlanExecutionStatus, plan: DRPlan, resolved: ResolvedRun) -> tuple[StageRun, ...]:
    """Return the target's stages and workflows in the order of its status, with the parameters of the same use today.

    The n-th use of a workflow in a stage is matched with the n-th one of the plan's stage of that name.
    """
    numbers = {stage.name: number for number, stage in enumerate(plan.spec.stages)}
    aligned = []
    for stage in status.stage_statuses:
        number = numbers.get(stage.name)
        uses: dict[Key, list[Values]] = {}
        for index, used in enumerate(plan.spec.stages[number].workflows if number is not None else ()):
            key = used.workflow_ref.key_in(plan.metadata.namespace)
            uses.setdefault(key, []).append(resolved.workflows[(number or 0, index)])
        runs = []
        for workflow in stage.workflow_executions:
            key = workflow.workflow_ref.key_in(plan.metadata.namespace)
            left = uses.get(key, [])
            runs.append(_workflow_run(*key, left.pop(0) if left else resolved.run))
        aligned.append(StageRun(name=stage.name, workflows=tuple(runs)))
    return tuple(aligned)
