"""One reviewer a kind: from a request to a verdict. They read the cluster through `Lookups` and change nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, TypeVar

from app.engine.wishes import misplaced, misunderstood
from app.kube.kept import Records
from app.kube.resources import EXECUTIONS, PLANS
from app.models.base import ApiModel
from app.models.execution import DRPlanExecution
from app.models.phases import Operation
from app.models.plan import CurrentExecution, DRPlan
from app.models.stored import members
from app.models.workflow import DRWorkflow
from app.rules.actions.known import decode_workflow, places_of
from app.rules.decode import UndecodableError, decode
from app.rules.deletion import (
    check_execution_deletion,
    check_plan_deletion,
    check_workflow_deletion,
    referencing_plans,
)
from app.rules.execution import IMMUTABLE, Surroundings, check_execution
from app.rules.findings import Finding, Findings, Report, denial, only_new, refusal, with_rules
from app.rules.health import check_verified
from app.rules.plan import check_plan, workflow_keys
from app.rules.reads import Read, new_reads, reads_of_execution, reads_of_plan, reads_of_workflow
from app.rules.run import Workflows, is_too_large
from app.rules.unfinished import UnfinishedRun, unfinished_runs
from app.rules.workflow import check_workflow
from app.runtime.groups import both
from webhook.access import forbidden_workflows, unreadable
from webhook.disclosure import hidden_from, without_foreign_runs
from webhook.failures import LookupFailedError
from webhook.lookups import Lookups
from webhook.reverts import judged_by_record, lacking_rights
from webhook.review import ALLOWED, JsonObject, Request, Verdict, refused, verdict_of
from webhook.suggestions import with_suggestions

MOST_CHECKED = 10
"""Unfinished executions of a plan whose records are looked for; there is hardly ever more than one."""
RUNNING_PLAN = "Plan is currently being executed, changes may not take effect until next execution"

M = TypeVar("M", bound=ApiModel)


@dataclass(frozen=True, slots=True)
class Context:
    """What a reviewer works with."""

    lookups: Lookups
    namespace: str
    """The controller's own, of which nothing is read and which no action may touch."""
    check_references: bool = True
    """Users may only name what they may use or read themselves (decision W5)."""


Reviewer = Callable[[Request, Context], Awaitable[Verdict]]


async def review_workflow(request: Request, context: Context) -> Verdict:
    """Validate a DRWorkflow, or its deletion."""
    if request.operation == "DELETE":
        return await _unprotected_when_terminating(request, context, _workflow_deletion)
    if _passes_unjudged(request):
        return replace(ALLOWED, warnings=_misplaced(request, "DRWorkflow"))
    places = places_of(request.new, context.namespace)
    going = _is_going(request)
    workflow = decode_workflow(_named(request, request.new), places)
    if isinstance(workflow, Report):
        return ALLOWED if going else verdict_of(workflow)
    report = Report() if going else check_workflow(workflow, places, own_namespace=context.namespace)
    reads = list(reads_of_workflow(workflow))
    stored = _stored(DRWorkflow, request) if reads or not report.ok else None
    if stored is not None:
        before = None if report.ok else check_workflow(stored, own_namespace=context.namespace)
        report = report if before is None else only_new(before, report)
        reads = new_reads(reads, reads_of_workflow(stored))
    return verdict_of(await _with_unreadable(report, request, reads, context))


async def _workflow_deletion(request: Request, context: Context) -> Report:
    plans = await context.lookups.plans()
    homes = {key.partition("/")[0] for key in referencing_plans(request.namespace, request.name, plans)}
    hidden = await hidden_from(request.user_info, PLANS, homes, context.lookups)
    return check_workflow_deletion(request.namespace, request.name, plans, hidden)


