"""Rules of DRPlanExecutions at their creation (contract: admission 8; decisions P2, P8, D6, R1).

Beyond the contract's E1-E21: E22 and E23 values against types, E24 required parameters and placeholders without a
value, E25 size of the status, E26 and E27 manifestRefs that can never be read, E45 names that objects can have, E46
bounds of actions, R1 a target that was already reverted, U6 deletes that would have to be derived.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from app.engine.text import short
from app.models.base import GROUP
from app.models.execution import DRPlanExecution
from app.models.names import CONDITION_AUTHORIZED, FINALIZER, START_RESTORED_ANNOTATION
from app.models.phases import Mode, Operation, Phase, PlanPhase
from app.models.plan import DRPlan
from app.rules.actions.targets import Known, Problem
from app.rules.actions.unsupported import check_delete_mode
from app.rules.findings import Findings, Report, Spot
from app.rules.parameters.declared import EXECUTION_RULES, Level, check_parameters
from app.rules.parameters.gaps import Gaps, gaps_of_use
from app.rules.parameters.needs import needs_of
from app.rules.parameters.references import open_members
from app.rules.parameters.rendered_names import literals, unreadable_names, unusable
from app.rules.parameters.sources import unknown_to_execution, unknown_to_plan, unknown_to_stage, unknown_to_workflow
from app.rules.parameters.strays import check_strays
from app.rules.run import (
    NO_PARAMETERS,
    Given,
    Workflows,
    check_declared_types,
    check_size,
    given_to,
    levels_of_uses,
    uses,
)
from app.rules.unfinished import UnfinishedRun, comes_from_backup, holder

IMMUTABLE = "cannot modify spec after creation"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an execution is judged against; all of it read fresh."""

    plan: DRPlan | None = None
    """The plan; None when there is none of that name."""
    target: DRPlanExecution | None = None
    """The execution that a Revert takes back; None when there is none of that name."""
    workflows: Workflows = field(default_factory=dict)
    """The workflows of the plan; one that is left out or None is not judged."""
    unfinished: Sequence[UnfinishedRun] = ()
    """Executions of the plan that have not ended."""
    own_namespace: str = ""
    """The controller's, which no action may touch."""
    fixed_references: bool = True
    """Its references may have no placeholders, so that admission knows what its creator has read (rule A5)."""


def check_execution(execution: DRPlanExecution, around: Surroundings) -> Report:
    """Everything that speaks against starting an execution, in the order of the contract."""
    findings = Findings(own_namespace=around.own_namespace)
    spec = findings.at("spec")
    name = execution.spec.plan_ref
    if not name:
        spec.error("E1", "planRef is required", "planRef")
        return findings.report()
    if _is_restored(findings, execution):
        return findings.report()
    plan = around.plan
    if plan is None:
        text = f'plan {name} not found: drplans.{GROUP} "{name}" not found'
        spec.error("E2", text, "planRef", found=name)
        return findings.report()
    if known_invalid(plan):
        spec.error("E3", f"plan {name} is not ready (phase={plan.status.phase})", "planRef", found=name)
    if execution.spec.operation_type is Operation.REVERT:
        _check_target(spec, execution, around.target)
    check_parameters(spec.below("params"), execution.spec.params, EXECUTION_RULES)
    running = holder(plan.status.current_execution, around.unfinished)
    if running is not None:
        spec.error("E20", already_running(name, running.namespace, running.name), "planRef", found=name)
    if around.fixed_references:
        _check_fixed_references(spec.below("params"), execution)
    gaps = Gaps(spec)
    _check_references(gaps, execution, plan, around)
    if execution.spec.operation_type is Operation.EXECUTE:
        _check_run(gaps, execution, plan, around.workflows)
        _warn_of_rights(spec, plan)
    for gap, text in gaps.messages("give one in spec.params"):
        spec.error("E24", text, gap.member, runnable=gap.runnable)
    return findings.report()


def _warn_of_rights(spot: Spot, plan: DRPlan) -> None:
    """Notice N24: what the controller has found out about its rights for the plan as it is now."""
    for condition in plan.status.conditions:
        is_current = condition.observed_generation == plan.metadata.generation
        if condition.type == CONDITION_AUTHORIZED and condition.status == "False" and is_current:
            spot.warn("N24", f"plan {plan.metadata.name}: {condition.message}", "planRef")


def known_invalid(plan: DRPlan) -> bool:
    """True when the controller has found the plan Invalid at its current generation (decision P2)."""
    return plan.status.phase is PlanPhase.INVALID and plan.status.observed_generation == plan.metadata.generation


def already_running(plan: str, namespace: str, name: str) -> str:
    """The text of E20, which also ends the loser of a race for the plan's lock (decision P2)."""
    return f"{running_elsewhere(plan)}: {namespace}/{name}"


def running_elsewhere(plan: str) -> str:
    """The text of E20 for who may not know which execution that is."""
    return f"plan {plan} already has a running execution"


