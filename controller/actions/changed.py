"""Records of which fields of an object a run changed, so that a rollback takes back these and no others (decision R8).

The record is made of the API server's own answer to the write: values are as the server writes them, defaults included.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.engine.field_changes import (
    Change,
    changes_between,
    changes_of_run,
    changes_owned,
    decode_changes,
    encode_changes,
    hiding,
)
from app.engine.field_paths import ABSENT
from app.engine.field_shapes import owners_of
from app.engine.templates import secret_values
from app.engine.text import cut, single_line
from app.engine.three_way import Collision
from app.kube.errors import KubeError
from app.kube.secrecy import holds_secret
from app.models.execution import FieldConflict
from app.models.names import FIELD_MANAGER
from controller.actions.base import ActionContext

MOST_CONFLICTS = 10
"""Collisions of one action that its status lists; a message gives their number."""
_LONGEST_VALUE = 100
_HIDDEN = "***"


class ChangesDamagedError(KubeError):
    """What is recorded of a run's changes cannot be read."""


def written_key(prior_key: str) -> str:
    """Return the key of the record of what a run changed of the object whose prior state has `prior_key`."""
    return f"{prior_key}!written"


async def record_changes(
    context: ActionContext, prior_key: str, existing: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Record what a write made of the object `existing`, by the API server's answer `after`.

    What an attempt after the first, or a second document of the same name, changes comes on top of what is recorded.
    """
    secrets = secret_values(context.scope)
    if context.attempt == 1 and not context.in_doubt:
        changes = await asyncio.to_thread(lambda: hiding(changes_between(existing, after), secrets))
        if await context.priors.save(written_key(prior_key), encode_changes(changes)):
            return
    _, prior = await context.priors.load(prior_key)
    known = await recorded_changes(context, prior_key) or ()
    manager = context.kube.manager
    changes = await asyncio.to_thread(
        lambda: hiding(changes_of_run(prior or existing, existing, after, manager, known), secrets)
    )
    await context.priors.replace(written_key(prior_key), encode_changes(changes))


async def record_all(context: ActionContext, prior_key: str, after: Mapping[str, Any]) -> None:
    """Record that whatever is different in `after` from the prior state is the run's doing: it made the object anew."""
    recorded, prior = await context.priors.load(prior_key)
    if not recorded or prior is None:
        return
    secrets = secret_values(context.scope)
    changes = await asyncio.to_thread(lambda: hiding(changes_between(prior, after), secrets))
    await context.priors.save(written_key(prior_key), encode_changes(changes))


async def recorded_changes(context: ActionContext, prior_key: str) -> Sequence[Change] | None:
    """Return what the run changed of an object; None when that is not recorded. Raises KubeError."""
    recorded, stored = await context.priors.load(written_key(prior_key))
    if not recorded or stored is None:
        return None
    try:
        return decode_changes(stored)
    except (KeyError, TypeError, ValueError) as error:
        raise ChangesDamagedError(f"the record of what this run changed cannot be read: {error!r}") from error


async def changes_to_take_back(
    context: ActionContext, prior_key: str, prior: Mapping[str, Any], live: Mapping[str, Any]
) -> Sequence[Change] | None:
    """Return what the run changed of an object, by its record.

    Without one (the answer to the write was never seen, or the run is one of an earlier release) by the field manager
    of the action, which owns what nobody else changed since. None when that owns nothing, so that nobody knows.
    """
    recorded = await recorded_changes(context, prior_key)
    if recorded is not None:
        return recorded
    managers, secrets = (context.kube.manager, FIELD_MANAGER), secret_values(context.scope)
    changes = await asyncio.to_thread(changes_owned, prior, live, managers)
    return None if changes is None else await asyncio.to_thread(hiding, changes, secrets)


def conflicts_of(label: str, live: Mapping[str, Any], collisions: Sequence[Collision]) -> tuple[FieldConflict, ...]:
    """Return collisions as the status tells them, the first ten."""
    has_secret = holds_secret(live)
    return tuple(_conflict(label, live, collision, has_secret) for collision in collisions[:MOST_CONFLICTS])


def _conflict(label: str, live: Mapping[str, Any], collision: Collision, has_secret: bool) -> FieldConflict:
    change = collision.change
    was, wrote, now = (
        ""
        if side is ABSENT
        else _HIDDEN
        if change.hidden or has_secret
        else cut(single_line(json.dumps(side, ensure_ascii=False)), _LONGEST_VALUE)
        for side in (change.was, change.wrote, collision.now)
    )
    return FieldConflict(
        object=label,
        path=_HIDDEN if change.hidden and _HIDDEN in change.text else cut(change.text, 2 * _LONGEST_VALUE),
        was=was,
        wrote=wrote,
        now=now,
        changed_by=cut(", ".join(owners_of(live, change.path)), _LONGEST_VALUE),
    )


def told(conflicts: Sequence[FieldConflict], count: int) -> str:
    """Return collisions as a message tells them."""
    first = conflicts[0]
    more = f", and {count - 1} more (see conflicts in the action's status)" if count > 1 else ""
    by = f" by {first.changed_by}" if first.changed_by else ""
    return (
        f"{first.path} was {first.was or 'absent'}, this run wrote {first.wrote or 'nothing'}, "
        f"and it was changed{by} to {first.now or 'nothing'} since{more}"
    )
