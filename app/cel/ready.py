"""`readyWhen`: the author's own word for when an object is ready, a condition's name or a CEL expression over it.

An expression sees one variable, `object`: the object as the API server has it, of a Secret only which keys there are.
It must give a bool. A member that is not there yet makes the object not ready; so does a status of an older generation,
whatever the expression says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from app.cel.language import LONGEST, runtime
from app.cel.over_json import LARGEST, JsonExpression, TooMuchError, compile_over_json, holds
from app.engine.gotext import quote
from app.engine.readiness import Readiness, is_current, meets_condition
from app.engine.when import WhenError, shown

LARGEST_OBJECT = LARGEST
"""Bytes of JSON that an object may have for an expression to look at it."""
CACHED = 512

_CONDITION = re.compile(r"(?:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
"""What the API allows as the type of a condition: a name, perhaps behind a domain and a slash."""


class ReadyWhenError(WhenError):
    """The text cannot be understood; the message names it and says why."""

    _form = "invalid readyWhen {}: {}"


@dataclass(frozen=True, slots=True)
class ReadyWhen:
    """What `readyWhen` says. Exactly one of `condition` and `expression` is set."""

    text: str
    condition: str = ""
    expression: JsonExpression | None = None

    def judge(self, obj: Mapping[str, Any]) -> Readiness:
        """Whether the object is ready by these words."""
        if self.condition:
            return meets_condition(obj, self.condition)
        current = is_current(obj)
        return current if not current.ready else self._evaluated(obj)

    def _evaluated(self, obj: Mapping[str, Any]) -> Readiness:
        assert self.expression is not None
        try:
            answer = holds(self.expression, {"object": dict(obj)}, "object")
        except TooMuchError as error:
            return Readiness(ready=False, failed=True, reason=f"readyWhen {error}")
        if answer is True:
            return Readiness(ready=True)
        why = "is false" if answer is False else answer
        return Readiness(ready=False, reason=f"readyWhen {quote(shown(self.text))} {why}")


def compile_ready_when(text: str) -> ReadyWhen:
    """Compile what `readyWhen` says, or take it from those compiled lately. Raises `ReadyWhenError`."""
    if len(text) > LONGEST:
        raise ReadyWhenError(shown(text), f"it has {len(text)} characters, more than {LONGEST}")
    compiled = _compiled(text)
    if isinstance(compiled, str):
        raise ReadyWhenError(shown(text), compiled)
    return compiled


@lru_cache(maxsize=CACHED)
def _compiled(text: str) -> ReadyWhen | str:
    text = text.strip()
    if not text:
        return "it is empty: name a condition, such as Ready, or write a CEL expression over object"
    if _CONDITION.fullmatch(text) and not text.startswith("object.") and text not in ("object", "true", "false"):
        return ReadyWhen(text, condition=text)
    compiled = compile_over_json(text, _environment, ("object",), also="name a condition")
    return compiled if isinstance(compiled, str) else ReadyWhen(text, expression=compiled)


@cache
def _environment() -> Any:  # noqa: ANN401 - the package has no types
    return runtime().NewEnv(variables={"object": runtime().Type.DYN})
