"""Places in an object, with items of lists named by their keys instead of by position (pure).

The steps are those of `managedFields`: a member (`f:`), an item by its keys (`k:`), one of a set by its value (`v:`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


class Absent(Enum):
    """The value of what is not there, which is not the same as null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Keyed:
    """The item of a list that has these members, such as the container of a name."""

    members: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Keyed:
        """Return the step to the item with these members, in whatever order they are given."""
        return cls(tuple(sorted(members.items())))


@dataclass(frozen=True, slots=True)
class Element:
    """The item of a set that is this value, such as a finalizer."""

    value: Any


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list whose items have keys; always the last step."""


Step = str | Keyed | Element | Order
Path = tuple[Step, ...]


def path_text(path: Sequence[Step]) -> str:
    """Return a path as people read it: `spec.template.spec.containers[name=app].image`."""
    parts: list[str] = []
    for step in path:
        match step:
            case str():
                parts.append(f".{step}" if _PLAIN.fullmatch(step) else f"[{json.dumps(step, ensure_ascii=False)}]")
            case Keyed(members):
                parts.append(f"[{','.join(f'{key}={value}' for key, value in members)}]")
            case Element(value):
                parts.append(f"[{json.dumps(value, ensure_ascii=False)}]")
            case Order():
                parts.append(" (order of the items)")
    return "".join(parts).removeprefix(".")


def encode_path(path: Sequence[Step]) -> list[Any]:
    """Return the stored form of a path."""
    return [_encode_step(step) for step in path]


def decode_path(stored: Sequence[Any]) -> Path:
    """Read the stored form of a path. Raises KeyError, TypeError or ValueError."""
    return tuple(_decode_step(step) for step in stored)


def _encode_step(step: Step) -> str | dict[str, Any]:
    match step:
        case str():
            return step
        case Keyed(members):
            return {"k": dict(members)}
        case Element(value):
            return {"v": value}
        case Order():
            return {"o": True}


def _decode_step(step: Any) -> Step:  # noqa: ANN401 - decoded JSON
    if isinstance(step, str):
        return step
    match step:
        case {"k": dict(members)}:
            return Keyed.of(members)
        case {"v": value}:
            return Element(value)
        case {"o": True}:
            return Order()
    raise ValueError(f"not a step of a path: {step!r}")


def child_at(at: Any, step: Step) -> Any:  # noqa: ANN401 - decoded JSON
    """Return what is at one step below `at`; ABSENT when nothing is."""
    if isinstance(step, str):
        return at.get(step, ABSENT) if isinstance(at, dict) else ABSENT
    if not isinstance(at, list) or isinstance(step, Order):
        return ABSENT
    index = position_of(at, step)
    return ABSENT if index is None else at[index]


def value_at(obj: Any, path: Sequence[Step]) -> Any:  # noqa: ANN401 - decoded JSON
    """Return what is at `path` of `obj`; ABSENT when nothing is."""
    for step in path:
        obj = child_at(obj, step)
        if obj is ABSENT:
            return ABSENT
    return obj


def position_of(items: Sequence[Any], step: Step) -> int | None:
    """Return where in a list an item is; None when it is not there."""
    for index, item in enumerate(items):
        if isinstance(step, Element):
            found = same(item, step.value)
        else:
            members = step.members if isinstance(step, Keyed) and isinstance(item, dict) else ()
            found = bool(members) and all(same(item.get(key, ABSENT), value) for key, value in members)
        if found:
            return index
    return None


def same(one: Any, other: Any) -> bool:  # noqa: ANN401 - decoded JSON
    """Tell whether two JSON values are equal: unlike in Python, `true` is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)
