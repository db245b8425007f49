"""One object of a file: what its schema says, and the model that the rules work on."""

from __future__ import annotations

from typing import Any

from app.lint.given import Checked
from app.lint.objects import JsonObject, Written
from app.lint.repair import repaired
from app.lint.result import Issue
from app.lint.schema import Problem, check_name, check_schema, pruned, schema_of
from app.models.base import ApiModel
from app.models.execution import DRPlanExecution
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from app.rules.catalogue import RULES, Severity
from app.rules.decode import UndecodableError, decode
from app.rules.findings import Finding, Report, did_you_mean

_MODELS: dict[str, type[ApiModel]] = {"DRWorkflow": DRWorkflow, "DRPlan": DRPlan, "DRPlanExecution": DRPlanExecution}
_READ_METADATA = ("annotations", "finalizers")
"""What rules look at, beside name and namespace."""


def check_written(written: Written) -> tuple[list[Issue], Checked]:
    """The schema's complaints about an object, and the object with its model.

    The status is left out: the API server drops that of a file, and what was true when one was exported need not be
    true now.
    """
    schema = schema_of(written.kind)
    body = {name: value for name, value in written.value.items() if name != "status"}
    problems = [*check_name(body.get("metadata")), *check_schema(schema, body)]
    model: ApiModel | None = None
    contract: dict[str, Finding] = {}
    admitted = _as_admitted(written, pruned(schema, body), problems)
    try:
        result = decode(_MODELS[written.kind], admitted)
    except UndecodableError as error:
        told = {problem.path for problem in problems}
        problems += [Problem("S1", path, text) for path, text in error.problems if path not in told]
    else:
        if isinstance(result, Report):
            contract = {finding.path: finding for finding in result.errors}
        else:
            model = result
    partly = repaired(_MODELS[written.kind], admitted) if model is None else None
    issues = [_issue(written, problem, contract.get(problem.path)) for problem in problems]
    return issues, Checked(written, model, partly)


def _as_admitted(written: Written, body: JsonObject, problems: list[Problem]) -> JsonObject:
    """The object with the metadata that rules look at; without those that are not what the schema demands."""
    metadata: dict[str, Any] = {"name": written.name, "namespace": written.namespace}
    if not any(problem.path.startswith("metadata") for problem in problems):
        own = body.get("metadata") or {}
        metadata |= {name: own[name] for name in _READ_METADATA if name in own}
    return {**body, "metadata": metadata}


def _issue(written: Written, problem: Problem, contract: Finding | None) -> Issue:
    """The problem; in the words of the admission contract where it has any."""
    if contract is not None and problem.rule == "S1":
        problem = problem._replace(rule=contract.rule, text=contract.message, hint="")
    text = problem.text + did_you_mean(problem.hint)
    return written.issue(Severity(RULES[problem.rule].severity), Finding(problem.rule, problem.path, text))
