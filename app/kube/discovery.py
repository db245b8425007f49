"""Finding the resource type of an apiVersion and kind that a manifest names."""

from __future__ import annotations

import difflib
from typing import Any, Protocol

import orjson

from app.kube.errors import NotFound, UnknownKind
from app.kube.resources import Resource

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class RawGet(Protocol):
    """GET of a path; the client's `get_raw`."""

    async def __call__(self, path: str, *, accept: str = ..., timeout: float = ...) -> bytes:
        """Return the body, or raise the error of a refusal."""


class Discovery:
    """What kinds the server serves. Answers are kept; a kind that is missing is asked for again each time."""

    def __init__(self, get_raw: RawGet) -> None:
        self._get_raw = get_raw
        self._known: dict[tuple[str, str], Resource] = {}

    async def resource_for(self, api_version: str, kind: str) -> Resource:
        """The resource of `api_version` and `kind`; UnknownKind with a hint when the server has none."""
        found = self._known.get((api_version, kind))
        if found is None:
            served = await self._served(api_version)
            self._known.update({(api_version, name): resource for name, resource in served.items()})
            found = self._known.get((api_version, kind))
            if found is None or kind not in served:
                raise UnknownKind(await self._explain(api_version, kind, sorted(served)))
        return found

    async def _served(self, api_version: str) -> dict[str, Resource]:
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            document = orjson.loads(await self._get_raw(path))
        except NotFound:
            return {}
        entries: list[dict[str, Any]] = document.get("resources") or []
        return {
            entry["kind"]: Resource(group, version, entry["name"], entry["kind"], entry["namespaced"])
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
        """The apiVersions that serve a kind of this name, from the aggregated discovery documents."""
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
