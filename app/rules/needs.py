"""What the actions of a workflow take from parameters: worked out once for a workflow, however often plans use it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from pydantic import ValidationError

from app.models.actions import Action, ActionBody, ActionType, rollback_type
from app.models.workflow import DRWorkflow
from app.rules.conditions import reads_of
from app.rules.estimate import WorkflowKey
from app.rules.parameters import RESERVED
from app.rules.texts import placeholders_in

Names = Mapping[str, str]
"""Names of parameters by the placeholder as written, in order."""


@dataclass(frozen=True, slots=True)
class ActionNeeds:
    """What one action takes."""

    action: Action
    params: Names
    """In its block."""
    rollback: Names
    """In its custom rollback."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a workflow takes."""

    workflow: DRWorkflow
    actions: tuple[ActionNeeds, ...]
    """Of the actions that have a condition or take parameters."""
    names: Set[str]
    """Every parameter that it declares or takes."""
    any_name: bool
    """True: a condition may take any parameter, by a name that is known only when it runs."""


def needs_of(workflows: Mapping[WorkflowKey, DRWorkflow | None]) -> dict[WorkflowKey, Needs]:
    """The needs of the workflows that exist."""
    return {key: _needs(workflow) for key, workflow in workflows.items() if workflow is not None}


def _needs(workflow: DRWorkflow) -> Needs:
    each = (
        ActionNeeds(action, _params(action, action.type), _rollback_params(action)) for action in workflow.spec.actions
    )
    needs = tuple(need for need in each if need.params or need.rollback or need.action.when)
    names = {parameter.name for parameter in workflow.spec.parameters}
    any_name = False
    for need in needs:
        names.update(need.params.values(), need.rollback.values())
        reads = reads_of(need.action)
        if reads is not None:
            names |= reads.params | reads.asked_params
            any_name = any_name or reads.any_param
    return Needs(workflow, needs, names, any_name)


def _params(body: ActionBody, type_: ActionType) -> Names:
    used = (each for each in placeholders_in(body, type_) if each.root == "params")
    return {each.text: each.path[0] for each in used if each.path[0] != RESERVED}


def _rollback_params(action: Action) -> Names:
    """Those of the rollback; none of one that cannot be decoded, which is a finding of its own."""
    try:
        rollback = action.custom_rollback()
    except ValidationError:
        return {}
    return {} if rollback is None else _params(rollback, rollback_type(rollback, action.type))
