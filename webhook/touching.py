"""May a user delete and change certain objects, which nothing but a status names? Asked of the API server."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.unrecorded import NamedObject
from app.kube.access import Right
from app.kube.resources import Resource
from webhook.lookups import Lookups
from webhook.review import UserInfo

MOST_SINGLE = 200
"""Objects that are asked for one by one; for those beyond, the user needs the right for all of kind and namespace."""

Refusals = list[tuple[NamedObject, str]]
"""Objects that a user may not touch, each with the reason."""


async def may_not_touch(
    user: UserInfo, objects: Sequence[NamedObject], lookups: Lookups, own_namespace: str
) -> Refusals:
    """Return which of `objects` a user may not delete and change; of the controller's namespace nobody may any.

    Raises LookupFailedError.
    """
    kinds = await lookups.resources([(each.api_version, each.kind) for each in objects])
    refused: Refusals = []
    wanted: list[tuple[NamedObject, Right]] = []
    for number, each in enumerate(objects):
        resource = kinds[each.api_version, each.kind]
        if isinstance(resource, str):
            refused.append((each, resource))
        elif problem := _problem(each, resource, own_namespace):
            refused.append((each, problem))
        else:
            wanted += [(each, right) for right in _rights(each, resource, single=number < MOST_SINGLE)]
    answers = await lookups.may(user, [right for _, right in wanted])
    lacking: dict[NamedObject, list[str]] = {}
    for each, right in wanted:
        if not answers[right].allowed:
            lacking.setdefault(each, []).append(right.verb if right.name else f"{right.verb} all of its kind")
    return refused + [(each, f"may not {' or '.join(verbs)} it") for each, verbs in lacking.items()]


def _problem(named: NamedObject, resource: Resource, own_namespace: str) -> str:
    if named.is_within(own_namespace):
        return "it is of the controller's own namespace"
    if not named.name:
        return "it has no name"
    return "it has no namespace" if resource.namespaced and not named.namespace else ""


def _rights(named: NamedObject, resource: Resource, *, single: bool) -> list[Right]:
    namespace = named.namespace if resource.namespaced else ""
    verbs = ("delete", "patch") if named.changed else ("delete",)
    return [Right(verb, resource, namespace, named.name if single else "") for verb in verbs]
