"""What a cluster would be needed for: only what applies to the objects at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from pydantic import ValidationError

from app.lint.given import Checked, Given
from app.lint.result import Unchecked
from app.models.actions import ActionBody, ActionType, HttpAction
from app.models.common import Parameter
from app.models.execution import DRPlanExecution
from app.models.phases import Operation
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from app.rules.run import uses

Question = Callable[[Checked, Given], Iterable[str]]
"""What of an object a question is about; nothing when it does not arise."""


def unchecked(objects: Sequence[Checked], given: Given) -> list[Unchecked]:
    """The questions that stay open, each with what it is about."""
    found = []
    for what, question in _QUESTIONS:
        about = dict.fromkeys(text for each in objects for text in question(each, given))
        if about:
            found.append(Unchecked(what, tuple(about)))
    return found


def _missing_workflows(each: Checked, given: Given) -> Iterator[str]:
    if isinstance(each.model, DRPlan):
        for use in uses(each.model):
            if use.key[1] and use.key not in given.workflows:
                yield f"{'/'.join(use.key)} (of {each.written.key})"


def _foreign_workflows(each: Checked, _: Given) -> Iterator[str]:
    if isinstance(each.model, DRPlan):
        for use in uses(each.model):
            if use.key[1] and use.key[0] != each.written.namespace:
                yield f"{'/'.join(use.key)} (of {each.written.key})"


def _missing_plans(each: Checked, given: Given) -> Iterator[str]:
    if isinstance(each.model, DRPlanExecution):
        name = each.model.spec.plan_ref
        if name and (each.written.namespace, name) not in given.plans:
            yield f"{each.written.namespace}/{name} (of {each.written.key})"


def _missing_targets(each: Checked, given: Given) -> Iterator[str]:
    return (
        f"{target} (of {each.written.key})"
        for target in _targets(each)
        if tuple(target.split("/")) not in given.executions
    )


def _all_targets(each: Checked, _: Given) -> Iterator[str]:
    return (f"{target} (by {each.written.key})" for target in _targets(each))


def _targets(each: Checked) -> Iterator[str]:
    if isinstance(each.model, DRPlanExecution) and each.model.spec.operation_type is Operation.REVERT:
        name = each.model.spec.revert_execution_ref
        if name:
            yield f"{each.written.namespace}/{name}"


def _starts(each: Checked, _: Given) -> Iterator[str]:
    if isinstance(each.model, DRPlanExecution):
        yield f"{each.written.key} (of plan {each.model.spec.plan_ref})"


def _sources(each: Checked, _: Given) -> Iterator[str]:
    for parameter in _parameters(each):
        reference = parameter.value_from.manifest_ref if parameter.value_from else None
        if reference is not None:
            which = reference.name or reference.label_selector or "any"
            where = f"{reference.namespace}/{which}" if reference.namespace else which
            yield f"{reference.kind} {where} (parameter {parameter.name} of {each.written.key})"


def _parameters(each: Checked) -> Iterator[Parameter]:
    match each.model:
        case DRWorkflow():
            yield from each.model.spec.parameters
        case DRPlan():
            yield from each.model.spec.global_params
            for use in uses(each.model):
                yield from use.reference.params
        case DRPlanExecution():
            yield from each.model.spec.params


def _secrets(each: Checked, _: Given) -> Iterator[str]:
    for body in _bodies(each):
        http = body.http
        if http is not None:
            yield from (f"{each.written.namespace}/{name}" for name in _secret_names(http))


def _secret_names(http: HttpAction) -> Iterator[str]:
    yield from (header.secret_key_ref.name for header in http.headers_from)
    if http.client_certificate_secret_ref is not None:
        yield http.client_certificate_secret_ref.name


def _bodies(each: Checked) -> Iterator[ActionBody]:
    if isinstance(each.model, DRWorkflow):
        for action in each.model.spec.actions:
            yield action
            try:
                rollback = action.custom_rollback()
            except ValidationError:
                continue
            if rollback is not None:
                yield rollback


def _makes_objects(each: Checked, _: Given) -> Iterator[str]:
    if isinstance(each.model, DRWorkflow) and any(a.type is not ActionType.HTTP for a in each.model.spec.actions):
        yield each.written.key


def _sends_requests(each: Checked, _: Given) -> Iterator[str]:
    if isinstance(each.model, DRWorkflow) and any(a.type is ActionType.HTTP for a in each.model.spec.actions):
        yield each.written.key


_QUESTIONS: Final[tuple[tuple[str, Question], ...]] = (
    ("whether these workflows exist, and which parameters they need", _missing_workflows),
    ("whether the author of a plan may use these workflows of other namespaces", _foreign_workflows),
    ("whether these plans exist, and which parameters they need", _missing_plans),
    ("whether these executions exist, and are runs of the same plan", _missing_targets),
    ("whether these executions have ended, and were not taken back before", _all_targets),
    ("whether no other run of the plan is unfinished when these executions start", _starts),
    ("whether these sources of parameters exist, give a value, and may be read by whoever names them", _sources),
    ("whether these Secrets exist, and may be read by whoever names them", _secrets),
    ("whether the API server accepts what these workflows make, and lets the controller make it", _makes_objects),
    ("whether the HTTP targets of these workflows answer", _sends_requests),
)
