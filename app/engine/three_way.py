"""Taking the changes of a run out of an object that others may have changed since (pure; decision R8).

Three sides are compared field by field: the value before the run, the one that the run wrote, and the one that is there
now. What is as the run left it becomes what it was; what is as it was stays; anything else is a collision, of which the
policy decides. Whatever the run did not change is not looked at.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.engine.field_changes import Change, JsonObject
from app.engine.field_paths import (
    ABSENT,
    Element,
    Keyed,
    Order,
    Path,
    Step,
    child_at,
    decode_path,
    encode_path,
    position_of,
    same,
    value_at,
)
from app.models.revert_options import ConflictPolicy


@dataclass(frozen=True, slots=True)
class Collision:
    """A field that the run changed and that somebody changed to something else since."""

    change: Change
    now: Any
    """The value that is there; ABSENT when there is none."""


@dataclass(frozen=True, slots=True)
class Restored:
    """An object without the changes of a run. With collisions under the policy Fail it is as it was found."""

    obj: JsonObject
    collisions: tuple[Collision, ...] = ()


def taken_out(
    live: Mapping[str, Any], prior: Mapping[str, Any], changes: Sequence[Change], policy: ConflictPolicy
) -> Restored:
    """Return `live` without `changes`. `prior`, the object before the run, tells where items of lists belong."""
    found: JsonObject = copy.deepcopy(dict(live))
    collisions: list[Collision] = []
    # orders come first: they are about items that are there, and tell where those belong that are put back
    for change in sorted(changes, key=lambda change: not isinstance(change.path[-1], Order)):
        now = _now(live, change)
        verdict = _verdict(live, change, now)
        if verdict is None:
            continue
        if not verdict:
            collisions.append(Collision(change, now))
        if verdict or policy is ConflictPolicy.FORCE:
            _set(found, prior, change)
    if collisions and policy is ConflictPolicy.FAIL:
        return Restored(dict(live), tuple(collisions))
    return Restored(found, tuple(collisions))


def _now(obj: Mapping[str, Any], change: Change) -> Any:  # noqa: ANN401 - decoded JSON
    if not isinstance(change.path[-1], Order):
        return value_at(obj, change.path)
    items = value_at(obj, change.path[:-1])
    return encode_path(_present(items, change)) if isinstance(items, list) else ABSENT


def _present(items: Sequence[Any], change: Change) -> list[Step]:
    """Return those items that the order of a change is about and that are there, in the order that they have."""
    places = {index: step for step in decode_path(change.was) if (index := position_of(items, step)) is not None}
    return [places[index] for index in sorted(places)]


def _verdict(live: Mapping[str, Any], change: Change, now: Any) -> bool | None:  # noqa: ANN401 - decoded JSON
    """Return True for what is as the run left it, None for what has nothing to take back, False for a collision."""
    if isinstance(change.path[-1], Order):
        if now is ABSENT:
            return None
        was, wrote = ([step for step in side if step in now] for side in (change.was, change.wrote))
        return None if same(now, was) else same(now, wrote)
    if same(now, change.was):
        return None
    if _lost_item(live, change.path):
        return None if change.wrote is ABSENT else False
    if _is_held_otherwise(live, change.path):
        return False
    return same(now, change.wrote)


def _lost_item(live: Any, path: Path) -> bool:  # noqa: ANN401 - decoded JSON
    """Tell whether an item of a list in which `path` lies is not there any more."""
    return any(
        isinstance(step, Keyed) and value_at(live, path[: index + 1]) is ABSENT for index, step in enumerate(path[:-1])
    )


def _is_held_otherwise(live: Any, path: Path) -> bool:  # noqa: ANN401 - decoded JSON
    """Tell whether what has to hold the value at `path` is something else by now, a list or a text for an object."""
    holders = ((value_at(live, path[:index]), step) for index, step in enumerate(path))
    return any(found not in (ABSENT, None) and not _can_hold(found, step) for found, step in holders)


def _can_hold(holder: Any, step: Step) -> bool:  # noqa: ANN401 - decoded JSON
    return isinstance(holder, dict if isinstance(step, str) else list)


def _set(obj: JsonObject, prior: Mapping[str, Any], change: Change) -> None:
    if isinstance(change.path[-1], Order):
        _reorder(value_at(obj, change.path[:-1]), change)
    elif change.was is ABSENT:
        _remove(obj, prior, change.path)
    else:
        _put(obj, prior, change.path, copy.deepcopy(change.was))


def _reorder(items: list[Any], change: Change) -> None:
    wanted = [step for step in decode_path(change.was) if position_of(items, step) is not None]
    places = sorted(index for step in wanted if (index := position_of(items, step)) is not None)
    sorted_items = [items[index] for step in wanted if (index := position_of(items, step)) is not None]
    for place, item in zip(places, sorted_items, strict=True):
        items[place] = item


def _remove(obj: JsonObject, prior: Mapping[str, Any], path: Path) -> None:
    """Remove what is at `path`, and what was made to hold it and holds nothing now."""
    *above, last = path
    holder = value_at(obj, above)
    if isinstance(holder, dict) and isinstance(last, str):
        holder.pop(last, None)
    elif isinstance(holder, list) and (index := position_of(holder, last)) is not None:
        del holder[index]
    if above and holder in ({}, []) and value_at(prior, above) is ABSENT:
        _remove(obj, prior, tuple(above))


def _put(obj: Any, prior: Mapping[str, Any], path: Path, value: Any) -> None:  # noqa: ANN401 - decoded JSON
    """Set what is at `path`, and make what has to hold it.

    An item of a list is made as it was, as is what somebody has put something else in the place of.
    """
    at = obj
    for index, step in enumerate(path[:-1]):
        below = child_at(at, step)
        if not _can_hold(below, path[index + 1]):
            made = value_at(prior, path[: index + 1])
            is_whole = isinstance(step, Keyed) or below not in (ABSENT, None)
            if is_whole and made is not ABSENT:
                _place(at, prior, path[: index + 1], copy.deepcopy(made))
                return
            below = {} if isinstance(path[index + 1], str) else []
            _place(at, prior, path[: index + 1], below)
        at = below
    _place(at, prior, path, value)


def _place(holder: Any, prior: Mapping[str, Any], path: Path, value: Any) -> None:  # noqa: ANN401 - decoded JSON
    """Set a member, or put an item behind the nearest of those that it came after before the run."""
    step = path[-1]
    if isinstance(step, str):
        holder[step] = value
        return
    if (index := position_of(holder, step)) is not None:
        holder[index] = value
        return
    then = value_at(prior, path[:-1])
    there = then if isinstance(then, list) else []
    at = position_of(there, step)
    holder.insert(len(holder) if at is None else _behind(holder, there[:at], step), value)


def _behind(holder: Sequence[Any], earlier: Sequence[Any], like: Step) -> int:
    """Return the place behind the last of the `earlier` items that is there; `like` says what keys they have."""
    for item in reversed(earlier):
        step: Step = Element(item)
        if isinstance(like, Keyed) and isinstance(item, dict):
            step = Keyed(tuple((key, item.get(key, ABSENT)) for key, _ in like.members))
        if (index := position_of(holder, step)) is not None:
            return index + 1
    return 0
