"""Compiling and evaluating CEL conditions.

An expression sees four variables: `mode` and `planName` (texts), `params` (texts by name, `mode` among them) and
`outputs` (texts by action and field). It must give a bool. There is no clock, no randomness and no state in CEL, so the
same values always give the same answer.

The runtime is loaded when the first expression is compiled; nobody else pays for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from typing import Any

from app.cel.cost import EMPTY, TYPICAL, Sizes, has_computed_pattern, steps_of
from app.cel.messages import compile_problem, missing_key, plain
from app.cel.reads import looks_of
from app.cel.tree import Node, tree_of
from app.engine.gotext import quote
from app.engine.graph import closest
from app.engine.templates import Scope
from app.engine.when import MODES, MOST_STEPS, EvaluationError, Reads, WhenError, shown, steps_each

LONGEST = 1024
"""Characters that an expression may have."""
LARGEST = 64 * 1024
"""Characters that the values and names an expression reads may have together. What may be done with them is bounded by
`app.cel.cost`: an expression that may take more steps is not evaluated."""
_FIELDS = 5
"""Fields that the outputs of one action have at most."""
CACHED = 2048
"""Compiled expressions that are kept, of 4 KiB or so each."""


class NotInstalledError(RuntimeError):
    """The CEL runtime cannot be loaded; the message says why."""


@dataclass(frozen=True, slots=True)
class CelExpression:
    """A compiled expression (see `app.engine.when.Expression`)."""

    text: str
    reads: Reads
    program: Any
    """The runtime's `Expression`; the package has no types."""
    tree: Node
    typical_steps: int
    """Steps that it takes with values of usual size."""

    def holds(self, scope: Scope) -> bool:
        """Tell whether it is true for the values of `scope`. Raises `EvaluationError`."""
        hidden = sorted((self.reads.params | self.reads.asked_params) & scope.secrets)
        if hidden:
            raise self._error(f"parameter {quote(hidden[0])} comes from a Secret, which a condition cannot read")
        data = self._data(scope)
        try:
            result = self.program.eval(data=data)
        except (RuntimeError, TypeError, ValueError) as error:
            raise self._error(plain(str(error))) from None
        value = result.value()
        if isinstance(value, bool):
            return value
        raise self._error(self._reason(str(value), scope))

    def _data(self, scope: Scope) -> dict[str, object]:
        """Return the values that the expression reads; handing over others would only take time."""
        reads = self.reads
        params = {name: value for name, value in scope.params.items() if name not in scope.secrets}
        params["mode"] = scope.mode
        if not reads.any_param:
            params = {name: params[name] for name in reads.params | reads.asked_params if name in params}
        outputs = scope.outputs
        if not reads.any_output:
            outputs = {action: outputs[action] for action in reads.actions if action in outputs}
        self._demand_small(_sizes(params, outputs, scope.plan_name), scope.conditions)
        return {"mode": scope.mode, "planName": scope.plan_name, "params": params, "outputs": dict(outputs)}

    def _demand_small(self, sizes: Sizes, conditions: int) -> None:
        """Raise `EvaluationError` when it may take more steps than each of so many conditions of a run may."""
        if sizes.characters > LARGEST:
            raise self._error(f"the values it reads have {sizes.characters} characters together, more than {LARGEST}")
        most = steps_each(conditions)
        if self.typical_steps <= most and sizes <= TYPICAL:
            return
        steps = steps_of(self.tree, sizes)
        if steps > most:
            told = f"it may take {steps} steps with values of {sizes.characters} characters, more than {most}"
            raise self._error(f"{told}: use shorter texts, a simpler pattern or fewer repetitions")

    def _reason(self, raised: str, scope: Scope) -> str:
        key = missing_key(raised)
        if key is None:
            return plain(raised)
        if key in self.reads.params and key not in scope.params:
            return f"parameter {quote(key)} has no value ({quote(key)} in params asks whether it has one)"
        if key in self.reads.actions and key not in scope.outputs:
            asks = f"{quote(key)} in outputs asks whether it has any"
            return f"action {quote(key)} has no outputs, because it did not succeed ({asks})"
        if key in scope.secrets:
            return f"parameter {quote(key)} comes from a Secret, which a condition cannot read"
        return f"there is no {quote(key)}"

    def _error(self, why: str) -> EvaluationError:
        return EvaluationError(shown(self.text), why)


def compile_expression(text: str) -> CelExpression:
    """Compile an expression, or take it from those compiled lately. Raises `WhenError`."""
    if len(text) > LONGEST:
        raise WhenError(shown(text), f"it has {len(text)} characters, more than {LONGEST}")
    compiled = _compiled(text)
    if isinstance(compiled, str):
        raise WhenError(shown(text), compiled)
    return compiled


@lru_cache(maxsize=CACHED)
def _compiled(text: str) -> CelExpression | str:
    """Return the compiled expression, or why it is none: bad ones are asked about again and again, too."""
    try:
        environment = _environment()
        program = environment.compile(text)
    except NotInstalledError as error:
        return str(error)
    except (RuntimeError, TypeError) as error:
        return compile_problem(str(error), text) if isinstance(error, RuntimeError) else "it is no valid Unicode"
    gives = program.return_type().name()
    if gives != "BOOL":
        return f"it gives {gives.lower()}, and must give bool"
    tree = tree_of(program.serialize())
    if problem := _too_costly(tree):
        return problem
    looks = looks_of(tree)
    if looks.loops > 1:
        return "loops (all, exists, exists_one, map, filter) must not stand in each other"
    for mode in looks.modes:
        if mode not in MODES:
            near = mode.lower() if mode.lower() in MODES else closest(mode.lower(), MODES)
            hint = f', did you mean "{near}"?' if near else ""
            return f"the mode is never {quote(mode)}, it is one of {', '.join(MODES)}{hint}"
    return CelExpression(text, looks.reads(), program, tree, steps_of(tree, TYPICAL))


def _too_costly(tree: Node) -> str:
    """Why nobody may evaluate an expression, whatever its values are; empty when it may be."""
    if has_computed_pattern(tree):
        return "the pattern of matches must be a text, because one that is computed may be of any size"
    steps = steps_of(tree, EMPTY)
    return f"it may take {steps} steps, more than {MOST_STEPS}: use a simpler pattern" if steps > MOST_STEPS else ""


def _sizes(params: Mapping[str, str], outputs: Mapping[str, Mapping[str, str]], plan_name: str) -> Sizes:
    """How large values are. Names of the fields of outputs are few and short."""
    texts = (text for fields in outputs.values() for text in fields.values())
    characters = sum(map(len, chain((plan_name,), params, params.values(), outputs, texts)))
    return Sizes(characters, max(len(params), len(outputs), _FIELDS))


@cache
def _environment() -> Any:  # noqa: ANN401 - the package has no types
    types = runtime().Type
    text = types.STRING
    texts = types.Map(text, text)
    variables = {"mode": text, "planName": text, "params": texts, "outputs": types.Map(text, texts)}
    return runtime().NewEnv(variables=variables)


def runtime() -> Any:  # noqa: ANN401 - the package has no types
    """Return the CEL runtime, loaded now if it is not yet. Raises `NotInstalledError`."""
    try:
        from cel_expr_python import cel
    except ImportError as error:
        raise NotInstalledError(f"it is a CEL expression, and the CEL runtime cannot be loaded here: {error}") from None
    return cel
