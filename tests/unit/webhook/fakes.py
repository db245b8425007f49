"""A cluster made of dicts, for the look-ups of the admission service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from app.kube.access import Access, Right
from app.kube.kept import Records
from app.kube.resources import Resource
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import has_ended
from app.models.record import OutcomeRecord
from app.models.stored import members
from webhook.failures import LookupFailedError
from webhook.review import UserInfo

Json = dict[str, Any]
Key = tuple[str, str]


def _key(obj: Json) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


@dataclass
class FakeLookups:
    """Answers from its lists; `failing` names methods that fail, `hanging` those that never answer; `forbidden` has
    namespace and name of what nobody may use or read."""

    stored_workflows: list[Json] = field(default_factory=list)
    stored_plans: list[Json] = field(default_factory=list)
    executions: list[Json] = field(default_factory=list)
    unrecorded: set[str] = field(default_factory=set)
    """Names of ended executions without outcome record."""
    terminating_namespaces: set[str] = field(default_factory=set)
    forbidden: set[Key] = field(default_factory=set)
    unlisted: set[tuple[str, str]] = field(default_factory=set)
    """Kind and namespace of what the user may not list."""
    failing: dict[str, Exception] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    rights: list[Right] = field(default_factory=list)

    async def _ask(self, method: str) -> None:
        self.asked.append(method)
        if method in self.hanging:
            await asyncio.sleep(3600)
        if method in self.failing:
            raise self.failing[method]

    async def plan(self, namespace: str, name: str) -> Json | None:
        await self._ask("plan")
        return next((plan for plan in self.stored_plans if _key(plan) == (namespace, name)), None)

    async def execution(self, namespace: str, name: str) -> Json | None:
        await self._ask("execution")
        return next((each for each in self.executions if _key(each) == (namespace, name)), None)

    async def workflows(self, keys: Iterable[Key]) -> Mapping[Key, Json | None]:
        await self._ask("workflows")
        known = {_key(workflow): workflow for workflow in self.stored_workflows}
        return {key: known.get(key) for key in keys}

    async def plans(self) -> list[Json]:
        await self._ask("plans")
        return self.stored_plans

    async def executions_of(self, namespace: str, plan: str) -> list[Json]:
        await self._ask("executions_of")
        return [each for each in self.executions if _key(each)[0] == namespace and each["spec"].get("planRef") == plan]

    async def names(self, resource: Resource, namespace: str) -> list[str]:
        await self._ask("names")
        stored = {"DRWorkflow": self.stored_workflows, "DRPlan": self.stored_plans, "DRPlanExecution": self.executions}
        return [_key(each)[1] for each in stored[resource.kind] if _key(each)[0] == namespace]

    async def terminating(self, namespace: str) -> bool:
        await self._ask("terminating")
        return namespace in self.terminating_namespaces

    async def listable(self, user: UserInfo, resource: Resource, namespaces: Iterable[str]) -> frozenset[str]:
        await self._ask("listable")
        return frozenset(each for each in namespaces if (resource.kind, each) not in self.unlisted)

    async def may(self, user: UserInfo, rights: Iterable[Right]) -> Mapping[Right, Access]:
        await self._ask("may")
        self.rights += rights
        return {right: self._access(right) for right in self.rights}

    def _access(self, right: Right) -> Access:
        refused = (right.namespace, right.name) in self.forbidden
        return Access(not refused, "no rule allows it" * refused)

    async def resources(self, kinds: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Resource | str]:
        await self._ask("resources")
        return {(api_version, kind): resource_of(api_version, kind) for api_version, kind in kinds}

    async def records(self, uid: str) -> Records:
        await self._ask("records")
        ended = [each for each in self.executions if has_ended(members(each.get("status")).get("phase"))]
        found = (each for each in ended if str(each["metadata"].get("uid", "")) == uid)
        return Records(next((_recorded(each) for each in found if _key(each)[1] not in self.unrecorded), None))


def resource_of(api_version: str, kind: str) -> Resource | str:
    """Every kind is served, but for `Wdiget`."""
    if kind == "Wdiget":
        known = "check the spelling, or install its CustomResourceDefinition"
        return f"the API server serves no kind {kind!r} in apiVersion {api_version!r}; {known}"
    group, _, version = api_version.rpartition("/")
    return Resource(group, version, f"{kind.lower()}s", kind, namespaced=kind not in ("Namespace", "Node"))


def _recorded(execution: Json) -> OutcomeRecord | None:
    """How the run ended, as its status says; nothing is recorded of one that does not decode."""
    metadata, spec = execution["metadata"], members(execution.get("spec"))
    try:
        return OutcomeRecord(
            execution_name=metadata["name"],
            execution_namespace=metadata["namespace"],
            execution_uid=str(metadata.get("uid", "")),
            operation=spec.get("operationType"),
            plan_name=spec.get("planRef"),
            status=DRPlanExecutionStatus.from_wire(members(execution.get("status"))),
        )
    except ValidationError:
        return None


def unavailable(what: str) -> LookupFailedError:
    return LookupFailedError(f"{what}: connection refused", code=503, reason="ServiceUnavailable")
