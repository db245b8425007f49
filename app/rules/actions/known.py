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
from app.models.stored import items, members
from app.models.workflow import DRWorkflow
from app.rules.actions.manifest_reading import MOST_VALUES
from app.rules.decode import decode
from app.rules.findings import LONGEST_TOLD, MOST_FINDINGS, Finding, Report, Spot

ENTRIES = 1024
"""Places for actions, those included whose action turned out not to be good."""
LONGEST = 4096
"""Bytes of JSON that a remembered action has at most, and characters of all its warnings."""
MOST_MEMBERS = 128
"""Commas and opening brackets of a remembered action at most: a decoded value takes more room than its text."""
MOST_NOTICES = 8
"""Warnings of a remembered action at most."""


@dataclass(slots=True)
class Place:
    """Where an action can be remembered by its text; empty until it was found good."""

    action: Action | None = None
    """Shared by all workflows that have it: nobody may change what is in it."""
    notices: tuple[Finding, ...] = ()
    """Its warnings, with paths and messages as they are below the action."""
    manifest_values: int = 0
    """Values in its manifests."""


Places = Sequence[Place | None]
"""The places of a workflow's actions, by position; None for an action that is not going to be remembered."""


def places_of(data: Mapping[str, Any], own_namespace: str = "") -> Places:
    """The places of a workflow's actions; none when it has more actions than could be remembered.

    `data` is the workflow as `orjson.loads` gives it: values that JSON cannot tell apart must not be in it.
    `own_namespace` is the controller's, by which actions are judged.
    """
    actions = items(members(data.get("spec")).get("actions"))
    return [_place_of(action, own_namespace) for action in actions] if len(actions) <= ENTRIES else ()


def decode_workflow(data: Mapping[str, Any], places: Places) -> DRWorkflow | Report:
    """What `decode` makes of a workflow; its remembered actions are not decoded again. Raises UndecodableError."""
    if any(place and place.action for place in places):
        spec = data["spec"]
        actions = [
            place.action if place and place.action else raw for place, raw in zip(places, spec["actions"], strict=True)
        ]
        try:
            return DRWorkflow.from_wire({**data, "spec": {**spec, "actions": actions}})
        except ValidationError:
            pass  # told below, about what was sent
    return decode(DRWorkflow, data)


def repeat(spot: Spot, place: Place | None) -> bool:
    """Repeat the warnings of a remembered action; false when it has to be looked at. `spot` is the action."""
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
    shared: tuple[int, ...]
    manifest_values: int

    @classmethod
    def of(cls, spot: Spot) -> Before:
        """What there is now."""
        found = spot.findings
        return cls(len(found.notices), found.shared_counts, found.manifest_values)


def remember(place: Place | None, action: Action, spot: Spot, before: Before) -> None:
    """Remember an action that was just looked at, if it is good and nothing found of it depends on other actions."""
    after, found = Before.of(spot), spot.findings.notices[before.notices :]
    if (
        place is not None
        and not spot.findings.errors
        and (not action.when or names_modes_only(action.when))
        and after.shared == before.shared
        and after.notices < MOST_FINDINGS
        and _is_small(found)
    ):
        place.notices = tuple(_below(spot, each) for each in found)
        place.manifest_values = after.manifest_values - before.manifest_values
        place.action = action


def _is_small(found: Sequence[Finding]) -> bool:
    """Whether warnings may be remembered: few, short, and nothing of them was cut off."""
    if not found:
        return True
    lengths = [len(text) for each in found for text in (each.path, each.message)]
    return len(found) <= MOST_NOTICES and max(lengths) < LONGEST_TOLD and sum(lengths) <= LONGEST


def _below(spot: Spot, found: Finding) -> Finding:
    path = found.path.removeprefix(spot.path).removeprefix(".")
    return Finding(found.rule, path, found.message.removeprefix(spot.prefix), runnable=found.runnable)


def _place_of(raw: object, own_namespace: str) -> Place | None:
    if not isinstance(raw, dict):
        return None
    try:
        key = orjson.dumps(raw)
    except orjson.JSONEncodeError:
        return None
    # orjson's own bytes keep a block of 4 kB, however short they are
    return _place(bytes(memoryview(key)), own_namespace) if len(key) <= LONGEST else None


@lru_cache(maxsize=ENTRIES)
def _place(key: bytes, _: str) -> Place | None:
    members = key.count(b",") + key.count(b"[") + key.count(b"{")
    # the actions around it decide what an action may use of their outputs
    return Place() if members <= MOST_MEMBERS and b"outputs" not in key else None
