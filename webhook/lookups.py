"""What the rules need to know of the cluster: a protocol, and its answer by fresh reads (decision W3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from app.kube.access import Access, Right, User, ask_access
from app.kube.client import KubeClient
from app.kube.errors import BadRequest, NotFound
from app.kube.resources import EXECUTIONS, NAMESPACES, PLANS, WORKFLOWS, Resource
from app.kube.tables import table_rows
from app.rules.unfinished import ENDED
from webhook.failures import READ_SECONDS, told
from webhook.review import JsonObject, UserInfo
from webhook.stored_workflows import Key, StoredWorkflows, together

MOST_NAMES = 200
"""Names that are looked at to suggest one."""


class Lookups(Protocol):
    """Reads of the cluster. Objects that do not exist are None; every other failure is LookupFailedError."""

    async def plan(self, namespace: str, name: str) -> JsonObject | None:
        """Read a plan."""

    async def execution(self, namespace: str, name: str) -> JsonObject | None:
        """Read an execution."""

    async def workflows(self, keys: Iterable[Key]) -> Mapping[Key, JsonObject | None]:
        """Read workflows by namespace and name."""

    async def plans(self) -> list[JsonObject]:
        """List the plans of all namespaces."""

    async def executions_of(self, namespace: str, plan: str) -> list[JsonObject]:
        """List the executions of a plan that have not ended; finished ones may be among them."""

    async def names(self, resource: Resource, namespace: str) -> list[str]:
        """Some names of the objects of a kind in a namespace, to suggest one of them."""

    async def terminating(self, namespace: str) -> bool:
        """Tell whether a namespace is being deleted, or is gone."""

    async def may_read_workflows(self, user: UserInfo, keys: Iterable[Key]) -> Mapping[Key, Access]:
        """Ask whether a user may get workflows, by namespace and name."""


class KubeLookups:
    """Look-ups by quorum reads of the API server."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._workflows = StoredWorkflows(kube)

    async def plan(self, namespace: str, name: str) -> JsonObject | None:
        """Read a plan."""
        return await self._get(PLANS, namespace, name)

    async def execution(self, namespace: str, name: str) -> JsonObject | None:
        """Read an execution."""
        return await self._get(EXECUTIONS, namespace, name)

    async def workflows(self, keys: Iterable[Key]) -> Mapping[Key, JsonObject | None]:
        """Read workflows by namespace and name, several of one namespace with one request."""
        return await self._workflows.read(keys)

    async def plans(self) -> list[JsonObject]:
        """List the plans of all namespaces."""
        async with told("failed to check references: failed to list DRPlans"):
            return await self._kube.list_all(PLANS, timeout=READ_SECONDS)

    async def executions_of(self, namespace: str, plan: str) -> list[JsonObject]:
        """List the executions of a plan that have not ended.

        By selectable fields, so that finished ones with their large statuses stay where they are; an API server that
        does not know these fields is asked for all.
        """
        selector = ",".join([f"spec.planRef={plan}", *(f"status.phase!={phase}" for phase in sorted(ENDED))])
        async with told("failed to check running executions: failed to list DRPlanExecutions"):
            try:
                return await self._kube.list_all(
                    EXECUTIONS, namespace=namespace, field_selector=selector, timeout=READ_SECONDS
                )
            except BadRequest:
                return await self._kube.list_all(EXECUTIONS, namespace=namespace, timeout=READ_SECONDS)

    async def names(self, resource: Resource, namespace: str) -> list[str]:
        """At most MOST_NAMES names, without specs and statuses."""
        async with told(f"failed to list {resource.plural}"):
            table = await self._kube.table(resource, namespace=namespace, limit=MOST_NAMES, timeout=READ_SECONDS)
        return [row.metadata["name"] for row in table_rows(table, ())]

    async def terminating(self, namespace: str) -> bool:
        """Tell whether a namespace is being deleted, or is gone."""
        async with told(f"failed to get Namespace {namespace}"):
            try:
                found = await self._kube.get(NAMESPACES, namespace, timeout=READ_SECONDS)
            except NotFound:
                return True
        status = found.get("status") or {}
        return bool(found["metadata"].get("deletionTimestamp")) or status.get("phase") == "Terminating"

    async def may_read_workflows(self, user: UserInfo, keys: Iterable[Key]) -> Mapping[Key, Access]:
        """Ask the API server by SubjectAccessReviews.

        For several workflows of one namespace, first whether the user may get any of it, which a review without name
        asks and most may who may get one; only then for each.
        """
        wanted = list(dict.fromkeys(keys))
        several = [name for name, count in Counter(namespace for namespace, _ in wanted).items() if count > 1]
        whole = await together(lambda namespace: self._may_get(user, (namespace, "")), several)
        known = {key: whole[key[0]] for key in wanted if key[0] in whole and whole[key[0]].allowed}
        rest = await together(lambda key: self._may_get(user, key), [key for key in wanted if key not in known])
        return {**known, **rest}

    async def _may_get(self, user: UserInfo, key: Key) -> Access:
        """Whether a user may get a workflow; without name, every one of the namespace."""
        namespace, name = key
        asking = User(user.username, user.uid, user.groups, tuple(user.extra.items()))
        what = f"workflow {namespace}/{name}" if name else f"the workflows of namespace {namespace}"
        async with told(f"failed to check access to {what}"):
            return await ask_access(self._kube, asking, Right("get", WORKFLOWS, namespace, name), timeout=READ_SECONDS)

    async def _get(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        async with told(f"failed to get {resource.kind} {namespace}/{name}"):
            try:
                return await self._kube.get(resource, name, namespace=namespace, timeout=READ_SECONDS)
            except NotFound:
                return None
