"""A row of JSON objects in one text, as Go's `encoding/json` reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

_LONGEST_NUMBER: Final = 4096
"""Digits of a whole number; a longer one would take long to compute, and is no number that anybody means."""
_INT64: Final = range(-(2**63), 2**63)
_SPACES: Final = " \t\r\n"


class JsonNumberError(ValueError):
    """The text is JSON, with a number that nobody can keep."""


class JsonTextError(ValueError):
    """The text is no JSON from some place on."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def json_objects(text: str, doubled: list[str]) -> Iterator[tuple[Any, int, int]]:
    """Yield each value with where it starts and ends. Keys that an object has more than once are put into `doubled`.

    Raises `JsonTextError` where the next one is none, `JsonNumberError` where one has a number without a value.
    """
    at = _skipped(text, 0)
    while at < len(text):
        try:
            value, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise JsonTextError(error.msg, error.lineno, error.colno) from error
        except JsonNumberError:
            raise
        except (RecursionError, ValueError) as error:
            why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise JsonTextError(why, text.count("\n", 0, at) + 1, 1) from None
        yield _whole(value, doubled), at, end
        at = _skipped(text, end)


def _skipped(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACES:
        at += 1
    return at


def _number(text: str) -> int | float:
    if len(text) > _LONGEST_NUMBER:
        raise JsonNumberError(f"the number {text[:20]}... has too many digits")
    value = int(text)
    return value if value in _INT64 else _float(text)


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise JsonNumberError(f"the number {text[:40]} is too large")
    return value


def _constant(text: str) -> Any:  # noqa: ANN401 - never returns
    raise ValueError(f"{text} is no JSON")


class _Doubled(dict[str, Any]):
    """An object that has a key more than once; the last one counts."""

    key = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    doubled = _Doubled(made)
    seen: set[str] = set()
    doubled.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return doubled


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_number, parse_float=_float, parse_constant=_constant
)


def _whole(value: Any, doubled: list[str]) -> Any:  # noqa: ANN401 - any value of JSON
    """The value with halves of surrogate pairs replaced, of which no text may consist."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        if isinstance(value, _Doubled):
            doubled.append(value.key)
        return {_whole(key, doubled): _whole(member, doubled) for key, member in value.items()}
    if isinstance(value, list):
        return [_whole(item, doubled) for item in value]
    return value
