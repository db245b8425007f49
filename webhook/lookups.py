"""What the rules need to know of the cluster: a protocol, and its answer by fresh reads (decision W3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Protocol

from cachetools import TTLCache

from app.kube.access import Access, Right, User, ask_access
from app.kube.client import KubeClient
from app.kube.errors import ABSENT, BadRequest, IllegalName, NotFound, UnknownKind
from app.kube.kept import DamagedError, Records, read_records, records_selector
from app.kube.resources import CONFIG_MAPS, EXECUTIONS, NAMESPACES, PLANS, Resource
from app.kube.tables import table_rows
from app.models.phases import STORED_ENDS
from app.rules.deletion import references_only
from webhook.failures import READ_SECONDS, LookupFailedError, as_lookup_failure
from webhook.review import JsonObject, UserInfo
from webhook.stored_workflows import Key, StoredWorkflows, together

Kind = tuple[str, str]
"""apiVersion and kind."""

WITHOUT_ANSWER = (
    "without an answer nothing is admitted: try again, or have it not asked at all by webhook.checkReferences=false"
)

DEFAULT_OWN = "drplan-system"
"""Where the controller keeps its records, unless the settings say otherwise."""
MOST_NAMES = 200
"""Names that are looked at to suggest one."""


REMEMBERED_SECONDS = 10.0
"""How long it is believed that a user may, or may not, list a kind: that decides about hints only."""
MOST_REMEMBERED = 1024


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

    async def may(self, user: UserInfo, rights: Iterable[Right]) -> Mapping[Right, Access]:
        """Ask whether a user has rights."""

    async def resources(self, kinds: Iterable[Kind]) -> Mapping[Kind, Resource | str]:
        """The resource types that serve kinds, by apiVersion and kind; of one that is not served, why."""

    async def listable(self, user: UserInfo, resource: Resource, namespaces: Iterable[str]) -> frozenset[str]:
        """Of these namespaces, those in which a user may list a kind; what was answered just now may count."""

    async def records(self, uid: str) -> Records:
        """Read how a run ended and what was taken back of it, as the controller recorded that."""


class KubeLookups:
    """Look-ups by quorum reads of the API server."""

    def __init__(self, kube: KubeClient, own_namespace: str = DEFAULT_OWN) -> None:
        self._kube = kube
        self._own = own_namespace
        self._workflows = StoredWorkflows(kube)
        self._listable: TTLCache[tuple[User, Right], bool] = TTLCache(MOST_REMEMBERED, REMEMBERED_SECONDS)

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
        """List the plans of all namespaces, with no more than what they refer to."""
        found: list[JsonObject] = []
        async with as_lookup_failure("failed to check references: failed to list DRPlans"):
            pages = self._kube.pages(PLANS, timeout=READ_SECONDS)
            async with aclosing(pages):
                async for page in pages:
                    found += map(references_only, page)
        return found

    async def executions_of(self, namespace: str, plan: str) -> list[JsonObject]:
        """List the executions of a plan that have not ended.

        By selectable fields, so that finished ones with their large statuses stay where they are; an API server that
        does not know these fields is asked for all.
        """
        selector = ",".join([f"spec.planRef={plan}", *(f"status.phase!={phase}" for phase in sorted(STORED_ENDS))])
        async with as_lookup_failure("failed to check running executions: failed to list DRPlanExecutions"):
            try:
                return await self._kube.list_all(
                    EXECUTIONS, namespace=namespace, field_selector=selector, timeout=READ_SECONDS
                )
            except BadRequest:
                return await self._kube.list_all(EXECUTIONS, namespace=namespace, timeout=READ_SECONDS)

    async def names(self, resource: Resource, namespace: str) -> list[str]:
        """At most MOST_NAMES names, without specs and statuses."""
        async with as_lookup_failure(f"failed to list {resource.plural}"):
            table = await self._kube.table(resource, namespace=namespace, limit=MOST_NAMES, timeout=READ_SECONDS)
        return [row.metadata["name"] for row in table_rows(table, ())]

    async def terminating(self, namespace: str) -> bool:
        """Tell whether a namespace is being deleted, or is gone."""
        async with as_lookup_failure(f"failed to get Namespace {namespace}"):
            try:
                found = await self._kube.get(NAMESPACES, namespace, timeout=READ_SECONDS)
            except NotFound:
                return True
        status = found.get("status") or {}
        return bool(found["metadata"].get("deletionTimestamp")) or status.get("phase") == "Terminating"

    async def may(self, user: UserInfo, rights: Iterable[Right]) -> Mapping[Right, Access]:
        """Ask the API server by SubjectAccessReviews.

        For several objects of one collection, first whether the user may do it with any of it, which a review without
        name asks and most may who may do it with one; only then for each.
        """
        wanted = list(dict.fromkeys(rights))
        collections = Counter(right.of_all for right in wanted if right.name)
        several = [right for right, count in collections.items() if count > 1]
        whole = await together(lambda right: self._may(user, right), several)
        granted = {right: access for right, access in whole.items() if access.allowed}
        known = {right: granted[right.of_all] for right in wanted if right.of_all in granted}
        rest = await together(lambda right: self._may(user, right), [right for right in wanted if right not in known])
        return {**known, **rest}

    async def listable(self, user: UserInfo, resource: Resource, namespaces: Iterable[str]) -> frozenset[str]:
        """Ask by SubjectAccessReviews; for several namespaces, first whether it is all of them."""
        wanted = list(dict.fromkeys(namespaces))
        if len(wanted) > 1 and await self._may_list(user, resource, ""):
            return frozenset(wanted)
        answers = await together(lambda namespace: self._may_list(user, resource, namespace), wanted)
        return frozenset(namespace for namespace, allowed in answers.items() if allowed)

    async def _may_list(self, user: UserInfo, resource: Resource, namespace: str) -> bool:
        asking = User(user.username, user.uid, user.groups, tuple(user.extra.items()))
        right = Right("list", resource, namespace)
        known = self._listable.get((asking, right))
        if known is None:
            async with as_lookup_failure(f"failed to check access: whether a user may {right}"):
                known = (await ask_access(self._kube, asking, right, timeout=READ_SECONDS)).allowed
            self._listable[asking, right] = known
        return known

    async def _may(self, user: UserInfo, right: Right) -> Access:
        asking = User(user.username, user.uid, user.groups, tuple(user.extra.items()))
        try:
            async with as_lookup_failure(f'failed to check access: whether user "{user.username}" may {right}'):
                return await ask_access(self._kube, asking, right, timeout=READ_SECONDS)
        except LookupFailedError as failed:
            raise LookupFailedError(f"{failed}; {WITHOUT_ANSWER}", code=failed.code, reason=failed.reason) from failed

    async def resources(self, kinds: Iterable[Kind]) -> Mapping[Kind, Resource | str]:
        """Ask the API server's discovery; what it has served once is remembered."""
        return await together(self._resource, list(dict.fromkeys(kinds)))

    async def _resource(self, kind: Kind) -> Resource | str:
        api_version, name = kind
        async with as_lookup_failure(f"failed to look up kind {name} of apiVersion {api_version}"):
            try:
                return await self._kube.resource_for(api_version, name)
            except (UnknownKind, IllegalName) as problem:
                return str(problem)

    async def records(self, uid: str) -> Records:
        """Read the records of a run."""
        async with as_lookup_failure(f"failed to read the outcome record of run {uid}"):
            try:
                found = await self._kube.list_all(
                    CONFIG_MAPS, namespace=self._own, label_selector=records_selector(uid), timeout=READ_SECONDS
                )
                return read_records(uid, found)
            except DamagedError as error:
                code = HTTPStatus.UNPROCESSABLE_ENTITY
                raise LookupFailedError(str(error), code=code, reason="Invalid") from error

    async def _get(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        async with as_lookup_failure(f"failed to get {resource.kind} {namespace}/{name}"):
            try:
                return await self._kube.get(resource, name, namespace=namespace, timeout=READ_SECONDS)
            except ABSENT:
                return None
