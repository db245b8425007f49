"""The rules of admission on one object, as far as they can be judged without a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.lint.given import Checked, Given, Key, nearly
from app.lint.result import Issue
from app.models.execution import DRPlanExecution
from app.models.meta import ObjectMeta
from app.models.plan import DRPlan, DRPlanSpec
from app.models.workflow import DRWorkflow
from app.rules.catalogue import Severity
from app.rules.execution import Surroundings, check_execution
from app.rules.findings import Finding, Report
from app.rules.plan import check_plan, workflow_keys
from app.rules.reads import Read, out_of_bounds, reads_of_execution, reads_of_plan, reads_of_workflow
from app.rules.run import Workflows, uses
from app.rules.workflow import check_workflow

_TARGET_EXISTS = "E5"
_TARGET_ENDED = "E7"


def judge(each: Checked, given: Given) -> Iterator[Issue]:
    """Everything that the rules say about an object, in the light of the objects that are given with it."""
    reads: Iterable[Read]
    model = each.repaired.model if each.repaired is not None else each.model
    match model:
        case DRWorkflow():
            report, strays = check_workflow(model, own_namespace=given.own_namespace), []
            reads = reads_of_workflow(model)
        case DRPlan():
            report = check_plan(model, _known(model, given), own_namespace=given.own_namespace)
            strays = _plan_strays(model, given)
            reads = reads_of_plan(model, _known(model, given))
        case DRPlanExecution():
            report, reads = _execution_report(model, given)
            strays = _execution_strays(model, given)
        case _:
            return
    errors: Iterable[Finding] = (*report.errors, *_out_of_bounds(reads, given.own_namespace))
    warnings: Iterable[Finding] = (*report.notices, *strays)
    if each.repaired is not None:
        errors, warnings = each.repaired.believable(errors), each.repaired.believable(warnings)
    for finding in errors:
        yield each.written.issue(Severity.ERROR, finding)
    for finding in warnings:
        yield each.written.issue(Severity.WARNING, finding)


def _known(plan: DRPlan, given: Given) -> Workflows:
    """The workflows of a plan that are given; the others are not judged."""
    found = {key: given.workflows.get(key) for key in workflow_keys(plan)}
    return {key: workflow for key, workflow in found.items() if workflow is not None}


def _out_of_bounds(reads: Iterable[Read], own_namespace: str) -> Iterator[Finding]:
    """Rule A2."""
    for read in reads:
        if refusal := out_of_bounds(read, own_namespace):
            yield Finding("A2", read.path, f"{read.prefix}{refusal}")


def _execution_report(execution: DRPlanExecution, given: Given) -> tuple[Report, Iterable[Read]]:
    """What the rules say of an execution, and what it reads."""
    namespace, spec = execution.metadata.namespace, execution.spec
    plan = given.plans.get((namespace, spec.plan_ref)) or _unknown_plan(namespace, spec.plan_ref)
    target = given.executions.get((namespace, spec.revert_execution_ref))
    around = Surroundings(plan, target, _known(plan, given), own_namespace=given.own_namespace)
    report = check_execution(execution, around)
    open_questions = {_TARGET_ENDED} if target is not None else {_TARGET_ENDED, _TARGET_EXISTS}
    errors = tuple(finding for finding in report.errors if finding.rule not in open_questions)
    reads = reads_of_execution(execution, plan, around.workflows, target)
    return Report(errors, report.warnings, report.notices), reads


def _unknown_plan(namespace: str, name: str) -> DRPlan:
    """Stands for a plan that is not given: it has no stages that anything could be said about."""
    return DRPlan.model_construct(
        metadata=ObjectMeta(name=name, namespace=namespace), spec=DRPlanSpec.model_construct(stages=())
    )


def _plan_strays(plan: DRPlan, given: Given) -> list[Finding]:
    found = (
        _stray(f"spec.{use.path}.workflowRef", "workflow", use.key, given.workflows) for use in uses(plan) if use.key[1]
    )
    return [stray for stray in found if stray is not None]


def _execution_strays(execution: DRPlanExecution, given: Given) -> list[Finding]:
    namespace, spec = execution.metadata.namespace, execution.spec
    found = [_stray("spec.planRef", "plan", (namespace, spec.plan_ref), given.plans)]
    if spec.revert_execution_ref:
        key = (namespace, spec.revert_execution_ref)
        others = [other for other in given.executions if other != (namespace, execution.metadata.name)]
        found.append(_stray("spec.revertExecutionRef", "execution", key, others))
    return [stray for stray in found if stray is not None]


def _stray(path: str, what: str, key: Key, known: Iterable[Key]) -> Finding | None:
    """Rule S7: a reference to something that is not given, but nearly."""
    hint = "" if key in known else nearly(key, known)
    if not hint:
        return None
    return Finding("S7", path, f"{what} {'/'.join(key)} is not among the files; did you mean {hint}?")
