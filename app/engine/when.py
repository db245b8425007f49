"""The condition of an action: in which modes of a run it takes part.

Grammar: clauses `mode == "install"` joined by `||`. The left word may also be `operation` (it means the same),
the value is one of install, upgrade, delete and rollback in any case, quotes are optional and need not match. A blank
condition always holds. The whole expression is checked, also behind a clause that matches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.engine.gotext import quote

MODES = ("install", "upgrade", "delete", "rollback")

_CLAUSE = re.compile(r"""\s*(?:mode|operation)\s*==\s*['"]?([a-zA-Z]+)['"]?\s*""")
_UNSUPPORTED = 'unsupported expression, only `mode == "install|upgrade|delete|rollback"` joined by `||` is allowed'


class WhenError(ValueError):
    """The condition cannot be understood; the message names it whole."""

    def __init__(self, expression: str, why: str) -> None:
        self.why = why
        """The reason alone, without the expression."""
        super().__init__(f"invalid when expression {quote(expression)}: {why}")


@dataclass(frozen=True, slots=True)
class WhenExpression:
    """A parsed condition."""

    text: str
    modes: tuple[str, ...]
    """The modes that are let through, each once, in the order written; empty lets every mode through."""


@dataclass(frozen=True, slots=True)
class WhenResult:
    """Whether the action takes part, and if not, why."""

    run: bool
    message: str = ""


def parse_when(text: str) -> WhenExpression:
    """The condition that `text` spells out; raises `WhenError`."""
    if not text.strip():
        return WhenExpression(text, ())
    modes = dict.fromkeys(_mode(clause, text) for clause in text.split("||"))
    return WhenExpression(text, tuple(modes))


def _mode(clause: str, expression: str) -> str:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        raise WhenError(expression, _UNSUPPORTED)
    mode = match[1].lower()
    if mode not in MODES:
        raise WhenError(expression, f"unsupported mode value {quote(match[1])} in when")
    return mode


def evaluate(expression: WhenExpression, mode: str) -> WhenResult:
    """Whether an action with this condition runs in `mode`; a run without a mode counts as `install`."""
    current = mode.strip().lower()
    if not expression.modes or current in expression.modes:
        return WhenResult(run=True)
    return WhenResult(
        run=False, message=f"when not matched: mode={current}, expected one of [{','.join(expression.modes)}]"
    )
