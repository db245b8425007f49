"""The condition of an action: whether it takes part in a run.

There are two grammars, and the text alone tells which one it is:

- Clauses `mode == "install"` joined by `||` and nothing else. The left word may also be `operation` (it means the
  same), the value is one of install, upgrade, delete and rollback in any case, quotes are optional and need not match.
- Whatever has a clause of another shape is an expression of a language that comes from outside (CEL, `app.cel`;
  decision P7).

A blank condition always holds. The whole condition is checked, also behind a clause that matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.engine.gotext import quote
from app.engine.graph import closest
from app.engine.templates import Scope
from app.engine.text import cut, single_line

MODES = ("install", "upgrade", "delete", "rollback")

MOST_STEPS = 5_000_000
"""Steps that one condition may take, of about a nanosecond each."""
_TOGETHER = 40_000_000
"""Steps that all conditions of a run may take: they may all be looked at in one go."""
_LEAST = 20_000
"""Steps that every condition has, however many there are: comparisons of some texts."""

OUTPUT_STEPS = 2_000
"""Steps to hand over what one action gave."""

_CLAUSE = re.compile(r"""\s*(?:mode|operation)\s*==\s*['"]?([a-zA-Z]+)['"]?\s*""")
_UNSUPPORTED = 'unsupported expression, only `mode == "install|upgrade|delete|rollback"` joined by `||` is allowed'
_SHOWN = 300
"""Bytes of an expression that a message shows, so that there is room for the reason."""


class WhenError(ValueError):
    """The condition cannot be understood; the message names it and says why."""

    _form = "invalid when expression {}: {}"

    def __init__(self, expression: str, why: str) -> None:
        self.why = why
        """The reason alone, without the expression."""
        super().__init__(self._form.format(quote(expression), why))


class EvaluationError(WhenError):
    """The condition can be understood, but there is no answer for the values of this run."""

    _form = "when expression {} cannot be evaluated: {}"


@dataclass(frozen=True, slots=True)
class WhenExpression:
    """A condition on the mode alone."""

    text: str
    modes: tuple[str, ...]
    """The modes that are let through, each once, in the order written; empty lets every mode through."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What an expression looks at, as far as its text alone tells."""

    mode: bool = False
    plan_name: bool = False
    params: frozenset[str] = frozenset()
    """Parameters whose values it takes, by their names."""
    asked_params: frozenset[str] = frozenset()
    """Parameters of which it asks whether they are there."""
    any_param: bool = False
    """True: it may look at any parameter, by a name that is computed or by going through all of them."""
    outputs: frozenset[tuple[str, str]] = frozenset()
    """Actions and fields of outputs that it takes; no field stands for all of an action's."""
    asked_outputs: frozenset[tuple[str, str]] = frozenset()
    """Those of which it asks whether they are there."""
    any_output: bool = False
    """True: it may look at the outputs of any action."""
    loops: bool = False
    """True: it goes through a list or map."""

    @property
    def actions(self) -> frozenset[str]:
        """Names of the actions whose outputs it looks at."""
        return frozenset(action for action, _ in self.outputs | self.asked_outputs)


class Expression(Protocol):
    """A compiled expression of the language from outside."""

    @property
    def text(self) -> str:
        """The expression as written."""

    @property
    def reads(self) -> Reads:
        """What it looks at."""

    def holds(self, scope: Scope) -> bool:
        """Tell whether it is true for these values, the same ones giving the same answer. Raises `EvaluationError`.

        A parameter of `scope.secrets` has no value that an expression may see.
        """


Language = Callable[[str], Expression]
"""Compiles an expression; raises `WhenError` for one that cannot be understood or gives no bool."""
Condition = WhenExpression | Expression


@dataclass(frozen=True, slots=True)
class WhenResult:
    """Whether the action takes part, and if not, why."""

    run: bool
    message: str = ""


def parse_when(text: str, language: Language | None = None) -> Condition:
    """Return the condition that `text` spells out; raises `WhenError`. Without a language only modes can be named."""
    if not text.strip():
        return WhenExpression(text, ())
    clauses = [_CLAUSE.fullmatch(clause) for clause in text.split("||")]
    if language is not None and not all(clauses):
        return language(text)
    return WhenExpression(text, tuple(dict.fromkeys(_mode(clause, text) for clause in clauses)))


def names_modes_only(text: str) -> bool:
    """Tell whether a condition is one of modes alone, which takes no language and no time to read."""
    return not text.strip() or all(map(_CLAUSE.fullmatch, text.split("||")))


def _mode(clause: re.Match[str] | None, expression: str) -> str:
    if clause is None:
        raise WhenError(expression, _UNSUPPORTED)
    mode = clause[1].lower()
    if mode not in MODES:
        near = closest(mode, MODES)
        hint = f", did you mean {near}?" if near else ""
        raise WhenError(expression, f"unsupported mode value {quote(clause[1])} in when{hint}")
    return mode


def reads_mode(condition: Condition) -> bool:
    """Tell whether the mode of the run matters to a condition."""
    return bool(condition.modes) if isinstance(condition, WhenExpression) else condition.reads.mode


def reads_outputs(condition: Condition) -> bool:
    """Tell whether the outputs of earlier actions matter to a condition."""
    return not isinstance(condition, WhenExpression) and (condition.reads.any_output or bool(condition.reads.actions))


def evaluate(condition: Condition, scope: Scope) -> WhenResult:
    """Whether an action with this condition runs, by these values; raises `EvaluationError` if they do not tell."""
    if not isinstance(condition, WhenExpression):
        if condition.holds(scope):
            return WhenResult(run=True)
        return WhenResult(run=False, message=f"when not matched: {shown(condition.text)} is false")
    current = scope.mode.strip().lower()
    if not condition.modes or current in condition.modes:
        return WhenResult(run=True)
    return WhenResult(
        run=False, message=f"when not matched: mode={current}, expected one of [{','.join(condition.modes)}]"
    )


def steps_each(conditions: int) -> int:
    """Return how many steps each of so many conditions of a run may take."""
    return max(_LEAST, min(MOST_STEPS, _TOGETHER // max(1, conditions)))


def shown(expression: str) -> str:
    """`expression` as messages show it: on one line, its end left out when it is long."""
    return cut(single_line(expression), _SHOWN)