async def review_plan(request: Request, context: Context) -> Verdict:
    """Validate a DRPlan, or its deletion."""
    if request.operation == "DELETE":
        return await _unprotected_when_terminating(request, context, _plan_deletion)
    if _passes_unjudged(request):
        return replace(ALLOWED, warnings=_misplaced(request, "DRPlan"))
    going = _is_going(request)
    plan = _decoded(DRPlan, request, request.new)
    if isinstance(plan, Report):
        return ALLOWED if going else verdict_of(plan)
    if is_too_large(plan):
        return verdict_of(_too_large(plan, request))
    stored = _stored(DRPlan, request)
    allowed = None if stored is None or is_too_large(stored) else stored  # nobody was asked about a too large one
    forbidden: dict[tuple[str, str], Finding] = {}
    refused_uses: list[Finding] = []
    if context.check_references:
        forbidden, refused_uses = await forbidden_workflows(request, plan, allowed, context.lookups)
    workflows = await _workflows(context, [key for key in workflow_keys(plan) if key not in forbidden])
    report = Report()
    if not going:
        report = await _plan_report(plan, stored, workflows, forbidden, context)
        report = await with_suggestions(report, request.user_info, request.namespace, context.lookups)
    report = replace(report, errors=(*refused_uses, *report.errors))
    reads = list(reads_of_plan(plan, workflows))
    if reads and allowed is not None:
        reads = new_reads(reads, reads_of_plan(allowed, workflows))
    report = await _with_unreadable(report, request, reads, context)
    if request.operation == "UPDATE" and _lock(request.new) is not None and report.ok:
        notice = Finding("N15", "status.currentExecution", RUNNING_PLAN, runnable=True)
        report = replace(report, warnings=(*report.warnings, RUNNING_PLAN), notices=(*report.notices, notice))
    return verdict_of(report)


async def _plan_report(
    plan: DRPlan,
    stored: DRPlan | None,
    workflows: Workflows,
    forbidden: Mapping[tuple[str, str], Finding],
    context: Context,
) -> Report:
    """What is said of a plan; of an update only what is new."""
    report = check_plan(plan, workflows, own_namespace=context.namespace)
    if report.ok or stored is None:
        return report
    missing = [key for key in workflow_keys(stored) if key not in workflows and key not in forbidden]
    before = {**workflows, **await _workflows(context, missing)}
    return only_new(check_plan(stored, before, own_namespace=context.namespace), report)


def _too_large(plan: DRPlan, request: Request) -> Report:
    """What is said of a plan with too many workflows to read them all; stored ones may stay as large as they are."""
    report = check_plan(plan, {})
    stored = _stored(DRPlan, request)
    return report if stored is None else only_new(check_plan(stored, {}), report)


async def _plan_deletion(request: Request, context: Context) -> Report:
    executions = await context.lookups.executions_of(request.namespace, request.name)
    unfinished = unfinished_runs(request.name, executions)
    homes = [request.namespace] if unfinished else []
    named = not await hidden_from(request.user_info, EXECUTIONS, homes, context.lookups)
    return check_plan_deletion(request.namespace, request.name, _lock(request.old), unfinished, named=named)


async def review_execution(request: Request, context: Context) -> Verdict:
    """Validate a DRPlanExecution: its creation, that its spec stays, its deletion."""
    if request.operation == "DELETE":
        return verdict_of(check_execution_deletion(request.old))
    if _passes_unjudged(request):
        return replace(ALLOWED, warnings=_misunderstood(request))
    if request.operation == "UPDATE":
        return verdict_of(_changed_execution(request))
    execution = _decoded(DRPlanExecution, request, request.new)
    if isinstance(execution, Report):
        return verdict_of(execution)
    around, records = await _surroundings(execution, request.namespace, context)
    report = check_execution(execution, around)
    if around.target is not None and records.outcome is None and report.ok:
        lacking = await lacking_rights(request, execution, around.target, context.lookups, context.namespace)
        report = replace(report, errors=(*report.errors, *lacking))
    report = await with_suggestions(report, request.user_info, request.namespace, context.lookups)
    report = await without_foreign_runs(report, request.user_info, request.namespace, context.lookups)
    reads = reads_of_execution(execution, around.plan, around.workflows, around.target)
    verdict = verdict_of(await _with_unreadable(report, request, reads, context))
    warnings = (*verdict.warnings, *_unverified(execution, around), *_misunderstood(request))
    return replace(verdict, warnings=warnings)


