"""Dumping large models part by part: while one call of pydantic lasts, nothing else is done in the process.

In a thread that lets others have the interpreter between two parts. What comes out is what `model_dump` gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.models.base import ApiModel

MOST_AT_ONCE: Final = 300
"""Members and items of a model that is dumped in one go, in about 3 ms."""


def dumped(model: ApiModel, *, unset: bool = False) -> dict[str, Any]:
    """Return the JSON-ready form by alias, absent values omitted.

    What is at its default is omitted too; with `unset` it is what nobody has set instead, as `ApiModel.written` does.
    """
    if _fits(model, MOST_AT_ONCE) > 0:
        return _at_once(model, unset=unset)
    parts = {name: value for name in type(model).model_fields if _is_part(value := getattr(model, name))}
    wire = _at_once(model, unset=unset, without=set(parts))
    for name, value in parts.items():
        field = type(model).model_fields[name]
        if field.exclude or (unset and name not in model.model_fields_set):
            continue
        if unset or value != field.get_default(call_default_factory=True):
            wire[field.alias or name] = _part(value, unset=unset)
    return wire


def _at_once(model: ApiModel, *, unset: bool, without: set[str] | None = None) -> dict[str, Any]:
    return model.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_unset=unset, exclude_defaults=not unset, exclude=without
    )


def _is_part(value: object) -> bool:
    """Whether a member is a model, or many of them."""
    if isinstance(value, tuple):
        return bool(value) and isinstance(value[0], ApiModel)
    if isinstance(value, Mapping):
        return any(isinstance(each, ApiModel) for each in value.values())
    return isinstance(value, ApiModel)


def _part(value: Any, *, unset: bool) -> Any:  # noqa: ANN401 - whatever `_is_part` says
    if isinstance(value, tuple):
        return [dumped(each, unset=unset) for each in value]
    if isinstance(value, Mapping):
        return {key: dumped(each, unset=unset) for key, each in value.items()}
    return dumped(value, unset=unset)


def _fits(value: object, most: int) -> int:
    """Return how many more members and items there may be than `value` has; looks no further than that."""
    if isinstance(value, ApiModel):
        inner: Any = [getattr(value, name) for name in value.model_fields_set]
    elif isinstance(value, Mapping):
        inner = value.values()
    else:
        inner = value if isinstance(value, (tuple, list)) else ()
    most -= len(inner)
    for each in inner:
        if most <= 0:
            return most
        if isinstance(each, (ApiModel, Mapping, tuple, list)):
            most = _fits(each, most)
    return most
