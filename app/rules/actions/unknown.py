"""Rule N16: members that nobody reads, in the block that the API server's schema leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from app.models.actions import Rollback
from app.models.base import ApiModel
from app.rules.findings import Spot

Members = dict[str, type[ApiModel] | None]


def check_unknown_members(spot: Spot, rollback: dict[str, Any]) -> None:
    """Warn of every member of a rollback that is ignored. `spot` is the rollback."""
    for path, name, known in _unknown(Rollback, rollback, ""):
        hint = spot.meant(name, known)
        spot.warn("N16", f"unknown field '{path}', it is ignored{hint}", path)


def _unknown(model: type[ApiModel], value: dict[str, Any], path: str) -> Iterator[tuple[str, str, Members]]:
    known = _members(model)
    for name, member in value.items():
        where = f"{path}.{name}" if path else name
        if name not in known:
            yield where, name, known
            continue
        nested = known[name]
        if nested is None:
            continue
        items = [(f"{where}[{index}]", item) for index, item in enumerate(member)] if isinstance(member, list) else []
        for at, each in items or [(where, member)]:
            if isinstance(each, dict):
                yield from _unknown(nested, each, at)


@cache
def _members(model: type[ApiModel]) -> Members:
    """The wire names of a model's members, each with the model that its values are of, if of any."""
    return {field.alias or name: _model_in(field.annotation) for name, field in model.model_fields.items()}


def _model_in(annotation: object) -> type[ApiModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return annotation
    found = (_model_in(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)
