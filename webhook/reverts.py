"""Reverts at admission: what they take back is judged by its outcome record, not by its status (decision D11).

A run without record may be taken back as far as the Revert's creator may delete and change the objects that the status
of that run names. The mutating webhook stamps the Revert with what it saw, over whatever the user wrote there. The
validating one refuses a stamp that does not fit, or rights that are lacking. So a stored Revert with a stamp was
checked, and the controller acts only while the status is still the one that was.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from app.engine.record import as_recorded, claims_digest
from app.engine.unrecorded import RECORDED, named_objects, stamp_of
from app.kube.kept import Records
from app.models.dumping import dumped
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.names import UNRECORDED_ANNOTATION
from app.models.phases import Operation
from app.models.stored import members
from app.rules.findings import Finding
from webhook.defaults import Patch
from webhook.lookups import Lookups
from webhook.review import JsonObject, Request
from webhook.touching import may_not_touch

RULE = "R2"
MOST_TOLD = 20
"""Objects that a refusal lists."""
_POINTER = f"/metadata/annotations/{UNRECORDED_ANNOTATION.replace('~', '~0').replace('/', '~1')}"


async def stamp_patch(request: Request, lookups: Lookups) -> Patch:
    """Return the patch that gives a Revert its stamp: at its creation by what is seen, later the one it has."""
    if request.operation == "UPDATE":
        wanted = _annotations(request.old).get(UNRECORDED_ANNOTATION)
    else:
        wanted = await _stamp(request, lookups)
    annotations = members(request.new.get("metadata")).get("annotations")
    found = _annotations(request.new).get(UNRECORDED_ANNOTATION)
    if found == wanted:
        return []
    if wanted is None:
        return [{"op": "remove", "path": _POINTER}]
    if not isinstance(annotations, dict):
        return [{"op": "add", "path": "/metadata/annotations", "value": {UNRECORDED_ANNOTATION: wanted}}]
    return [{"op": "add", "path": _POINTER, "value": wanted}]


def _annotations(obj: JsonObject) -> Mapping[str, object]:
    return members(members(obj.get("metadata")).get("annotations"))


async def _stamp(request: Request, lookups: Lookups) -> str | None:
    spec = members(request.new.get("spec"))
    name = spec.get("revertExecutionRef")
    if spec.get("operationType") != Operation.REVERT or not isinstance(name, str) or not name:
        return None
    stored = await lookups.execution(request.namespace, name)
    uid = members((stored or {}).get("metadata")).get("uid")
    if stored is None or not isinstance(uid, str):
        return None
    if (await lookups.records(uid)).outcome is not None:
        return RECORDED
    try:
        status = DRPlanExecutionStatus.from_wire(members(stored.get("status")))
    except ValidationError:
        return None
    return stamp_of(claims_digest(uid, dumped(status)))


def judged_by_record(target: JsonObject, records: Records) -> JsonObject:
    """Return the target of a Revert as its record has it, where there is one.

    While a Revert is being completed, the record already says so, and the status not yet; the controller settles that.
    """
    if records.outcome is None:
        return target
    status = as_recorded(records.outcome.status, records.taken_back).to_wire()
    if not members(target.get("status")).get("revertedBy"):
        status.pop("revertedBy", None)
    return {**target, "status": status}


async def lacking_rights(
    request: Request, revert: DRPlanExecution, target: DRPlanExecution, lookups: Lookups, own_namespace: str
) -> list[Finding]:
    """What speaks against taking back a run that nothing but its status tells of (rule R2)."""
    name = revert.spec.revert_execution_ref
    start = f"execution {target.metadata.key} has no outcome record, and "
    digest = stamp_of(claims_digest(target.metadata.uid, dumped(target.status)))
    if revert.metadata.annotations.get(UNRECORDED_ANNOTATION) != digest:
        text = (
            f"{start}its status changed while this Revert was being admitted, or the webhook mdrplanexecution.kb.io is "
            "not registered; try again, else apply the registrations of this release"
        )
        return [Finding(RULE, "spec.revertExecutionRef", text, name)]
    forbidden = await may_not_touch(request.user_info, named_objects(target.status), lookups, own_namespace)
    if not forbidden:
        return []
    listed = [f"{named} ({why})" for named, why in forbidden[:MOST_TOLD]]
    more = f", and {len(forbidden) - MOST_TOLD} more" if len(forbidden) > MOST_TOLD else ""
    text = (
        f'{start}user "{request.user_info.username}" may not delete and change all that its status names: '
        f"{', '.join(listed)}{more}; let somebody revert it who may, or undo it by hand"
    )
    return [Finding(RULE, "spec.revertExecutionRef", text, name)]
