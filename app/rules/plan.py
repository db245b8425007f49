"""Rules of DRPlans (contract: admission 6; decisions P2, P3, P6).

Beyond the contract's P1-P11: P12 and P13 names of stage parameters, P14 name pattern, P15 the reserved name, P16
values against types, P17 manifestRef, P18 references that the user may not read (found by the webhook service), P19
size of the status, P20 values against the types that workflows declare, P21 placeholders of manifestRefs,
P45 names that objects can have, P46 bounds of actions, P60-P63 health checks.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.engine.graph import Problem, check_stage_graph
from app.engine.text import short
from app.models.phases import WorkflowPhase
from app.models.plan import DRPlan, Stage
from app.models.workflow import DRWorkflow
from app.rules.actions.targets import Known
from app.rules.estimate import WorkflowKey
from app.rules.findings import Findings, Report, Spot
from app.rules.health import check_health
from app.rules.parameters.declared import GLOBAL_RULES, STAGE_RULES, Level, check_parameters
from app.rules.parameters.gaps import Gaps, gaps_in_rollbacks, gaps_of_use
from app.rules.parameters.needs import Needs, needs_of
from app.rules.parameters.rendered_names import literals, unreadable_names, unusable
from app.rules.parameters.sources import unknown_to_plan, unknown_to_stage, unknown_to_workflow
from app.rules.parameters.strays import check_strays
from app.rules.run import (
    NO_PARAMETERS,
    Given,
    Use,
    Workflows,
    check_declared_types,
    check_size,
    given_to,
    levels_of_uses,
    uses,
    uses_of_stage,
)

_EVERY_EXECUTION = "every execution must give one"
_WAY_BACK = "the execution must give one, or its Revert"


def workflow_keys(plan: DRPlan) -> list[WorkflowKey]:
    """Namespace and name of every workflow the plan references, each once; the namespace defaults to the plan's."""
    return list(dict.fromkeys(use.key for use in uses(plan) if use.key[1]))


def check_plan(plan: DRPlan, workflows: Workflows, *, own_namespace: str = "") -> Report:
    """Everything wrong with a plan, in the order of the contract.

    `workflows` are the ones it references: None for one that does not exist. One that is left out is not judged.
    `own_namespace` is the controller's, which no action may touch.
    """
    findings = Findings(own_namespace=own_namespace)
    spec = findings.at("spec")
    if not plan.spec.stages:
        spec.error("P1", "at least one stage is required", "stages")
        return findings.report()
    _check_stage_names(spec, plan)
    needs, level, stages = needs_of(workflows), Level(plan.spec.global_params), levels_of_uses(plan)
    gaps = Gaps(spec)
    for index, stage in enumerate(plan.spec.stages):
        _check_stage(spec.below(f"stages[{index}]"), index, stage)
        for use in uses_of_stage(plan, index):
            own = stages.get((index, use.index), NO_PARAMETERS)
            _check_use(gaps, use, level, own, workflows, needs, plan.metadata.name)
    _check_dependencies(spec, plan)
    check_parameters(spec.below("globalParams"), plan.spec.global_params, GLOBAL_RULES)
    known = Known(literals(level.values), plan.metadata.name)
    for path, problem in unreadable_names(plan.spec.global_params, level.values, known):
        rule = "P46" if problem.out_of_bounds else "P45"
        spec.error(rule, f"globalParams{problem.text}", f"globalParams{path}", runnable=True)
    for unknown in unknown_to_plan(spec, level):
        gaps.add(unknown, "globalParams")
    _tell(gaps)
    if level.params and len(needs) == len(workflow_keys(plan)):
        check_strays(spec.below("globalParams"), "globalParams", level, needs.values(), [], others=stages.values())
    check_health(spec, plan)
    check_size(spec.below("stages"), "P19", plan, workflows)
    return findings.report()


def _check_stage_names(spec: Spot, plan: DRPlan) -> None:
    seen: set[str] = set()
    for index, stage in enumerate(plan.spec.stages):
        if stage.name in seen:
            text = f"stage[{index}]: duplicate stage name '{stage.name}'"
            spec.error("P2", text, f"stages[{index}].name", found=stage.name)
        seen.add(stage.name)