def _check_target(spec: Spot, execution: DRPlanExecution, target: DRPlanExecution | None) -> None:
    name = execution.spec.revert_execution_ref
    member = "revertExecutionRef"
    if not name:
        spec.error("E4", "revertExecutionRef is required for Revert operation", member)
        return
    if target is None:
        text = f'referenced execution {name} not found: drplanexecutions.{GROUP} "{name}" not found'
        spec.error("E5", text, member, found=name)
        return
    if target.spec.operation_type is not Operation.EXECUTE:
        text = f"referenced execution {name} must be an Execute operation, got {target.spec.operation_type}"
        spec.error("E6", text, member, found=name)
    if not target.phase.is_final or target.phase is Phase.SKIPPED:
        text = (
            f"referenced execution {name} must be in a terminal phase (Succeeded, Failed or Cancelled), "
            f"got {target.phase}"
        )
        spec.error("E7", text, member, found=name)
    expected, got = execution.spec.plan_ref, target.spec.plan_ref
    if expected != got:
        text = f"referenced execution {name} must belong to the same plan (expected {expected}, got {got})"
        spec.error("E8", text, member, found=name)
    if target.status.reverted_by:
        text = f"execution {target.metadata.key} was already reverted by {target.status.reverted_by}"
        spec.error("R1", text, member, found=name)


def _check_fixed_references(spot: Spot, execution: DRPlanExecution) -> None:
    """Rule A5: what an execution reads is what its creator has written."""
    for index, parameter in enumerate(execution.spec.params):
        reference = parameter.value_from.manifest_ref if parameter.value_from is not None else None
        for member in open_members(reference) if reference is not None else ():
            where = f"[{index}].valueFrom.manifestRef"
            owner = f"params[{index}]({short(parameter.name)}).valueFrom.manifestRef"
            text = f"{owner}: {member} has a placeholder; a reference of an execution says by itself what is read"
            spot.error("A5", text, f"{where}.{member}", runnable=True)


def _check_references(gaps: Gaps, execution: DRPlanExecution, plan: DRPlan, around: Surroundings) -> None:
    """Rule E24 for references of the plan and the execution; a Revert does not read the plan's again.

    A plan that is not known, when lint looks at an execution alone, has no stages.
    """
    if not plan.spec.stages:
        return
    spec, target = gaps.spot, around.target
    level, own = Level(plan.spec.global_params), Level(execution.spec.params)
    if execution.spec.operation_type is Operation.EXECUTE:
        for gap in unknown_to_plan(spec, level, own):
            gaps.add(gap._replace(member=""), "params")
        values = {**level.values, **own.values}
        known = Known(literals(values), plan.metadata.name, execution.metadata.name)
        for _, problem in unreadable_names(plan.spec.global_params, values, known):
            spec.error("E46" if problem.out_of_bounds else "E45", f"globalParams{problem.text}", "params")
    elif target is None:
        return
    if around.fixed_references:
        return
    for gap in unknown_to_execution(spec, own, level, *([Level(target.spec.params)] if target else [])):
        gaps.add(gap, "params")


def _check_run(gaps: Gaps, execution: DRPlanExecution, plan: DRPlan, workflows: Workflows) -> None:
    spec = gaps.spot
    needs, level, own = needs_of(workflows), Level(plan.spec.global_params), Level(execution.spec.params)
    between, stages = len(level.params) + len(own.params), levels_of_uses(plan)
    for use in uses(plan):
        if use.key not in needs or not spec.findings.may_look_up(needs[use.key].size + between):
            continue
        given = given_to(use, needs[use.key], level, stages.get((use.stage, use.index), NO_PARAMETERS), own)
        check_declared_types(spec.below("params"), "E23", given)
        mode = execution.spec.mode or Mode.INSTALL
        lacking = (gaps_of_use(spec, given, mode), unknown_to_workflow(spec, given), unknown_to_stage(spec, given))
        for gap in chain(*lacking):
            gaps.add(gap._replace(member=""), "params")
        known = Known(literals(given.values), plan.metadata.name, execution.metadata.name, mode.lower())
        for problem in _unusable_names(given, known, mode, spec.findings.own_namespace):
            spec.error("E46" if problem.out_of_bounds else "E45", problem.text, "params")
    keys = dict.fromkeys(use.key for use in uses(plan))
    if len(needs) == len(keys):
        check_strays(spec.below("params"), "params", own, needs.values(), [level, *stages.values()])
    check_delete_mode(spec, execution, [workflow for key in keys if (workflow := workflows.get(key)) is not None])
    check_size(spec.below("planRef"), "E25", plan, workflows)


def _unusable_names(given: Given, known: Known, mode: Mode, own_namespace: str) -> Iterator[Problem]:
    """What the values of a run make of the names of what a use of a workflow touches and reads."""
    yield from unusable(given, known, mode, own_namespace)
    of_workflow = f"{given.use.prefix}: parameter of workflow {given.workflow} "
    lists = (
        (of_workflow, given.needs.workflow.spec.parameters),
        (f"{given.use.prefix}: params", given.use.reference.params),
    )
    for label, params in lists:
        for _, problem in unreadable_names(params, given.values, known):
            yield problem._replace(text=label + problem.text)


def _is_restored(findings: Findings, execution: DRPlanExecution) -> bool:
    """Rule N4: an execution that comes from a backup is let in whatever surrounds it, and does not start (decision D9).

    A backup brings executions before their plans, and several of one plan. Should somebody let one start, everything
    is looked at then.
    """
    meta = execution.metadata
    if not comes_from_backup(meta.uid, meta.finalizers, meta.annotations):
        return False
    findings.at("metadata.finalizers").warn(
        "N4",
        f"the finalizer {FINALIZER} says that this execution was restored from a backup: it will not be run, "
        f'unless it is created with the annotation {START_RESTORED_ANNOTATION}: "true"',
    )
    return True
