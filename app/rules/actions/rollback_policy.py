"""Whether an action can be taken back as its `rollbackPolicy` promises (rule W61)."""

from __future__ import annotations

from app.engine.remaking import does_work_again
from app.models.actions import (
    Action,
    ActionType,
    ResourceAction,
    ResourceOperation,
    RollbackPolicy,
    block_of,
    operation_of,
)
from app.rules.actions.manifest_reading import MOST_VALUES, read_manifest
from app.rules.actions.targets import TargetObject
from app.rules.findings import Spot

_MEMBER = "rollbackPolicy"
_INSTEAD = "give the action a rollback block, or rollbackPolicy: None"


def check_rollback_policy(spot: Spot, action: Action) -> None:
    """Rule W61. `spot` is the action."""
    policy = action.rollback_policy
    if policy is None:
        return
    if problem := _problem(action, policy):
        spot.error("W61", f"rollbackPolicy {policy}: {problem}", _MEMBER, found=policy)


def _problem(action: Action, policy: RollbackPolicy) -> str:
    if action.rollback is not None:
        return "the action has a rollback block, which decides alone: remove one of them"
    if policy is RollbackPolicy.NONE:
        return ""
    if action.type is ActionType.HTTP:
        return f"nobody knows what takes an HTTP call back: {_INSTEAD}"
    operation = operation_of(action, action.type)
    if operation not in (ResourceOperation.PATCH, ResourceOperation.DELETE):
        return ""
    if policy is RollbackPolicy.DELETE:
        return f"{operation} creates nothing that could be deleted: use Restore"
    return next((problem for target in _targets(action) if (problem := _lost(target, operation))), "")


def _targets(action: Action) -> tuple[TargetObject, ...]:
    block = block_of(action, action.type)
    return read_manifest(block.manifest, MOST_VALUES).targets if isinstance(block, ResourceAction) else ()


def _lost(target: TargetObject, operation: ResourceOperation) -> str:
    """Return why an object cannot be given back; empty when it can, or when that is not known yet."""
    named = "/".join(part for part in (target.namespace, target.name or "") if part)
    if (target.api_version, target.kind) == ("v1", "Secret"):
        return f"the data of Secrets is not recorded, so Secret {named} cannot be given back: {_INSTEAD}"
    group = target.api_version.rpartition("/")[0]
    if operation is ResourceOperation.DELETE and does_work_again(group, target.kind, {}):
        return f"{target.kind} {named} would do its work a second time when it is made again: {_INSTEAD}"
    return ""
