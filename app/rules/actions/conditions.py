"""Conditions of actions (`when`), as far as they are known before a run (rules W24, W38)."""

from __future__ import annotations

from collections.abc import Mapping

from app.cel.language import LONGEST, compile_expression
from app.engine.outputs import fields_of
from app.engine.templates import Scope
from app.engine.when import (
    Condition,
    Reads,
    WhenError,
    WhenExpression,
    evaluate,
    names_modes_only,
    parse_when,
    shown,
)
from app.models.actions import Action
from app.models.common import Parameter
from app.models.phases import Mode
from app.rules.actions.order import Order
from app.rules.actions.templated import placeholders_of
from app.rules.findings import Spot
from app.rules.parameters.declared import RESERVED, literal, reads_secret
from app.rules.remember import remembered

MOST_TOGETHER = 16 * 1024
"""Characters that the different CEL conditions of a workflow may have together: compiling them takes time, 5 to 10 µs
for each character, and nothing else is done in that time."""
_MOST_KNOWN = 4096
"""Characters of parameters that are looked at to tell beforehand what a condition will come to."""


def check_when(spot: Spot, order: Order, index: int) -> None:
    """Rules W24 and W38: the condition can be read, and what it says of outputs can be there. `spot` is the action."""
    when = order.actions[index].when
    if not when:
        return
    if order.conditions_length > MOST_TOGETHER and not names_modes_only(when):
        why = f"the conditions of the workflow have {order.conditions_length} characters, more than {MOST_TOGETHER}"
        spot.error("W24", str(WhenError(shown(when), why)), "when", found=when, runnable=True)
        return
    condition = _parsed(when)
    if isinstance(condition, str):
        spot.error("W24", condition, "when", found=when)
    elif not isinstance(condition, WhenExpression):
        for found in placeholders_of(when)[:1]:
            why = f"{found.text} stays as it is, since conditions take no placeholders: write {found.text[2:-1]}"
            spot.error("W24", str(WhenError(shown(when), why)), "when", found=when, runnable=True)
        _check_outputs(spot, condition.reads, order, index)


def _check_outputs(spot: Spot, reads: Reads, order: Order, index: int) -> None:
    for name in sorted(name for name in reads.actions if not order.is_before(name, index)):
        if name in order.named:
            why = (
                f"action '{name}' need not have finished by then; it must come before this one, or be in its dependsOn"
            )
        else:
            why = f"the workflow has no action '{name}'" + spot.meant(name, order.named)
        spot.error("W38", f"outputs.{name} in when can never be there: {why}", "when", found=name)
    for name, field in sorted(reads.outputs | reads.asked_outputs):
        fields = fields_of(order.named[name].type) if order.is_before(name, index) else ()
        if field and fields and field not in fields:
            why = f"actions of type {order.named[name].type} have only {', '.join(fields)}" + spot.meant(field, fields)
            spot.error("W38", f"outputs.{name}.{field} in when can never be there: {why}", "when", found=field)


def takes_part(action: Action, mode: Mode, given: Mapping[str, Parameter] | None = None) -> bool:
    """Whether an action may run in a mode with the parameters that are `given`; None: they are not known at all.

    True when its condition cannot be read, which is a finding of its own, and when what it comes to depends on what
    only the run can tell: outputs, and values that are read from the cluster.
    """
    return _holds(_condition(action), mode, given)


@remembered(LONGEST)
def modes_of(when: str) -> frozenset[Mode]:
    """Return the modes in which an action with this condition may run, whatever the parameters are."""
    condition = _condition_of(when)
    return frozenset(mode for mode in Mode if _holds(condition, mode, None))


def _holds(condition: Condition | None, mode: Mode, given: Mapping[str, Parameter] | None) -> bool:
    if condition is None:
        return True
    if isinstance(condition, WhenExpression):
        return evaluate(condition, Scope({}, mode=mode.lower())).run
    params = _known_params(condition.reads, given)
    if params is None:
        return True
    try:
        return condition.holds(Scope(params, mode=mode.lower()))
    except WhenError:
        return True


def missing_for_condition(action: Action, given: Mapping[str, Parameter]) -> list[tuple[str, str]]:
    """What an action's condition reads of parameters and no level gives it, as `params.x in its when, which ...`.

    Each comes after the name that has no value at all; that is empty where there is one, but no usable one.
    """
    reads = reads_of(action)
    if reads is None:
        return []
    missing = reads.params - reads.asked_params - given.keys() - {RESERVED}
    secret = {name for name in (reads.params | reads.asked_params) & given.keys() if reads_secret(given[name])}
    return [(name, f"params.{name} in its when, which has no value") for name in sorted(missing)] + [
        ("", f"params.{name} in its when, which has no value but one in a Secret, and conditions cannot read those")
        for name in sorted(secret)
    ]


def reads_of(action: Action) -> Reads | None:
    """What an action's condition looks at; None when it has none, only names modes, or cannot be read."""
    condition = _condition(action)
    return None if condition is None or isinstance(condition, WhenExpression) else condition.reads


def _condition(action: Action) -> Condition | None:
    """The condition of an action; None when it has none, or one that cannot be read."""
    return _condition_of(action.when)


def _condition_of(when: str) -> Condition | None:
    condition = _parsed(when) if when else None
    return None if isinstance(condition, str) else condition


@remembered(LONGEST)
def _parsed(when: str) -> Condition | str:
    """A condition, or what is wrong with it."""
    try:
        return parse_when(when, compile_expression)
    except WhenError as error:
        return str(error)


def _known_params(reads: Reads, given: Mapping[str, Parameter] | None) -> dict[str, str] | None:
    """The values of the parameters that are read; None when the answer may depend on others than these.

    Outputs do not stand in the way as long as they are only taken: what is missing then makes the condition fail where
    it matters, and where it does not matter CEL does not ask.
    """
    names = (reads.params | reads.asked_params) - {RESERVED}
    if (
        (names and given is None)
        or reads.plan_name
        or reads.any_param
        or reads.any_output
        or reads.asked_outputs
        or reads.loops
    ):
        return None
    known: dict[str, str] = {}
    levels = given or {}
    for name in names & levels.keys():
        value = literal(levels[name])
        if value is None:
            return None
        known[name] = value
    return known if sum(map(len, known.values())) <= _MOST_KNOWN else None
