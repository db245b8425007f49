"""What `managedFields` of objects tell about their kind and about who owns which field (pure).

The API server names the items of an associative list by their keys and those of a set by their values, for every kind,
whether it is built in or comes from a CustomResourceDefinition; what it takes as one value has nothing below it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.engine.field_paths import Element, Keyed, Order, Path, Step, same


@dataclass(slots=True)
class Shape:
    """How values at a place are to be compared: by member, item by item, or as one."""

    members: dict[str, Shape] = field(default_factory=dict)
    item: Shape | None = None
    """The shape of the items of a list that have keys."""
    keys: tuple[str, ...] = ()
    """The members that make up the key of an item."""
    is_set: bool = False
    is_mixed: bool = False
    """Whether items have keys of different members, which leaves only comparing the list as one."""
    is_whole: bool = True
    """Whether the API server takes the value as one, as far as is known."""

    def member(self, name: str) -> Shape | None:
        """Return the shape of a member; None when nothing is known of it."""
        return self.members.get(name)


def shape_of(*objects: Mapping[str, Any]) -> Shape:
    """Return what the managedFields of some states of an object tell of its kind."""
    shape = Shape(is_whole=False)
    for obj in objects:
        for entry in entries_of(obj):
            _add(shape, entry.get("fieldsV1") or {})
    return shape


def entries_of(obj: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the managedFields of an object, without those of its status."""
    entries = (obj.get("metadata") or {}).get("managedFields") or ()
    return [entry for entry in entries if isinstance(entry, Mapping) and entry.get("subresource") != "status"]


def _add(shape: Shape, fields: Mapping[str, Any]) -> None:
    if fields:
        shape.is_whole = False
    for name, below in fields.items():
        prefix, _, rest = name.partition(":")
        match prefix:
            case "f":
                _add(shape.members.setdefault(rest, Shape()), below)
            case "k":
                keys = tuple(sorted(json.loads(rest)))
                shape.is_mixed |= bool(shape.keys) and shape.keys != keys
                shape.keys = keys
                shape.item = shape.item or Shape(is_whole=False)
                _add(shape.item, below)
            case "v":
                shape.is_set = True


def step_of(item: Any, shape: Shape) -> Step | None:  # noqa: ANN401 - decoded JSON
    """Return the step to an item of a list; None when it cannot be told from the others."""
    if shape.is_set and not isinstance(item, dict | list):
        return Element(item)
    if not shape.keys or not isinstance(item, dict):
        return None
    members = {key: item[key] for key in shape.keys if key in item}
    return Keyed.of(members) if members and not any(isinstance(v, dict | list) for v in members.values()) else None


def items_by_step(items: Sequence[Any], shape: Shape | None) -> dict[Step, Any] | None:
    """Return the items of a list by their steps; None when the list has to be compared as one."""
    if shape is None or shape.is_mixed or not (shape.keys or shape.is_set):
        return None
    found: dict[Step, Any] = {}
    for item in items:
        step = step_of(item, shape)
        if step is None or step in found:
            return None
        found[step] = item
    return found


def owners_of(obj: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """Return the field managers that own the value at `path` of an object."""
    names = (str(entry.get("manager")) for entry in entries_of(obj) if _owns(entry.get("fieldsV1") or {}, path))
    return tuple(dict.fromkeys(names))


def _owns(fields: Mapping[str, Any], path: Path) -> bool:
    """Tell whether a set of fields contains the value at `path`, or anything below it.

    One that ends above `path` does not: paths of changes do not go into what is taken as one value, and a manager keeps
    an object of which others took all members over.
    """
    for step in path:
        if isinstance(step, Order):
            return True
        below = next(_below(fields, step), None)
        if below is None:
            return False
        fields = below
    return True


def _below(fields: Mapping[str, Any], step: Step) -> Iterator[Mapping[str, Any]]:
    if isinstance(step, str):
        if (member := fields.get(f"f:{step}")) is not None:
            yield member
        return
    wanted, prefix = (step.value, "v:") if isinstance(step, Element) else (dict(_members_of(step)), "k:")
    for name, below in fields.items():
        if name.startswith(prefix) and same(json.loads(name[2:]), wanted):
            yield below


def _members_of(step: Step) -> tuple[tuple[str, Any], ...]:
    return step.members if isinstance(step, Keyed) else ()