def _unverified(execution: DRPlanExecution, around: Surroundings) -> tuple[str, ...]:
    """Notice N25: nothing will prove what a Revert leaves behind."""
    findings = Findings()
    if execution.spec.operation_type is Operation.REVERT and around.plan is not None:
        check_verified(findings.at("spec"), around.plan)
    return tuple(verdict_of(findings.report()).warnings)


def _misunderstood(request: Request) -> tuple[str, ...]:
    """Notice N19: annotations by which somebody asks for something in words that are not understood."""
    new, old = (_texts(each, "annotations") for each in (request.new, request.old))
    labels = misplaced(_texts(request.new, "labels"), _texts(request.old, "labels"), "a label")
    return _noticed({"annotations": [*misunderstood(new, old)], "labels": [*labels]})


def _misplaced(request: Request, kind: str) -> tuple[str, ...]:
    """Notice N19, for objects that nothing is asked of."""
    return _noticed(
        {
            member: [*misplaced(_texts(request.new, member), _texts(request.old, member), f"on a {kind}")]
            for member in ("annotations", "labels")
        }
    )


def _noticed(told: Mapping[str, Sequence[tuple[str, str]]]) -> tuple[str, ...]:
    findings = Findings()
    for member, problems in told.items():
        for name, problem in problems:
            findings.at("metadata").warn("N19", f"metadata.{member}[{name}] {problem}", member)
    return tuple(verdict_of(findings.report()).warnings)


def _texts(obj: JsonObject, member: str) -> dict[str, str]:
    return {name: str(value) for name, value in members(_member(obj, "metadata").get(member)).items()}


async def _with_unreadable(report: Report, request: Request, reads: Iterable[Read], context: Context) -> Report:
    """The report with what the requesting user may not have read for them."""
    found = await unreadable(request, reads, context.lookups, context.namespace, ask=context.check_references)
    return replace(report, errors=(*report.errors, *found)) if found else report


def _changed_execution(request: Request) -> Report:
    new, old = (_member(each, "spec") for each in (request.new, request.old))
    changed = [name for name in sorted({*new, *old}) if new.get(name) != old.get(name)]
    return refusal("E30", f"spec.{changed[0]}" if len(changed) == 1 else "spec", IMMUTABLE)


async def _surroundings(execution: DRPlanExecution, namespace: str, context: Context) -> tuple[Surroundings, Records]:
    """Read, fresh, what an execution is judged against, and what is recorded of the run that it takes back."""
    lookups, spec = context.lookups, execution.spec
    stored = await lookups.plan(namespace, spec.plan_ref) if spec.plan_ref else None
    if stored is None:
        return Surroundings(fixed_references=context.check_references), Records(None)
    plan = _read(DRPlan, stored)
    target, records = None, Records(None)
    if spec.operation_type is Operation.REVERT and spec.revert_execution_ref:
        found = await lookups.execution(namespace, spec.revert_execution_ref)
        if found is not None:
            records = await lookups.records(str(_member(found, "metadata").get("uid") or ""))
            target = _read(DRPlanExecution, judged_by_record(found, records))
    reads_workflows = spec.operation_type is Operation.EXECUTE and not is_too_large(plan)
    workflows, executions = await both(
        _workflows(context, workflow_keys(plan) if reads_workflows else []),
        lookups.executions_of(namespace, spec.plan_ref),
    )
    unfinished = await _truly_unfinished(unfinished_runs(spec.plan_ref, executions), lookups)
    around = Surroundings(
        plan,
        target,
        workflows,
        unfinished,
        own_namespace=context.namespace,
        fixed_references=context.check_references,
    )
    return around, records


async def _truly_unfinished(runs: list[UnfinishedRun], lookups: Lookups) -> list[UnfinishedRun]:
    """Leave out runs that are recorded to have ended, whatever their statuses say. Usually there is none to look at."""
    first, rest = runs[:MOST_CHECKED], runs[MOST_CHECKED:]
    return [run for run in first if (await lookups.records(run.uid)).outcome is None] + rest


