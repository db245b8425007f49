"""What an earlier attempt may have made that is not there now: nothing is done twice (invariant 3).

An action in doubt finds what it made by its marks. What bears none any more because it is gone proves nothing: it may
never have been made, or have come and gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.engine.definition import references
from app.engine.vanishing import may_vanish, works_once
from app.models.common import CoreReference
from controller.actions.attempts import CameAndWentError
from controller.actions.base import ActionContext
from controller.actions.objects import Target, find, prior_key
from controller.actions.ownership import JsonObject, is_being_deleted, owner, uid_of


async def resolve_doubt(context: ActionContext, target: Target, manifest: Mapping[str, Any]) -> None:
    """Raise CameAndWentError for an object that may have been made and be gone, if making it does its work again.

    Nothing is looked at without doubt, nor of a kind that may be made again.
    """
    before = _recorded(context, target)
    if not works_once(target.resource.group, target.resource.kind) or not (context.in_doubt or before is not None):
        return
    live = await find(context, target)
    if problem := await _problem(context, target, manifest, live, before):
        raise CameAndWentError(problem)


async def _problem(
    context: ActionContext,
    target: Target,
    manifest: Mapping[str, Any],
    live: JsonObject | None,
    before: CoreReference | None,
) -> str:
    if live is not None and owner(live) == context.identity:
        return f"{target.label}, which this action made, is being deleted" if is_being_deleted(live) else ""
    if before is not None and before.uid:
        if live is not None and uid_of(live) == before.uid:
            return ""
        other = "" if live is None else f"; another one has its name now (uid {uid_of(live)})"
        return f"{target.label} was made by this action (uid {before.uid}) and is gone{other}"
    if live is not None:
        return ""
    if may_vanish(target.resource.group, target.resource.kind, manifest):
        return f"{target.label} is not there, and one of its kind may go by itself when its work is done"
    _, prior = await context.priors.load(prior_key(context, target))
    return "" if prior is None else f"{target.label} was there when this action began to change it, and is gone"


def _recorded(context: ActionContext, target: Target) -> CoreReference | None:
    """Return the reference by which an earlier attempt recorded the object; one without UID was not seen made."""
    kind = target.resource
    for ref in references(context.earlier):
        same_kind = (ref.api_version.rpartition("/")[0], ref.kind) == (kind.group, kind.kind)
        if same_kind and (ref.namespace, ref.name) == (target.namespace, target.name):
            return ref
    return None
