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


def json_objects(text: str) -> Iterator[tuple[Any, int, int]]:
    """Yield each value with where it starts and ends.

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
        yield _whole(value), at, end
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


_DECODER: Final = json.JSONDecoder(parse_int=_number, parse_float=_float, parse_constant=_constant)


def _whole(value: Any) -> Any:  # noqa: ANN401 - any value of JSON
    """The value with halves of surrogate pairs replaced, of which no text may consist."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole(key): _whole(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value
