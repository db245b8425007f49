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
