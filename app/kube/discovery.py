"""Finding the resource type of an apiVersion and kind that a manifest names."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import orjson

from app.engine.object_names import api_version_problem, kind_problem
from app.engine.object_names import found as what_was_found
from app.kube.errors import Forbidden, IllegalName, NotFound, NotServed, UnknownKind
from app.kube.resources import Resource, api_path, group_path

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class RawGet(Protocol):
    """GET of a path; the client's `get_raw`."""

    async def __call__(self, path: str, *, accept: str = ..., timeout: float = ...) -> bytes:
        """Return the body, or raise the error of a refusal."""


class Discovery:
    """What kinds the server serves.

    Answers are kept until a request shows that one no longer holds (`doubting`); a kind that is missing is asked for
    again each time.
    """

    def __init__(self, get_raw: RawGet) -> None:
        self._get_raw = get_raw
        self._known: dict[tuple[str, str], Resource] = {}
        self._described: dict[tuple[str, str], bool] = {}

    async def resource_for(self, api_version: str, kind: str) -> Resource:
        """Return the resource of `api_version` and `kind`; UnknownKind with a hint when the server has none.

        Raises IllegalName for what no kind can be called, so that a type has one spelling only.
        """
        if problem := api_version_problem(api_version):
            raise IllegalName(f"apiVersion {problem}{what_was_found(api_version)}")
        if problem := kind_problem(kind):
            raise IllegalName(f"kind {problem}{what_was_found(kind)}")
        found = self._known.get((api_version, kind))
        if found is None:
            served = await self._served(api_version)
            self._known.update({(api_version, name): resource for name, resource in served.items()})
            found = self._known.get((api_version, kind))
            if found is None or kind not in served:
                text = await self._explain(api_version, kind, sorted(served))
                raise UnknownKind(text, may_come="." in api_version.rpartition("/")[0])
        return found

    @contextmanager
    def doubting(self, resource: Resource) -> Iterator[None]:
        """Forget what is known of the apiVersion of `resource` when the requests inside meet NotServed.

        The CustomResourceDefinition may have been made anew with another scope, plural or version.
        """
        try:
            yield
        except NotServed:
            for key in [key for key in self._known if key[0] == resource.api_version]:
                del self._known[key]
                self._described.pop(key, None)
            raise

    async def served_now(self, group: str, kind: str) -> Resource | None:
        """Return the resource of a kind in the version that the server prefers; None when none serves it.

        For objects recorded under a version that is no longer served.
        """
        if not group:
            return (await self._served("v1")).get(kind)
        try:
            document = orjson.loads(await self._get_raw(group_path(group)))
        except (NotFound, NotServed):
            return None
        preferred = (document.get("preferredVersion") or {}).get("groupVersion")
        versions = [str(entry["groupVersion"]) for entry in document.get("versions") or []]
        for version in sorted(versions, key=lambda version: version != preferred):
            if (found := (await self._served(version)).get(kind)) is not None:
                return found
        return None

    async def describes_status(self, resource: Resource) -> bool | None:
        """Whether the schema of a kind has a status, which its controller then writes into the object itself.

        For kinds of which no status is served apart. None while the server does not tell: it takes a moment to publish
        the schema of a new kind.
        """
        key = (resource.api_version, resource.kind)
        if key not in self._described:
            try:
                document = orjson.loads(await self._get_raw(f"/openapi/v3{resource.api_path}"))
            except (NotFound, NotServed, Forbidden):
                return None
            if (found := _has_status(document, resource)) is None:
                return None
            self._described[key] = found
        return self._described[key]

    async def _served(self, api_version: str) -> dict[str, Resource]:
        group, _, version = api_version.rpartition("/")
        try:
            document = orjson.loads(await self._get_raw(api_path(group, version)))
        except (NotFound, NotServed):
            return {}
        entries: list[dict[str, Any]] = document.get("resources") or []
        reporting = {entry["name"].removesuffix("/status") for entry in entries if entry["name"].endswith("/status")}
        return {
            entry["kind"]: Resource(
                group, version, entry["name"], entry["kind"], entry["namespaced"], entry["name"] in reporting
            )
            for entry in entries
            if "/" not in entry["name"]
        }

    async def _explain(self, api_version: str, kind: str, served: list[str]) -> str:
        head = f"the API server serves no kind {kind!r} in apiVersion {api_version!r}"
        elsewhere = await self._versions_of(kind)
        if elsewhere:
            return f"{head}; {kind} is served by {', '.join(elsewhere)}"
        close = difflib.get_close_matches(kind, served, n=3, cutoff=0.6)
        if close:
            return f"{head}; did you mean {' or '.join(close)}?"
        if not served:
            return f"{head}, nor anything else of that apiVersion; is its CustomResourceDefinition installed?"
        return f"{head}; check the spelling, or install its CustomResourceDefinition"

    async def _versions_of(self, kind: str) -> list[str]:
        """Return the apiVersions that serve a kind of this name, from the aggregated discovery documents."""
        found = set()
        for path in ("/api", "/apis"):
            document = orjson.loads(await self._get_raw(path, accept=_AGGREGATED))
            for group in document.get("items") or []:
                name = (group.get("metadata") or {}).get("name") or ""
                for version in group.get("versions") or []:
                    for entry in version.get("resources") or []:
                        if (entry.get("responseKind") or {}).get("kind") == kind:
                            found.add(f"{name}/{version['version']}" if name else version["version"])
        return sorted(found)


def _has_status(document: dict[str, Any], resource: Resource) -> bool | None:
    """Tell whether the OpenAPI document of a group and version gives a kind a status; None when it has no such kind."""
    wanted = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    schemas = (document.get("components") or {}).get("schemas") or {}
    for schema in schemas.values():
        if wanted in (schema.get("x-kubernetes-group-version-kind") or []):
            return "status" in (schema.get("properties") or {})
    return None
