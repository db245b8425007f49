"""Actions that were looked at before and found good.

Tools that keep a cluster as a repository says send the same workflows again every few minutes, and an update leaves
most actions as they are. So an action without errors is remembered by its JSON text, decoded, with its warnings: as
long as these are about the action alone, they hold in any workflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from pydantic import ValidationError

from app.engine.when import names_modes_only
from app.models.actions import Action
from app.models.workflow import DRWorkflow
from app.rules.decode import decode
from app.rules.findings import LONGEST_TOLD, MOST_FINDINGS, Finding, Report, Spot
from app.rules.manifest_rule import MOST_VALUES

ENTRIES = 1024
"""Actions that are remembered."""
LONGEST = 4096
"""Bytes of JSON that a remembered action has at most."""
MOST_MEMBERS = 256
"""Members of objects and lists that a remembered action has at most: a decoded value takes more room than its text."""


@dataclass(slots=True)
class Known:
    """What is known of an action; nothing until it was found good."""

    action: Action | None = None
    notices: tuple[Finding, ...] = ()
    """Its warnings, with paths and messages as they are below the action."""
    manifest_values: int = 0
    """Values in its manifests."""


Place = Known | None
"""Where an action can be remembered; None when it is not going to be."""


def known_actions(data: Mapping[str, Any]) -> list[Place]:
    """The places of a workflow's actions, by position. `data` is the workflow as decoded JSON."""
    spec = data.get("spec")
    actions = spec.get("actions") if isinstance(spec, dict) else None
    return [_place_of(action) for action in actions] if isinstance(actions, list) else []


def decode_workflow(data: Mapping[str, Any], known: Sequence[Place]) -> DRWorkflow | Report:
    """What `decode` makes of a workflow; its known actions are not decoded again. Raises UndecodableError."""
    if any(place and place.action for place in known):
        spec = data["spec"]
        actions = [
            place.action if place and place.action else raw for place, raw in zip(known, spec["actions"], strict=True)
        ]
        try:
            return DRWorkflow.from_wire({**data, "spec": {**spec, "actions": actions}})
        except ValidationError:
            pass  # told below, about what was sent
    return decode(DRWorkflow, data)


def repeat(spot: Spot, place: Place) -> bool:
    """Repeat the warnings of a known action; false when the action has to be looked at. `spot` is the action."""
    if place is None or place.action is None:
        return False
    if spot.findings.manifest_values + place.manifest_values > MOST_VALUES:
        return False
    spot.findings.manifest_values += place.manifest_values
    for notice in place.notices:
        spot.warn(notice.rule, notice.message, notice.path, runnable=notice.runnable)
    return True


@dataclass(frozen=True, slots=True)
class Before:
    """How much there was before an action was looked at."""

    notices: int
    counted: tuple[int, int, int]
    manifest_values: int

    @classmethod
    def of(cls, spot: Spot) -> Before:
        """What there is now."""
        found = spot.findings
        counted = (found.suggestions, found.effort, found.certificates)
        return cls(len(found.notices), counted, found.manifest_values)


def remember(place: Place, action: Action, spot: Spot, before: Before) -> None:
    """Remember an action that was just looked at, if it is good and what was found is about it alone."""
    if place is None or spot.findings.errors or (action.when and not names_modes_only(action.when)):
        return
    after = Before.of(spot)
    found = spot.findings.notices[before.notices :]
    whole = after.notices < MOST_FINDINGS and all(len(each.message) < LONGEST_TOLD > len(each.path) for each in found)
    if whole and after.counted == before.counted:
        place.notices = tuple(_below(spot, each) for each in found)
        place.manifest_values = after.manifest_values - before.manifest_values
        place.action = action


def _below(spot: Spot, found: Finding) -> Finding:
    path = found.path.removeprefix(spot.path).removeprefix(".")
    return Finding(found.rule, path, found.message.removeprefix(spot.prefix), runnable=found.runnable)


def _place_of(raw: object) -> Place:
    if not isinstance(raw, dict):
        return None
    try:
        key = orjson.dumps(raw)
    except orjson.JSONEncodeError:
        return None
    return _place(key) if len(key) <= LONGEST else None


@lru_cache(maxsize=ENTRIES)
def _place(key: bytes) -> Place:
    members = sum(key.count(sign) for sign in b",[{")
    # the actions around it decide what an action may use of their outputs
    return Known() if members <= MOST_MEMBERS and b"outputs" not in key else None
