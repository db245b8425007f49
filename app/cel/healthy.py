"""`healthyWhen`: what the answer to a health check must be like, beside its status code.

An expression sees four variables: `status` (a number), `headers` (texts by name in lower case), `body` (the JSON of the
answer; null when it is none, or longer than what is read) and `text` (the body as it came). It must give a bool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from app.cel.language import LONGEST, runtime
from app.cel.over_json import JsonExpression, TooMuchError, compile_over_json, holds
from app.engine.gotext import quote
from app.engine.when import WhenError, shown

CACHED = 512
VARIABLES = ("status", "headers", "body", "text")


class HealthyWhenError(WhenError):
    """The text cannot be understood; the message names it and says why."""

    _form = "invalid healthyWhen {}: {}"


@dataclass(frozen=True, slots=True)
class HealthyWhen:
    """A compiled `healthyWhen`."""

    expression: JsonExpression

    def problem(self, *, status: int, headers: Mapping[str, str], body: object, text: str) -> str:
        """Return why an answer does not count as healthy; empty when it does."""
        data = {"status": status, "headers": dict(headers), "body": body, "text": text}
        try:
            answer = holds(self.expression, data, "answer", waits=False)
        except TooMuchError as error:
            return f"healthyWhen {error}"
        if answer is True:
            return ""
        if answer is False:
            why = "is false"
        else:
            why = answer + (" (the answer has no JSON)" if body is None else "")
        return f"healthyWhen {quote(shown(self.expression.text))} {why}"


def compile_healthy_when(text: str) -> HealthyWhen:
    """Compile what `healthyWhen` says, or take it from those compiled lately. Raises `HealthyWhenError`."""
    if len(text) > LONGEST:
        raise HealthyWhenError(shown(text), f"it has {len(text)} characters, more than {LONGEST}")
    compiled = _compiled(text.strip())
    if isinstance(compiled, str):
        raise HealthyWhenError(shown(text), compiled)
    return compiled


@lru_cache(maxsize=CACHED)
def _compiled(text: str) -> HealthyWhen | str:
    if not text:
        return f'it is empty: write a CEL expression over {", ".join(VARIABLES)}, such as body.status == "ok"'
    compiled = compile_over_json(text, _environment, VARIABLES)
    return compiled if isinstance(compiled, str) else HealthyWhen(compiled)


@cache
def _environment() -> Any:  # noqa: ANN401 - the package has no types
    types = runtime().Type
    text = types.STRING
    variables = {"status": types.INT, "headers": types.Map(text, text), "body": types.DYN, "text": text}
    return runtime().NewEnv(variables=variables)
