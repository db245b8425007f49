"""What the actions of a workflow take from parameters: worked out once for a workflow, however often plans use it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from pydantic import ValidationError

from app.engine.when import names_modes_only
from app.models.actions import Action, ActionBody, ActionType, rollback_type
from app.models.workflow import DRWorkflow
from app.rules.actions.conditions import reads_of
from app.rules.actions.targets import TargetObject
from app.rules.actions.templated import placeholders_in
from app.rules.actions.touched import open_targets
from app.rules.estimate import WorkflowKey
from app.rules.parameters.declared import RESERVED, Level

MOST_MANIFEST_VALUES = 5_000
"""Values that are read in the manifests of all workflows of a plan, to find the names in them."""
MOST_CONDITIONS = 64 * 1024
"""Characters of different conditions that are looked at for one plan, because compiling them takes time."""

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
    targets: tuple[TargetObject, ...] = ()
    """The objects it touches whose names have placeholders."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a workflow takes."""

    workflow: DRWorkflow
    level: Level
    """Its own parameters."""
    actions: tuple[ActionNeeds, ...]
    """Of the actions that have a condition, take parameters or name objects by placeholders, if their condition is
    looked at."""
    names: Set[str]
    """Every parameter that it declares or takes."""
    size: int
    """How many names are to be looked up for a use of it."""
    any_name: bool
    """True: it may take others, by names that are known only when it runs, or in conditions that are not looked at."""


def needs_of(workflows: Mapping[WorkflowKey, DRWorkflow | None]) -> dict[WorkflowKey, Needs]:
    """The needs of the workflows that exist.

    Conditions beyond the first MOST_CONDITIONS characters are not looked at, nor are the actions that have them: what
    these need is found out by the run. Neither are manifests beyond the first MOST_MANIFEST_VALUES values.
    """
    effort = _Effort()
    return {key: _needs(workflow, effort) for key, workflow in workflows.items() if workflow is not None}


class _Effort:
    """Counts the characters of the different conditions, and the values of manifests, that are looked at."""

    def __init__(self) -> None:
        self._texts = set[str]()
        self._length = 0
        self._values = MOST_MANIFEST_VALUES

    def targets_of(self, action: Action) -> tuple[TargetObject, ...]:
        """The objects an action touches whose names have placeholders."""
        targets, read = open_targets(action, action.type, self._values)
        self._values -= read
        return targets

    def admit(self, when: str) -> bool:
        """Tell whether a condition is to be looked at."""
        if when in self._texts or names_modes_only(when):
            return True
        if self._length + len(when) > MOST_CONDITIONS:
            return False
        self._texts.add(when)
        self._length += len(when)
        return True


def _needs(workflow: DRWorkflow, effort: _Effort) -> Needs:
    each = [
        ActionNeeds(action, _params(action, action.type), _rollback_params(action), effort.targets_of(action))
        for action in workflow.spec.actions
    ]
    needs = [need for need in each if need.params or need.rollback or need.targets or need.action.when]
    level = Level(workflow.spec.parameters)
    names = {*level.names, *level.taken_names}
    names.update(*(need.params.values() for need in needs), *(need.rollback.values() for need in needs))
    known = [need for need in needs if effort.admit(need.action.when)]
    looks = [reads for need in known if (reads := reads_of(need.action)) is not None]
    names.update(*(reads.params | reads.asked_params for reads in looks))
    any_name = len(known) < len(needs) or any(reads.any_param for reads in looks)
    size = sum(2 + len(need.params) + len(need.rollback) for need in known) + len(level.params)
    size += sum(map(len, level.takes.values()))
    return Needs(workflow, level, tuple(known), names, size, any_name)


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
