"""What cannot be restored is refused before an action with `rollbackPolicy: Restore` changes it (decision R8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.engine.remaking import does_work_again
from app.kube.errors import KubeError
from app.kube.resources import Resource
from app.kube.secrecy import is_secret
from app.models.actions import RollbackPolicy
from controller.actions.base import ActionContext

_INSTEAD = "give the action a rollback block, or rollbackPolicy: None"


class NotRestorableError(KubeError):
    """An object that the action was to change, and that could not be given back. Nothing was done to it."""


def demand_restorable(
    context: ActionContext, resource: Resource, label: str, obj: Mapping[str, Any], *, deleting: bool = False
) -> None:
    """Raise NotRestorableError for what the action promises to restore, and what nobody could."""
    if context.target_identity or context.rollback_policy is not RollbackPolicy.RESTORE:
        return
    if is_secret(resource, obj):
        raise NotRestorableError(
            f"{label} was left as it is: rollbackPolicy Restore cannot give it back, because the data of Secrets is "
            f"not recorded; {_INSTEAD}"
        )
    if deleting and does_work_again(resource.group, resource.kind, obj):
        raise NotRestorableError(
            f"{label} was not deleted: rollbackPolicy Restore would make it again, and its work would be done a second "
            f"time; {_INSTEAD}"
        )