def _check_stage(spot: Spot, index: int, stage: Stage) -> None:
    if not stage.name:
        spot.error("P3", f"stage[{index}]: name is required", "name")
    if not stage.workflows:
        spot.error("P4", f"stage[{index}] '{stage.name}': at least one workflow is required", "workflows")
    if stage.parallel and len(stage.workflows) == 1:
        text = f"stage[{index}] '{stage.name}': parallel=true with only one workflow, consider setting parallel=false"
        spot.warn("N6", text, "parallel")


def _tell(gaps: Gaps) -> None:
    """Rules N8 and N9: each parameter without a value, once."""
    for gap, text in gaps.messages(_EVERY_EXECUTION, _WAY_BACK):
        gaps.spot.warn("N9" if gap.rollback else "N8", text, gap.member)


def _check_use(
    gaps: Gaps,
    use: Use,
    level: Level,
    own: Level,
    workflows: Workflows,
    needs: Mapping[WorkflowKey, Needs],
    plan_name: str,
) -> None:
    spot = gaps.spot.below(use.path)
    if not use.key[1]:
        spot.error("P5", f"{use.prefix}: workflowRef.name is required", "workflowRef.name")
    check_parameters(spot.below("params", f"{use.prefix}: "), use.reference.params, STAGE_RULES)
    if not use.key[1] or use.key not in workflows:
        return
    if workflows[use.key] is None:
        text = f"{use.prefix}: workflow {'/'.join(use.key)} not found"
        spot.error("P6", text, "workflowRef", found="/".join(use.key))
    else:
        used = needs[use.key]
        _check_phase(spot, use, used.workflow)
        if spot.findings.may_look_up(used.size + len(level.params)):
            given = given_to(use, used, level, own)
            check_declared_types(spot, "P20", given)
            _find_gaps(gaps, given)
            _check_names(spot, given, Known(literals(given.values), plan_name))
        check_strays(spot.below("params", f"{use.prefix}: "), "params", own, [used], [level])


def _check_phase(spot: Spot, use: Use, workflow: DRWorkflow) -> None:
    status = workflow.status
    if status.phase is WorkflowPhase.INVALID and status.observed_generation == workflow.metadata.generation:
        text = f"{use.prefix}: workflow {'/'.join(use.key)} is not ready (phase={status.phase})"
        spot.warn("N7", text, "workflowRef", runnable=False)


def _find_gaps(gaps: Gaps, given: Given) -> None:
    """What one use of a workflow takes and the plan does not give."""
    path = given.use.path
    for gap in (*gaps_of_use(gaps.spot, given, None), *gaps_in_rollbacks(gaps.spot, given)):
        gaps.add(gap, path)
    for gap in unknown_to_workflow(gaps.spot, given):
        gaps.add(gap._replace(member=""), path)
    for gap in unknown_to_stage(gaps.spot, given):
        gaps.add(gap, f"{path}.params")


def _check_names(spot: Spot, given: Given, known: Known) -> None:
    """Rules P45 and P46: what the values of a use make of the names of what its actions touch, and of references."""
    own = spot.findings.own_namespace
    found = [("", problem) for problem in unusable(given, known, None, own)]
    declared = unreadable_names(given.needs.workflow.spec.parameters, given.values, known)
    label = f"{given.use.prefix}: parameter of workflow {given.workflow} "
    found += [("", problem._replace(text=label + problem.text)) for _, problem in declared]
    label = f"{given.use.prefix}: params"
    of_use = unreadable_names(given.use.reference.params, given.values, known)
    found += [(f"params{path}", problem._replace(text=label + problem.text)) for path, problem in of_use]
    for path, problem in found:
        spot.error("P46" if problem.out_of_bounds else "P45", problem.text, path, runnable=True)


def _check_dependencies(spec: Spot, plan: DRPlan) -> None:
    stages = plan.spec.stages
    for problem in check_stage_graph([stage.name for stage in stages], [stage.depends_on for stage in stages]):
        member = "dependsOn" if problem.dependency is None else f"dependsOn[{problem.dependency}]"
        where = f"stages[{problem.index}].{member}"
        if problem.problem is Problem.CYCLE:
            spec.error("P9", problem.message, where)
            continue
        rule = "P8" if problem.problem is Problem.SELF else "P7"
        spot = spec.below("", f"stage[{problem.index}] '{short(stages[problem.index].name)}': ")
        hint = spot.meant(problem.unknown, [stage.name for stage in stages]) if problem.unknown else ""
        spot.error(rule, problem.message + hint, where, found=problem.unknown)
