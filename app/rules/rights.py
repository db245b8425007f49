"""What the account that runs a plan must be allowed to do, to carry its actions out and to take them back (pure).

Only what is known before a run is told: an object whose kind or namespace takes a value of the run is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pydantic import ValidationError

from app.models.actions import (
    Action,
    ActionBody,
    ActionType,
    ResourceAction,
    ResourceOperation,
    RollbackPolicy,
    block_of,
    operation_of,
    rollback_policy_of,
    rollback_type,
)
from app.models.names import DEFAULT_NAMESPACE
from app.models.plan import DRPlan
from app.rules.actions.manifest_reading import read_manifest
from app.rules.actions.targets import Known, TargetObject
from app.rules.actions.templated import has_placeholder
from app.rules.actions.touched import named_targets
from app.rules.run import Workflows, uses

MOST_RIGHTS: Final = 200
"""Different rights of one plan that are told; what comes behind is found out by the run."""
_MOST_VALUES: Final = 5_000
"""Values that are read in the manifests of a plan."""

_FORWARD: Final = {
    ResourceOperation.CREATE: ("create", "get"),
    ResourceOperation.APPLY: ("get", "patch", "create"),
    ResourceOperation.PATCH: ("get", "patch"),
    ResourceOperation.DELETE: ("get", "delete"),
    ResourceOperation.REPLACE: ("get", "delete", "create", "list", "watch"),
}
_BACK: Final = {
    ResourceOperation.CREATE: ("delete",),
    ResourceOperation.APPLY: ("delete",),
    ResourceOperation.REPLACE: ("patch",),
}
_RESTORED: Final = {ResourceOperation.PATCH: ("patch",), ResourceOperation.DELETE: ("create",)}
"""What takes back these operations under `rollbackPolicy: Restore`."""
_OF_ALL: Final = frozenset({"create", "list", "watch"})
"""Verbs that are not asked for by name."""


class Needed(NamedTuple):
    """One right, and the first action that needs it."""

    verb: str
    api_version: str
    kind: str
    namespace: str
    """That of the run where the action names none; of no meaning for a kind without namespaces."""
    name: str
    action: str
    """`workflow <ns>/<name>, action <name>`, and whether it is its way back."""


def rights_needed(plan: DRPlan, workflows: Workflows) -> list[Needed]:
    """Return the different rights that a plan needs, the first MOST_RIGHTS, in the order of its actions."""
    found: dict[tuple[str, ...], Needed] = {}
    for needed in _all(plan, workflows):
        found.setdefault(needed[:5], needed)
        if len(found) >= MOST_RIGHTS:
            break
    return list(found.values())


def _all(plan: DRPlan, workflows: Workflows) -> Iterator[Needed]:
    left = _MOST_VALUES
    for key in dict.fromkeys(use.key for use in uses(plan)):
        workflow = workflows.get(key)
        for action in workflow.spec.actions if workflow is not None else ():
            targets, read = _targets(action, action.type, left)
            left -= read
            where = f"workflow {'/'.join(key)}, action {action.name}"
            yield from _of(plan, action, action.type, targets, where)
            rollback = _rollback(action)
            if rollback is None:
                continue
            body, type_ = rollback
            targets, read = _targets(body, type_, left)
            left -= read
            yield from _of(plan, body, type_, targets, f"{where} (rollback)", is_rollback=True)


def _rollback(action: Action) -> tuple[ActionBody, ActionType] | None:
    try:
        rollback = action.custom_rollback()
    except ValidationError:
        return None
    return None if rollback is None else (rollback, rollback_type(rollback, action.type))


def _targets(body: ActionBody, type_: ActionType, most: int) -> tuple[tuple[TargetObject, ...], int]:
    block = block_of(body, type_)
    if isinstance(block, ResourceAction):
        if most <= 0:
            return (), 0
        manifest = read_manifest(block.manifest, most)
        return (() if manifest.structural else manifest.targets), manifest.values
    return (() if type_ is ActionType.HTTP else named_targets(body, type_)), 0


def _of(
    plan: DRPlan,
    body: ActionBody,
    type_: ActionType,
    targets: tuple[TargetObject, ...],
    where: str,
    *,
    is_rollback: bool = False,
) -> Iterator[Needed]:
    operation = operation_of(body, type_)
    forward: tuple[str, ...] = ("create", "get", "list", "watch")
    back: tuple[str, ...] = ("delete",)
    if operation is not None:
        waits = ("list", "watch") if body.wait_ready and type_ is ActionType.KUBERNETES_RESOURCE else ()
        restores = rollback_policy_of(body) is RollbackPolicy.RESTORE
        back = _BACK.get(operation, _RESTORED.get(operation, ()) if restores else ())
        forward = (*_FORWARD[operation], *waits)
    has_own = isinstance(body, Action) and (body.rollback is not None or body.rollback_policy is RollbackPolicy.NONE)
    known = Known(plan_name=plan.metadata.name)
    for target in map(known.rendered, targets):
        if any(map(has_placeholder, (target.api_version, target.kind, target.namespace))):
            continue
        namespace = target.namespace or (DEFAULT_NAMESPACE if type_ is not ActionType.KUBERNETES_RESOURCE else "")
        place = (target.api_version, target.kind, namespace or plan.metadata.namespace)
        for verb in forward:
            yield from _right(verb, place, target.name or "", where)
        for verb in back if not (is_rollback or has_own) else ():
            yield from _right(verb, place, target.name or "", f"{where} (when it is taken back)")


def _right(verb: str, place: tuple[str, str, str], name: str, where: str) -> Iterator[Needed]:
    """One right; none where a Role may grant it for certain names, and the name is not known."""
    if verb in _OF_ALL:
        yield Needed(verb, *place, "", where)
    elif not has_placeholder(name):
        yield Needed(verb, *place, name, where)
