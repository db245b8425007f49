"""References of parameters whose placeholders have no value by the time they are read (rules N8 and E24).

The references of one level are read at the same time: the plan's first, then the execution's, the workflow's and the
stage's. So one takes the plain values of all levels that count where it stands, and what was read for an earlier level,
but nothing that was read from a Secret. Only the reference of the level that decides is read at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from app.engine.text import short
from app.models.common import Parameter
from app.rules.findings import Spot
from app.rules.parameters.declared import RESERVED, Level, literal, reads_secret
from app.rules.parameters.gaps import Gap
from app.rules.run import Given

Owner = Callable[[int, str], str]
"""What messages call a parameter, given its index and its name."""


def unknown_to_plan(spot: Spot, plan: Level, own: Level | None = None) -> Iterator[Gap]:
    """What the references of the plan's parameters take in vain; `own` are the execution's parameters."""
    values = {**plan.values, **(own.values if own else {})}
    yield from _unknown(spot, lambda index, name: f"globalParams[{index}]({name})", plan, values, [])


def unknown_to_execution(spot: Spot, own: Level, *below: Level) -> Iterator[Gap]:
    """What the references of an execution's parameters take in vain; `below` are the levels below, the lowest first."""
    values: dict[str, Parameter] = {}
    for level in (*below, own):
        values |= level.values
    yield from _unknown(spot, lambda index, name: f"params[{index}]({name})", own, values, below)


def unknown_to_workflow(spot: Spot, given: Given) -> Iterator[Gap]:
    """What the references of a workflow's own parameters take in vain in one use of it."""
    declared, plan, _, *own = given.levels

    def owner(_: int, name: str) -> str:
        return f"{given.use.prefix}: parameter '{name}' of workflow {given.workflow}"

    yield from _unknown(spot, owner, declared, given.values, [plan, *own])


def unknown_to_stage(spot: Spot, given: Given) -> Iterator[Gap]:
    """What the references of the parameters of one use of a workflow take in vain."""
    declared, plan, stage, *own = given.levels

    def owner(index: int, name: str) -> str:
        return f"{given.use.prefix}: params[{index}]({name})"

    yield from _unknown(spot, owner, stage, given.values, [plan, *own, declared])


def _unknown(
    spot: Spot, owner: Owner, level: Level, values: Mapping[str, Parameter], before: Sequence[Level]
) -> Iterator[Gap]:
    """`values` are those that count, `before` the levels whose references are read before those of `level`."""
    if not level.takes:
        return
    for index, parameter in enumerate(level.params):
        name = parameter.name
        if name == RESERVED or name not in level.takes or values.get(name) is not parameter:
            continue
        if not spot.findings.may_look_up(len(level.takes[name])):
            return
        for taken in level.takes[name]:
            why = _why_unknown(taken.name, values, before)
            if why:
                place = f"valueFrom.manifestRef.{taken.member}"
                whose = owner(index, short(name))
                text = f"{whose} uses $(params.{short(taken.name)}) in {place}, {why}"
                absent = taken.name not in values
                hint = spot.meant(taken.name, values) if absent else ""
                yield Gap(taken.name if absent else "", text, whose, place, hint, f"[{index}].{place}", runnable=True)


def _why_unknown(name: str, values: Mapping[str, Parameter], before: Sequence[Level]) -> str:
    """Why a parameter has no value when a reference is read; empty when it has one."""
    winner = values.get(name)
    if winner is None:
        return "which has no value"
    if literal(winner) is not None:
        return ""
    if reads_secret(winner):
        return "which has no value but one in a Secret, and references cannot take those"
    if any(level.values.get(name) is winner for level in before):
        return ""
    return "which has no value but one that is read no sooner than this one"
