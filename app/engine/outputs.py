"""Fields of outputs that `$(outputs.<action>.<field>)` can name (decision P8).

| action type | fields |
|---|---|
| HTTP | `statusCode`, `body` (its first 1000 bytes) |
| any other | `apiVersion`, `kind`, `namespace`, `name`, `uid` of the (first) object |
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from app.engine.definition import WorkflowDefinition, references
from app.models.actions import ActionType
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, ActionStatus
from app.models.phases import Phase

HTTP_FIELDS = ("statusCode", "body")
OBJECT_FIELDS = ("apiVersion", "kind", "namespace", "name", "uid")


def fields_of(type_: ActionType) -> tuple[str, ...]:
    """Return the fields that an action of a type has once it succeeded."""
    return HTTP_FIELDS if type_ is ActionType.HTTP else OBJECT_FIELDS


def output_fields(outputs: ActionOutputs | None) -> dict[str, str]:
    """Return the fields that templates can name, as text."""
    if outputs is None:
        return {}
    if outputs.http_response is not None:
        response = outputs.http_response
        return dict(zip(HTTP_FIELDS, (str(response.status_code), response.body), strict=True))
    for ref in references(outputs):
        values = (ref.api_version, ref.kind, ref.namespace, ref.name, ref.uid)
        return dict(zip(OBJECT_FIELDS, values, strict=True))
    return {}


def outputs_of_predecessors(
    definition: WorkflowDefinition,
    actions: Sequence[ActionStatus],
    index: int,
    wanted: Collection[str] | None = None,
) -> dict[str, dict[str, str]]:
    """Return the outputs of the actions that surely ended before the one at `index`, by action name.

    With `wanted`, only of those with these names.
    """
    before = definition.before[index]
    known = definition.positions
    looked_at = range(len(actions)) if wanted is None else sorted(known[name] for name in wanted if name in known)
    return {
        actions[earlier].name: output_fields(actions[earlier].outputs)
        for earlier in looked_at
        if before >> earlier & 1 and actions[earlier].phase is Phase.SUCCEEDED
    }


def merged(earlier: ActionOutputs | None, later: ActionOutputs | None) -> ActionOutputs | None:
    """Return what several attempts of an action came to together: no object that one of them recorded is lost.

    Of one object the later record counts, unless only the earlier one has the UID. An answer counts until there is a
    later one.
    """
    if earlier is None or later is None:
        return later or earlier
    update: dict[str, object] = {
        name: value
        for name in ActionOutputs.model_fields
        if (value := getattr(earlier, name)) and not getattr(later, name)
    }
    for name in _SINGLE:
        before, now = getattr(earlier, name), getattr(later, name)
        if before is not None and now is not None and not now.uid and _identity(before) == _identity(now):
            update[name] = before
    update |= _merged_resources(earlier, later)
    refs = united(earlier.subscription_refs, later.subscription_refs)
    expiring = tuple(dict.fromkeys((*earlier.expiring, *later.expiring)))
    return later.model_copy(update={**update, "subscription_refs": refs, "expiring": expiring})


_SINGLE = ("job_ref", "localization_ref", "globalization_ref", "helm_chart_ref", "subscription_ref")


def _merged_resources(earlier: ActionOutputs, later: ActionOutputs) -> dict[str, object]:
    refs = united(_resources(earlier), _resources(later))
    if not refs:
        return {}
    return {"resource_ref": refs[0], "resource_refs": refs if len(refs) > 1 or later.resource_refs else ()}


def _resources(outputs: ActionOutputs) -> tuple[CoreReference, ...]:
    return outputs.resource_refs or ((outputs.resource_ref,) if outputs.resource_ref else ())


def united(earlier: tuple[CoreReference, ...], later: tuple[CoreReference, ...]) -> tuple[CoreReference, ...]:
    """Return the references of both, each object once, in the order in which they were first made."""
    found = {_identity(ref): ref for ref in earlier}
    for ref in later:
        before = found.get(_identity(ref))
        found[_identity(ref)] = ref if before is None or ref.uid else before
    return tuple(found.values())


def _identity(ref: CoreReference) -> tuple[str, str, str, str]:
    return ref.api_version.rpartition("/")[0], ref.kind, ref.namespace, ref.name
