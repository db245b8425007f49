"""Verdicts on readiness, and the members of an object that rules read them from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.models.stored import items, members

Object = Mapping[str, Any]

_GENERATION = re.compile(
    r"(?:[a-z]*observed|(?:last)?(?:reconciled|applied|synced|handled|processed))_?generation", re.IGNORECASE
)
"""How kinds call the generation that their status is of: observedGeneration, schedulerObservedGeneration, ..."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """The verdict on one object."""

    ready: bool
    failed: bool = False
    """True when waiting longer is pointless."""
    reason: str = ""
    """What is missing, or what went wrong; empty when ready."""


READY = Readiness(ready=True)


def waiting(reason: str) -> Readiness:
    """Return the verdict of an object that may become ready."""
    return Readiness(ready=False, reason=reason)


def failed(reason: str) -> Readiness:
    """Return the verdict of an object that will never be ready as it is."""
    return Readiness(ready=False, failed=True, reason=reason)


def enough(found: int, wanted: int, what: str) -> Readiness:
    """Return the verdict of a counted object."""
    return READY if found >= wanted else waiting(f"{found} of {wanted} {what}")


def spec_of(obj: Object) -> dict[str, Any]:
    """Return the spec; empty when there is none."""
    return members(obj.get("spec"))


def status_of(obj: Object) -> dict[str, Any]:
    """Return the status; empty when there is none."""
    return members(obj.get("status"))


def number(parent: Mapping[str, Any], key: str, default: int = 0) -> int:
    """Return a member that should be a whole number."""
    value = parent.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def generation_of(value: object) -> int | None:
    """Return a generation; some controllers write theirs as text (Argo Rollouts)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) else None


def observed_generation(obj: Object) -> int | None:
    """Return the generation that the status is of, if it says so."""
    return generation_of(status_of(obj).get("observedGeneration"))


def stale(obj: Object, holder: Mapping[str, Any], what: str = "the status") -> str:
    """Say that `holder` (the status, or one condition of it) is of an older generation; empty when it is not."""
    told_of = [generation_of(value) for name, value in holder.items() if _GENERATION.fullmatch(name)]
    observed = min((each for each in told_of if each is not None), default=None)
    generation = number(members(obj.get("metadata")), "generation")
    if observed is None or observed >= generation:
        return ""
    suspended = " (it is suspended)" if spec_of(obj).get("suspend") is True else ""
    return f"generation {generation} is not observed yet, {what} is of generation {observed}{suspended}"


def find_condition(conditions: object, name: str) -> Mapping[str, Any]:
    """Return the condition called `name` of a list of conditions; empty when there is none."""
    for condition in items(conditions):
        if isinstance(condition, dict) and condition.get("type") == name:
            return condition
    return {}


def condition_of(obj: Object, name: str) -> Mapping[str, Any]:
    """Return the condition called `name` of an object's status; empty when there is none."""
    return find_condition(status_of(obj).get("conditions"), name)


def condition_text(condition: Mapping[str, Any]) -> str:
    """Return a condition's own reason and message."""
    return ": ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key))


def condition_is(obj: Object, condition: Mapping[str, Any], name: str, wanted: str = "True") -> Readiness:
    """Return the verdict of one condition, which has to be of the present generation."""
    if problem := stale(obj, condition, f"condition {name}"):
        return waiting(problem)
    if condition.get("status") == wanted:
        return READY
    detail = condition_text(condition)
    state = f"condition {name} is {condition['status']}" if condition.get("status") else f"no condition {name} yet"
    return waiting(f"{state} ({detail})" if detail else state)


def condition_true(obj: Object, name: str) -> Readiness:
    """Return the verdict of the condition called `name` of an object's status."""
    return condition_is(obj, condition_of(obj, name), name)


def over(obj: Object, name: str) -> str:
    """Return what the condition called `name` tells when it is True of the present generation; else empty text."""
    condition = condition_of(obj, name)
    if condition.get("status") != "True" or stale(obj, condition):
        return ""
    return condition_text(condition) or "no reason given"


def first_not_ready(*verdicts: Readiness) -> Readiness:
    """Return what keeps an object from being ready that has to be so in several respects."""
    return next((verdict for verdict in verdicts if verdict.failed), None) or next(
        (verdict for verdict in verdicts if not verdict.ready), READY
    )