async def _workflows(context: Context, keys: list[tuple[str, str]]) -> Workflows:
    """Read workflows; one that cannot be decoded is left out, because its own admission tells what is wrong."""
    found = await context.lookups.workflows(keys) if keys else {}
    decoded: dict[tuple[str, str], DRWorkflow | None] = {}
    for key, data in found.items():
        try:
            model = None if data is None else decode(DRWorkflow, data)
        except UndecodableError:
            continue
        if not isinstance(model, Report):
            decoded[key] = model
    return decoded


async def _unprotected_when_terminating(
    request: Request, context: Context, check: Callable[[Request, Context], Awaitable[Report]]
) -> Verdict:
    """Deletion protection; it does not hold in a terminating namespace, nor for what is being deleted already.

    So a look-up that fails for good, for want of a right for instance, does not keep a namespace for ever either.
    """
    if _member(request.old, "metadata").get("deletionTimestamp"):
        return ALLOWED
    try:
        report = await check(request, context)
    except LookupFailedError as failed:
        with suppress(LookupFailedError):
            if await context.lookups.terminating(request.namespace):
                return ALLOWED
        raise failed
    if not report.ok and await context.lookups.terminating(request.namespace):
        return Verdict(allowed=True, warnings=report.warnings)
    return verdict_of(report)


def _passes_unjudged(request: Request) -> bool:
    """Updates that leave the spec alone always pass (decision W4)."""
    return request.operation == "UPDATE" and request.new.get("spec") == request.old.get("spec")


def _is_going(request: Request) -> bool:
    """Updates of objects being deleted pass whatever the rules say (decision W4), but for what nobody may have read.

    A finalizer keeps such an object for as long as its author likes, and it can be used all that time.
    """
    return request.operation == "UPDATE" and bool(_member(request.new, "metadata").get("deletionTimestamp"))


def _decoded(model: type[M], request: Request, data: JsonObject) -> M | Report:
    """The object, with name and namespace of the request where it has none. Raises UndecodableError."""
    return decode(model, _named(request, data))


def _named(request: Request, data: JsonObject) -> JsonObject:
    metadata = {"name": request.name, "namespace": request.namespace, **_member(data, "metadata")}
    return {**data, "metadata": metadata}


def _stored(model: type[M], request: Request) -> M | None:
    """The stored object of an update; None when it cannot be decoded, so that nothing is known of its findings."""
    if request.operation != "UPDATE":
        return None
    try:
        stored = _decoded(model, request, request.old)
    except UndecodableError:
        return None
    return None if isinstance(stored, Report) else stored


def _read(model: type[M], data: JsonObject) -> M:
    """A stored object that was looked up. Raises LookupFailedError when it cannot be decoded."""
    meta = _member(data, "metadata")
    what = f"{data.get('kind', 'object')} {meta.get('namespace')}/{meta.get('name')} cannot be used"
    code = HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        found = decode(model, data)
    except UndecodableError as error:
        raise LookupFailedError(f"{what}: {error}", code=code, reason="Invalid") from error
    if isinstance(found, Report):
        raise LookupFailedError(f"{what}: {denial(found)}", code=code, reason="Invalid")
    return found


def _lock(data: JsonObject) -> CurrentExecution | None:
    lock = _member(data, "status").get("currentExecution")
    if not isinstance(lock, dict) or not isinstance(lock.get("name"), str):
        return None
    return CurrentExecution(
        name=lock["name"], namespace=str(lock.get("namespace") or ""), uid=str(lock.get("uid") or "")
    )


def _member(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return members(data.get(name))


def undecodable(error: UndecodableError) -> Verdict:
    """The refusal of an object that cannot be decoded (decision W6)."""
    findings = [Finding("S1", problem.path, f"{problem.path} {problem.text}") for problem in error.problems]
    return refused(HTTPStatus.BAD_REQUEST, "BadRequest", with_rules(str(error), findings), findings)
