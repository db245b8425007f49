"""What an outcome record says against a status, and what a status without record claims (decision D11)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.engine.definition import Address
from app.engine.shrink import minimal
from app.engine.text import cut
from app.engine.tree import map_actions
from app.models.dumping import dumped
from app.models.execution import ActionStatus, DRPlanExecutionStatus
from app.models.record import TakenBack

STATUS_DIFFERS = "StatusDiffers"
"""Condition and Event: the status of an execution is not what was recorded at its end."""
MOST_TOLD = 5
"""Differences that a message names."""
_VALUE_BYTES = 80


def with_marks(
    target: DRPlanExecutionStatus, taken_back: Iterable[Address], revert_name: str, *, whole: bool
) -> DRPlanExecutionStatus:
    """Return the status of a run with what a Revert took back marked (decision R2a); earlier marks stay.

    `rolledBackBy` goes to every action in `taken_back`, `revertedBy` to the run when it is taken back as a `whole`.
    """
    done = set(taken_back)

    def marked(address: Address, action: ActionStatus) -> ActionStatus:
        if address not in done or action.rolled_back_by:
            return action
        return action.model_copy(update={"rolled_back_by": revert_name})

    status = map_actions(target, marked)
    return status.model_copy(update={"reverted_by": revert_name}) if whole else status


def as_recorded(status: DRPlanExecutionStatus, taken_back: Iterable[TakenBack]) -> DRPlanExecutionStatus:
    """Return the recorded status of a run with the marks of every Revert that took some of it back."""
    for marks in sorted(taken_back, key=lambda marks: (marks.whole, marks.revert_name)):
        addresses = [Address(*address) for address in marks.actions]
        status = with_marks(status, addresses, marks.revert_name, whole=marks.whole)
    return status


def with_notes_of(recorded: DRPlanExecutionStatus, live: DRPlanExecutionStatus) -> DRPlanExecutionStatus:
    """Return the recorded status with what was noted on the stored one since: that it had been changed."""
    notes = tuple(condition for condition in live.conditions if condition.type == STATUS_DIFFERS)
    kept = tuple(condition for condition in recorded.conditions if condition.type != STATUS_DIFFERS)
    return recorded.model_copy(update={"conditions": (*kept, *notes)})


def differences(found: DRPlanExecutionStatus, recorded: DRPlanExecutionStatus) -> list[str]:
    """Return where the status of an execution is not as recorded: at most `MOST_TOLD` texts with field paths.

    A status that was stored in its minimal form, because the API server refused the whole, is no difference.
    """
    live = _comparable(found)
    texts = _first(_walk("status", live, _comparable(recorded)))
    return [] if not texts or live == _comparable(minimal(recorded)) else texts


def _first(texts: Iterator[str]) -> list[str]:
    found: list[str] = []
    for text in texts:
        if len(found) == MOST_TOLD:
            return [*found, "and more"]
        found.append(text)
    return found


def _comparable(status: DRPlanExecutionStatus) -> dict[str, Any]:
    wire = dumped(status)
    wire.pop("seal", None)
    kept = [condition for condition in wire.pop("conditions", ()) if condition.get("type") != STATUS_DIFFERS]
    return {**wire, **({"conditions": kept} if kept else {})}


def _walk(path: str, found: object, recorded: object) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(recorded, dict):
        for name in dict.fromkeys((*recorded, *found)):
            yield from _walk(f"{path}.{name}", found.get(name), recorded.get(name))
    elif isinstance(found, list) and isinstance(recorded, list):
        if len(found) != len(recorded):
            yield f"{path} has {len(found)} items, recorded {len(recorded)}"
            return
        for index, (one, other) in enumerate(zip(found, recorded, strict=True)):
            yield from _walk(f"{path}[{index}]", one, other)
    elif found != recorded:
        yield f"{path} is {_shown(found)}, recorded {_shown(recorded)}"


def _shown(value: object) -> str:
    return "absent" if value is None else cut(json.dumps(value, ensure_ascii=False, sort_keys=True), _VALUE_BYTES)


def claims_digest(uid: str, status: Mapping[str, Any]) -> str:
    """Return a checksum of what an unrecorded status claims about the run `uid`: phase, lists, what was made.

    `status` is in wire form, as `DRPlanExecutionStatus.to_wire` gives it. Admission notes the checksum on a Revert
    whose creator has the rights that these claims ask for; the controller acts only while it still fits. Reasons are
    left out: of earlier statuses they are worked out when these are read, which not every release did.
    """
    claims = {"uid": uid, "phase": status.get("phase"), "stages": _without_reasons(status.get("stageStatuses"))}
    digest = hashlib.sha256()
    for text in _canonical(claims, _LEVELS):
        digest.update(text.encode())
    return digest.hexdigest()


def _without_reasons(node: object) -> object:
    if isinstance(node, Mapping):
        return {name: _without_reasons(value) for name, value in node.items() if name != "reason"}
    return [_without_reasons(value) for value in node] if isinstance(node, list | tuple) else node


_LEVELS = 6
"""From the claims down to single actions, each of which is written in one go."""


def _canonical(value: object, levels: int) -> Iterator[str]:
    """Yield the JSON text of a value in pieces, members in the order of their names: one call would last too long."""
    if levels and isinstance(value, dict):
        yield "{"
        for number, name in enumerate(sorted(value)):
            yield f"{',' if number else ''}{json.dumps(name)}:"
            yield from _canonical(value[name], levels - 1)
        yield "}"
    elif levels and isinstance(value, list):
        yield "["
        for number, each in enumerate(value):
            yield "," if number else ""
            yield from _canonical(each, levels - 1)
        yield "]"
    else:
        yield json.dumps(value, sort_keys=True, separators=(",", ":"))
