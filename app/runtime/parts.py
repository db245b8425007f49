"""Decoding large objects part by part, so that others have their turn of the event loop in between.

pydantic decodes an object in one go, which keeps the interpreter: a thread does not help, and what a process of its own
decodes takes as long to take over. Parts that are decoded already it takes as they are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from app.models.base import ApiModel

M = TypeVar("M", bound=ApiModel)

MOST_AT_ONCE: Final = 400
"""Members and items of an object that is decoded in one go, in about 4 ms."""
TURN_SECONDS: Final = 0.005
"""How long parts are decoded until others have their turn."""


async def decoded(model: type[M], data: Mapping[str, Any]) -> M:
    """Decode a JSON object. Raises `pydantic.ValidationError`, whose paths begin at the part that is at fault."""
    if _fits(data, MOST_AT_ONCE) > 0:
        return model.from_wire(data)
    return model.model_validate(await _with_parts(model, data, _Turn()))


class _Turn:
    """Whose turn it is."""

    def __init__(self) -> None:
        self._until = time.perf_counter() + TURN_SECONDS

    async def pause(self) -> None:
        """Let others have their turn when this one was long enough."""
        if time.perf_counter() >= self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + TURN_SECONDS


async def _with_parts(model: type[ApiModel], data: Mapping[str, Any], turn: _Turn) -> dict[str, Any]:
    """Return a JSON object whose parts, as far as they are objects of models of their own, are decoded."""
    found = dict(data)
    for name, part in _parts(model).items():
        value = found.get(name)
        if isinstance(value, list):
            found[name] = [await _decoded(part, each, turn) for each in value]
        elif isinstance(value, dict):
            found[name] = await _decoded(part, value, turn)
    return found


async def _decoded(model: type[ApiModel], data: object, turn: _Turn) -> object:
    if not isinstance(data, dict):
        return data
    await turn.pause()
    if _fits(data, MOST_AT_ONCE) > 0:
        return model.model_validate(data)
    return model.model_validate(await _with_parts(model, data, turn))


def _fits(data: object, most: int) -> int:
    """Return how many more members and items there may be than `data` has; looks no further than that."""
    inner = data.values() if isinstance(data, Mapping) else data if isinstance(data, list) else ()
    most -= len(inner)
    for each in inner:
        if most <= 0:
            return most
        if isinstance(each, (dict, list)):
            most = _fits(each, most)
    return most


@cache
def _parts(model: type[ApiModel]) -> dict[str, type[ApiModel]]:
    """The members of a model that are objects of other models, or lists of them, by both of their names."""
    found: dict[str, type[ApiModel]] = {}
    for name, field in model.model_fields.items():
        part = _model_in(field.annotation)
        if part is not None:
            found[name] = found[field.alias or name] = part
    return found


def _model_in(annotation: Any) -> type[ApiModel] | None:  # noqa: ANN401 - whatever a field says
    """The model that a member has, alone or many; None when it may have another, or is a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return annotation
    origin, within = (
        get_origin(annotation),
        [each for each in get_args(annotation) if each not in (Ellipsis, type(None))],
    )
    if origin is Annotated or (origin in (tuple, list, Union, UnionType) and len(within) == 1):
        return _model_in(within[0])
    return None
