"""Parameters without a value: one finding for each, that names where it is used (rules N8, N9 and E24).

An execution may bring any parameter, and what it brings counts for every use. So what is missing is told by parameter,
not by place: whoever reads it has that many values to give.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from app.engine.text import short
from app.models.phases import Mode
from app.rules.actions.conditions import missing_for_condition, takes_part
from app.rules.findings import Spot, join
from app.rules.parameters.needs import Names
from app.rules.run import Given

MOST_PLACES = 10
"""Places that a finding names beside the first."""


class Gap(NamedTuple):
    """One place where a value is missing."""

    parameter: str
    """Whose value; empty where a value is there and of no use, which is a finding of its own."""
    text: str
    """What needs it, as a sentence."""
    at: str
    """The use of a workflow, or the parameter with the reference."""
    part: str
    """What of it needs the value, in a few words; empty: it is required there."""
    hint: str = ""
    """The end of a message that says what was probably meant; empty when nothing is near."""
    member: str = ""
    """The field, below the spot that is told."""
    runnable: bool = False
    """A stored object runs all the same, until that place is reached."""
    rollback: bool = False
    """Only the way back needs it."""


@dataclass(slots=True)
class Gaps:
    """Collects gaps while rules walk an object, and tells them at the end."""

    spot: Spot
    """Where gaps are told; their fields are below it."""
    found: dict[str, list[Gap]] = field(default_factory=dict)
    """By parameter; a gap without one stands by its text."""

    def add(self, gap: Gap, below: str) -> None:
        """Take in a gap; its field is below the member `below`."""
        self.found.setdefault(gap.parameter or f" {gap.text}", []).append(gap._replace(member=join(below, gap.member)))
        self.spot.findings.gaps += 1

    def messages(self, ask: str, ask_for_rollback: str = "") -> Iterator[tuple[Gap, str]]:
        """The gaps of each parameter as one, with the message; `ask` says what to do about it.

        `ask_for_rollback` stands where nothing but rollbacks needs the value.
        """
        for gaps in self.found.values():
            first = next((gap for gap in gaps if not gap.rollback), gaps[0])
            hint = next((gap.hint for gap in gaps if gap.hint), "")
            runnable = all(gap.runnable for gap in gaps)
            end = ask_for_rollback if first.rollback else ask
            yield first._replace(runnable=runnable), f"{first.text}; {end}{_others(first, gaps)}{hint}"


def _others(first: Gap, gaps: list[Gap]) -> str:
    """The other places, those of one use of a workflow together."""
    others = list(dict.fromkeys((gap.at, gap.part) for gap in gaps if (gap.at, gap.part) != (first.at, first.part)))
    parts: dict[str, list[str]] = {}
    for at, part in others[:MOST_PLACES]:
        parts.setdefault(at, []).append(part)
    texts = [f"{at} ({', '.join(some)})" if (some := [part for part in of if part]) else at for at, of in parts.items()]
    if len(others) > MOST_PLACES:
        texts.append(f"{len(others) - MOST_PLACES} more places")
    return f"; it is also used in {', '.join(texts)}" if texts else ""


def gaps_of_use(spot: Spot, given: Given, mode: Mode | None) -> Iterator[Gap]:
    """What one use of a workflow needs and no level gives: required parameters, then placeholders.

    `mode` None stands for any mode. `spot` counts the suggestions.
    """
    modes = tuple(Mode) if mode is None else (mode,)
    at = given.use.prefix
    for name, hint in _missing_required(spot, given):
        text = f"{at}: parameter '{short(name)}' of workflow {given.workflow} is required and has no value"
        yield Gap(name, text, at, "", hint)
    for each in given.needs.actions:
        found = [*missing_for_condition(each.action, given.values), *_without_value(each.params, given)]
        if found and any(takes_part(each.action, one, given.values) for one in modes):
            action = f"action '{short(each.action.name)}'"
            start = f"{at}: {action} of workflow {given.workflow} uses "
            for name, text in found:
                yield Gap(name, start + text, at, action, _meant(spot, given, name))


def gaps_in_rollbacks(spot: Spot, given: Given) -> Iterator[Gap]:
    """Placeholders of rollback blocks that no level gives a value. `spot` counts the suggestions."""
    at = given.use.prefix
    for each in given.needs.actions:
        part = f"rollback of action '{short(each.action.name)}'"
        for name, text in _without_value(each.rollback, given):
            sentence = f"{at}: the {part} of workflow {given.workflow} uses {text}"
            yield Gap(name, sentence, at, part, _meant(spot, given, name), rollback=True)


def _without_value(names: Names, given: Given) -> list[tuple[str, str]]:
    """The parameters that have no value, with what to say of their placeholders."""
    return [(name, f"{short(text)}, which has no value") for text, name in names.items() if name not in given.values]


def _missing_required(spot: Spot, given: Given) -> Iterator[tuple[str, str]]:
    """Required parameters without a value; what may be meant for one is a value for a name that is not declared."""
    declared = given.needs.level.names
    for name in dict.fromkeys(name for level in given.levels for name in level.required):
        if name not in given.values:
            stray = spot.near(name, (known for known in given.values if known not in declared))
            yield name, f"; '{stray}' is given and not declared, did you mean '{name}'?" if stray else ""


def _meant(spot: Spot, given: Given, name: str) -> str:
    known = (known for level in given.levels for known in level.names)
    return spot.meant(name, known) if name else ""
