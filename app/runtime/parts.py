"""Decoding large objects part by part, so that others have their turn of the event loop in between.

pydantic decodes an object in one go, which keeps the interpreter: a thread does not help, and what a process of its own
decodes takes as long to take over. Parts that are decoded already it takes as they are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeVar, Union, get_args, get_origin

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
    steps, turn = _with_parts(model, data), _Turn()
    try:
        while True:
            next(steps)
            await turn.pause()
    except StopIteration as done:
        return model.model_validate(done.value)


def decoded_in_thread(model: type[M], data: Mapping[str, Any]) -> M:
    """Decode a JSON object as `decoded` does, for a thread: others have the interpreter between two parts."""
    steps = _with_parts(model, data)
    try:
        while True:
            next(steps)
    except StopIteration as done:
        return model.model_validate(done.value)


class _Turn:
    """Whose turn it is."""

    def __init__(self) -> None:
        self._until = time.perf_counter() + TURN_SECONDS

    async def pause(self) -> None:
        """Let others have their turn when this one was long enough."""
        if time.perf_counter() >= self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + TURN_SECONDS


Steps = Generator[None, None, Any]
"""Yields before each part, returns what came of them."""


def _with_parts(model: type[ApiModel], data: Mapping[str, Any]) -> Steps:
    """Return a JSON object whose parts, as far as they are objects of models of their own, are decoded."""
    found = dict(data)
    for name, part in _parts(model).items():
        value = found.get(name)
        if isinstance(value, dict) and not part.is_mapping:
            found[name] = yield from _part_of(part.model, value)
            continue
        many = dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, dict) else {}
        made: dict[Any, Any] = {}
        for key, each in many.items():
            made[key] = yield from _part_of(part.model, each)
        if made:
            found[name] = list(made.values()) if isinstance(value, list) else made
    return found


def _part_of(model: type[ApiModel], data: object) -> Steps:
    if not isinstance(data, dict):
        return data
    yield
    if _fits(data, MOST_AT_ONCE) > 0:
        return model.model_validate(data)
    return model.model_validate((yield from _with_parts(model, data)))


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


class _Part(NamedTuple):
    """A member that has objects of a model: one, a list of them, or a mapping to them."""

    model: type[ApiModel]
    is_mapping: bool


@cache
def _parts(model: type[ApiModel]) -> dict[str, _Part]:
    """Return the members of a model that are objects of other models, or lists or mappings of them, by both names."""
    found: dict[str, _Part] = {}
    for name, field in model.model_fields.items():
        is_mapping = get_origin(field.annotation) is dict
        part = _model_in(get_args(field.annotation)[1] if is_mapping else field.annotation)
        if part is not None:
            found[name] = found[field.alias or name] = _Part(part, is_mapping)
    return found


def _model_in(annotation: Any) -> type[ApiModel] | None:  # noqa: ANN401 - whatever a field says
    """Return the model that a member has, alone or many; None when it may have another, or is a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return annotation
    origin, within = (
        get_origin(annotation),
        [each for each in get_args(annotation) if each not in (Ellipsis, type(None))],
    )
    if origin is Annotated or (origin in (tuple, list, Union, UnionType) and len(within) == 1):
        return _model_in(within[0])
    return None
