"""What the rules need to know of the cluster: a protocol, and its answer by fresh reads (decision W3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from app.kube.client import KubeClient
from app.kube.errors import ApiError, ApiUnavailable, BadRequest, KubeError, NotFound
from app.kube.resources import EXECUTIONS, NAMESPACES, PLANS, SUBJECT_ACCESS_REVIEWS, WORKFLOWS, Resource
from app.kube.tables import table_rows
from app.models.base import GROUP
from app.rules.unfinished import ENDED
from webhook.review import JsonObject, UserInfo

READ_SECONDS = 5.0
"""How long one read may take; the deadline of the whole review is the service's."""

MOST_NAMES = 200
"""Names that are looked at to suggest one."""

PARALLEL_READS = 8
"""Workflows of one plan that are read at the same time."""


class LookupFailedError(Exception):
    """The cluster could not be asked. The text begins with what was looked for; `code` and `reason` are the error's."""

    def __init__(self, message: str, *, code: int, reason: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Access:
    """Whether a user may do something, and why not."""

    allowed: bool
    reason: str = ""


class Lookups(Protocol):
    """Reads of the cluster. Objects that do not exist are None; every other failure is LookupFailedError."""

    async def plan(self, namespace: str, name: str) -> JsonObject | None:
        """Read a plan."""

    async def execution(self, namespace: str, name: str) -> JsonObject | None:
        """Read an execution."""

    async def workflows(self, keys: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], JsonObject | None]:
        """Read workflows by namespace and name."""

    async def plans(self) -> list[JsonObject]:
        """List the plans of all namespaces."""

    async def executions_of(self, namespace: str, plan: str) -> list[JsonObject]:
        """List the executions of a plan that have not ended; finished ones may be among them."""

    async def names(self, resource: Resource, namespace: str) -> list[str]:
        """Some names of the objects of a kind in a namespace, to suggest one of them."""

    async def terminating(self, namespace: str) -> bool:
        """Tell whether a namespace is being deleted, or is gone."""

    async def may_read_workflow(self, user: UserInfo, namespace: str, name: str) -> Access:
        """Ask whether a user may get a workflow."""


class KubeLookups:
    """Look-ups by quorum reads of the API server."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def plan(self, namespace: str, name: str) -> JsonObject | None:
        """Read a plan."""
        return await self._get(PLANS, namespace, name)

    async def execution(self, namespace: str, name: str) -> JsonObject | None:
        """Read an execution."""
        return await self._get(EXECUTIONS, namespace, name)

    async def workflows(self, keys: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], JsonObject | None]:
        """Read workflows by namespace and name, some at a time."""
        wanted = list(dict.fromkeys(keys))
        places = asyncio.Semaphore(PARALLEL_READS)

        async def read(key: tuple[str, str]) -> JsonObject | None:
            async with places:
                return await self._get(WORKFLOWS, *key)

        tasks = [asyncio.ensure_future(read(key)) for key in wanted]
        try:
            return dict(zip(wanted, await asyncio.gather(*tasks), strict=True))
        finally:
            for task in tasks:
                task.cancel()

    async def plans(self) -> list[JsonObject]:
        """List the plans of all namespaces."""
        async with _told("failed to check references: failed to list DRPlans"):
            return await self._kube.list_all(PLANS, timeout=READ_SECONDS)

    async def executions_of(self, namespace: str, plan: str) -> list[JsonObject]:
        """List the executions of a plan that have not ended.

        By selectable fields, so that finished ones with their large statuses stay where they are; an API server that
        does not know these fields is asked for all.
        """
        selector = ",".join([f"spec.planRef={plan}", *(f"status.phase!={phase}" for phase in sorted(ENDED))])
        async with _told("failed to check running executions: failed to list DRPlanExecutions"):
            try:
                return await self._kube.list_all(
                    EXECUTIONS, namespace=namespace, field_selector=selector, timeout=READ_SECONDS
                )
            except BadRequest:
                return await self._kube.list_all(EXECUTIONS, namespace=namespace, timeout=READ_SECONDS)

    async def names(self, resource: Resource, namespace: str) -> list[str]:
        """At most MOST_NAMES names, without specs and statuses."""
        async with _told(f"failed to list {resource.plural}"):
            table = await self._kube.table(resource, namespace=namespace, limit=MOST_NAMES, timeout=READ_SECONDS)
        return [row.metadata["name"] for row in table_rows(table, ())]

    async def terminating(self, namespace: str) -> bool:
        """Tell whether a namespace is being deleted, or is gone."""
        async with _told(f"failed to get Namespace {namespace}"):
            try:
                found = await self._kube.get(NAMESPACES, namespace, timeout=READ_SECONDS)
            except NotFound:
                return True
        status = found.get("status") or {}
        return bool(found["metadata"].get("deletionTimestamp")) or status.get("phase") == "Terminating"

    async def may_read_workflow(self, user: UserInfo, namespace: str, name: str) -> Access:
        """Ask the API server by a SubjectAccessReview."""
        review: dict[str, Any] = {
            "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
            "kind": SUBJECT_ACCESS_REVIEWS.kind,
            "spec": {
                "user": user.username,
                "uid": user.uid,
                "groups": list(user.groups),
                "extra": {key: list(values) for key, values in user.extra.items()},
                "resourceAttributes": {
                    "group": GROUP,
                    "resource": WORKFLOWS.plural,
                    "verb": "get",
                    "namespace": namespace,
                    "name": name,
                },
            },
        }
        async with _told(f"failed to check access to workflow {namespace}/{name}"):
            status = (await self._kube.create(SUBJECT_ACCESS_REVIEWS, review, timeout=READ_SECONDS)).get("status") or {}
        return Access(bool(status.get("allowed")), str(status.get("reason") or ""))

    async def _get(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        async with _told(f"failed to get {resource.kind} {namespace}/{name}"):
            try:
                return await self._kube.get(resource, name, namespace=namespace, timeout=READ_SECONDS)
            except NotFound:
                return None


@asynccontextmanager
async def _told(what: str) -> AsyncIterator[None]:
    """Turn errors of the API server into LookupFailedError, with `what` in front and the error's own code."""
    try:
        yield
    except ApiError as error:
        raise LookupFailedError(f"{what}: {error}", code=error.status, reason=error.reason) from error
    except (ApiUnavailable, TimeoutError) as error:
        code = HTTPStatus.SERVICE_UNAVAILABLE
        raise LookupFailedError(
            f"{what}: {str(error) or 'timed out'}", code=code, reason="ServiceUnavailable"
        ) from error
    except (KubeError, ValueError) as error:
        code = HTTPStatus.INTERNAL_SERVER_ERROR
        raise LookupFailedError(f"{what}: {error}", code=code, reason="InternalError") from error
