"""Objects with schema errors, repaired as far as the rules can judge the rest of them.

The API server refuses such an object before admission sees it. Whoever checks files wants to know everything that is
wrong at once. So members that cannot be decoded are taken out, or filled in where there has to be one, and what rules
then say about these very places, or because of them, is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.lint.objects import JsonObject
from app.models.base import ApiModel
from app.rules.decode import details_of
from app.rules.findings import Finding

M = TypeVar("M", bound=ApiModel)

_ROUNDS: Final = 5
"""Repairs that are tried in turn: filling in a member may show that another one is missing."""
_TOGETHER: Final = frozenset({"W2", "W23", "W29", "W36", "W37", "W38", "P2", "P7", "P8", "P9", "E24"})
"""Rules about how things hang together, which say too much once one of them is not as it was meant."""
_NAMED: Final = ("name", "type", "dependsOn", "operationType", "mode")
"""The members that these rules look at."""

_DECISIVE: Final = {"type": ("name", "when", "timeout", "retryPolicy"), "operationType": ("params",)}
"""Members that say which rules hold for what they stand in, and the members beside them that all are judged alike."""

Loc = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What the rules may look at, and where they may not be believed."""

    model: ApiModel
    places: frozenset[Loc]
    """What was taken out or filled in."""

    def believable(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """The findings that the object would have as well with its schema errors repaired."""
        together = any(place[-1] in _NAMED or isinstance(place[-1], int) for place in self.places)
        for finding in findings:
            unsure = together and finding.rule in _TOGETHER
            if not unsure and not any(_hides(place, finding.path) for place in self.places):
                yield finding


def _hides(place: Loc, path: str) -> bool:
    """Tell whether a finding may be there only because of what was done at a place."""
    own = _path(place)
    if _is_below(path, own):
        return True
    around = _path(place[:-1])
    alike = _DECISIVE.get(str(place[-1]))
    return (
        alike is not None and _is_below(path, around) and not any(_is_below(path, f"{around}.{name}") for name in alike)
    )


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith((f"{above}.", f"{above}["))


def repaired(model: type[M], body: JsonObject) -> Repaired | None:
    """The object without the members that cannot be decoded; None when nothing useful is left of it."""
    body, places = copy.deepcopy(body), set[Loc]()
    for _ in range(_ROUNDS):
        try:
            return Repaired(model.from_wire(body), frozenset(places))
        except ValidationError as error:
            for details in details_of(error):
                place = _repair(body, details)
                if place is None:
                    return None
                places.add(place)
    return None


def _repair(body: JsonObject, details: ErrorDetails) -> Loc | None:
    """Mend one member; return what is not to be believed any more, None when it cannot be mended."""
    loc = _written(body, details["loc"])
    if not loc:
        return None
    owner, last = _at(body, loc[:-1]), loc[-1]
    if isinstance(owner, list) and isinstance(last, int) and last < len(owner):
        owner[last] = {} if details["type"] in ("model_type", "model_attributes_type", "dict_type") else ""
        return loc
    if not isinstance(owner, dict):
        return None
    value, kind = owner.get(str(last)), details["type"]
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        owner[str(last)] = str(value)
    elif kind in ("missing", "string_too_short"):
        owner[str(last)] = f"unnamed-{'-'.join(str(part) for part in loc if isinstance(part, int))}"
    elif kind in ("enum", "literal_error"):
        owner[str(last)] = _first_choice(details)
    else:
        owner.pop(str(last), None)
    return loc


def _first_choice(details: ErrorDetails) -> str:
    return str(details.get("ctx", {}).get("expected", "")).partition("' ")[0].partition(",")[0].strip("'")


def _written(body: JsonObject, loc: Loc) -> Loc:
    """The part of a location that stands in the object: pydantic adds the member of a union at its end."""
    node: Any = body
    for at, part in enumerate(loc):
        known = isinstance(node, list) and isinstance(part, int) and part < len(node)
        if not known and not isinstance(node, dict):
            return loc[:at]
        node = node[part] if known else node.get(part)
    return loc


def _at(body: JsonObject, loc: Loc) -> Any:  # noqa: ANN401  (any JSON value)
    node: Any = body
    for part in loc:
        node = node[part]
    return node


def _path(loc: Loc) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
