"""What a write changed in an object, field by field: the second side of a three-way merge (pure; decision R8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.engine.field_paths import ABSENT, Element, Order, Path, decode_path, encode_path, path_text, same
from app.engine.field_shapes import Shape, entries_of, items_by_step, owners_of, shape_of
from app.engine.text import redact

JsonObject = dict[str, Any]

_TAKEN_BACK = ("labels", "annotations", "finalizers", "ownerReferences")
"""What of an object's metadata a write can change; the rest is the API server's."""
_NOT_CONTENT = ("apiVersion", "kind", "metadata", "status")


@dataclass(frozen=True, slots=True)
class Change:
    """One field that a run changed. A dict or list in it is a value that is taken as one."""

    path: Path
    was: Any
    """The value before; ABSENT when there was none."""
    wrote: Any
    """The value that the write left, defaults and the work of webhooks included; ABSENT when it removed the field."""
    hidden: bool = False
    """Whether a value came from a Secret, so that none of them may be shown."""

    @property
    def text(self) -> str:
        """The path as people read it."""
        return path_text(self.path)


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return what a write made of the object `before`, as the API server answered it."""
    shape = shape_of(before, after)
    return list(_differences(_content(before), _content(after), shape, ()))


def changes_of_run(
    prior: Mapping[str, Any],
    existing: Mapping[str, Any],
    after: Mapping[str, Any],
    manager: str,
    known: Sequence[Change],
) -> list[Change]:
    """Return what a run changed in several writes: from `prior`, before the first, over `existing` to `after`.

    Others may have written in between. To the run belongs what its field manager owns now, what the last write
    changed, and what is `known` to be an earlier one's.
    """
    shape = shape_of(existing, after)
    last = {change.path for change in changes_between(existing, after)} | {change.path for change in known}
    return [
        change
        for change in _differences(_content(prior), _content(after), shape, ())
        if change.path in last or manager in owners_of(after, change.path)
    ]


def changes_owned(prior: Mapping[str, Any], live: Mapping[str, Any], managers: Sequence[str]) -> list[Change] | None:
    """Return what a run changed as far as an object tells by itself: what differs and is owned by a manager of the run.

    None when it tells nothing, because none of the managers owns anything.
    """
    if not any(entry.get("manager") in managers for entry in entries_of(live)):
        return None
    shape = shape_of(live)
    found = _differences(_content(prior), _content(live), shape, ())
    return [change for change in found if not set(managers).isdisjoint(owners_of(live, change.path))]


def _content(obj: Mapping[str, Any]) -> JsonObject:
    """Return what of an object somebody else than the API server writes."""
    metadata = obj.get("metadata") or {}
    kept = {key: metadata[key] for key in _TAKEN_BACK if key in metadata}
    return {**{key: value for key, value in obj.items() if key not in _NOT_CONTENT}, "metadata": kept}


def _differences(before: Any, after: Any, shape: Shape | None, path: Path) -> Iterator[Change]:  # noqa: ANN401
    if same(before, after):
        return
    if _comparable(before, after, dict) and not (shape is not None and shape.is_whole):
        yield from _members(before, after, shape, path)
        return
    if _comparable(before, after, list):
        then, now = (items_by_step([] if side is ABSENT else side, shape) for side in (before, after))
        if shape is not None and then is not None and now is not None:
            yield from _items(then, now, shape, path)
            return
    yield Change(path, before, after)


def _comparable(before: Any, after: Any, kind: type) -> bool:  # noqa: ANN401
    """Tell whether both are of a kind, or one is and the other is not there; an empty one is a value like any other."""
    present = [side for side in (before, after) if side is not ABSENT]
    return all(isinstance(side, kind) for side in present) and (len(present) == 2 or bool(present[0]))


def _members(before: Any, after: Any, shape: Shape | None, path: Path) -> Iterator[Change]:  # noqa: ANN401
    then: JsonObject = {} if before is ABSENT else before
    now: JsonObject = {} if after is ABSENT else after
    for name in dict.fromkeys((*then, *now)):
        below = shape.member(name) if shape is not None else None
        yield from _differences(then.get(name, ABSENT), now.get(name, ABSENT), below, (*path, name))


def _items(then: Mapping[Any, Any], now: Mapping[Any, Any], shape: Shape, path: Path) -> Iterator[Change]:
    for step in dict.fromkeys((*then, *now)):
        before, after = then.get(step, ABSENT), now.get(step, ABSENT)
        if before is ABSENT or after is ABSENT or isinstance(step, Element):
            if not same(before, after):
                yield Change((*path, step), before, after)
        else:
            yield from _differences(before, after, shape.item, (*path, step))
    was, wrote = [step for step in then if step in now], [step for step in now if step in then]
    if was != wrote and not shape.is_set:
        yield Change((*path, Order()), encode_path(was), encode_path(wrote))


def hiding(changes: Sequence[Change], secrets: frozenset[str]) -> list[Change]:
    """Return the changes with those marked in which one of these values occurs."""
    return [
        Change(change.path, change.was, change.wrote, hidden=True) if _holds(change, secrets) else change
        for change in changes
    ]


def _holds(change: Change, secrets: frozenset[str]) -> bool:
    if not secrets:
        return False
    return any(redact(text, secrets) != text for text in (*_texts(change.was), *_texts(change.wrote), change.text))


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - decoded JSON
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
    elif value is not ABSENT:
        yield str(value)


def encode_changes(changes: Sequence[Change]) -> JsonObject:
    """Return the stored form of changes."""
    stored = []
    for change in changes:
        sides = {key: side for key, side in (("was", change.was), ("wrote", change.wrote)) if side is not ABSENT}
        stored.append({"path": encode_path(change.path), **sides, **({"hidden": True} if change.hidden else {})})
    return {"changes": stored}


def decode_changes(data: Mapping[str, Any]) -> list[Change]:
    """Read the stored form of changes. Raises KeyError, TypeError or ValueError."""
    return [
        Change(decode_path(item["path"]), item.get("was", ABSENT), item.get("wrote", ABSENT), bool(item.get("hidden")))
        for item in data["changes"]
    ]
