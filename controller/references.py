"""Reading a value that a `manifestRef` points at (contract: actions 8; decision P9)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from app.engine.gotext import quote
from app.engine.jsonpath import JsonPathError, evaluate
from app.kube.errors import KubeError, is_transient
from app.kube.resources import Resource
from app.kube.secrecy import is_secret
from app.models.common import ManifestRef, Select
from app.runtime.last_work import to_thread
from controller.reading import read_error_text


class Reader(Protocol):
    """What of the client is needed; `app.kube.bounded.BoundedClient` has it."""

    async def resource_for(self, api_version: str, kind: str) -> Resource:
        """Return the resource type that serves a kind."""

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> dict[str, Any]:
        """Read one object."""

    def pages(
        self, resource: Resource, *, namespace: str | None = None, label_selector: str | None = None
    ) -> AsyncGenerator[list[dict[str, Any]]]:
        """Read a collection page by page."""


MOST_CANDIDATES = 10_000
"""Objects that are looked at to choose one."""


class ManifestLookupError(ValueError):
    """The reference gives no value; the text is the contract's."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a reference gives. `secret`: it came from a Secret, so that it must not be stored (decision P9)."""

    text: str
    secret: bool


async def read_value(ref: ManifestRef, reader: Reader) -> Value:
    """Return the value of a rendered reference.

    Raises ManifestLookupError; when the API server is away or overloaded its own KubeError: a later try may succeed.
    A path may look at many values of a large object, so it is evaluated beside the event loop.
    """
    resource = await _resource(ref, reader)
    selected = _selected(ref, resource, await _candidates(ref, resource, reader))
    try:
        text = await to_thread(evaluate, ref.json_path, selected)
        return Value(text, is_secret(resource, selected))
    except JsonPathError as error:
        raise ManifestLookupError(str(error)) from error


async def _resource(ref: ManifestRef, reader: Reader) -> Resource:
    group, _, version = ref.api_version.rpartition("/")
    try:
        return await reader.resource_for(ref.api_version, ref.kind)
    except KubeError as error:
        raise _lookup_failed(f"mapping GVK {group}/{version}, Kind={ref.kind}", error) from error


async def _candidates(ref: ManifestRef, resource: Resource, reader: Reader) -> list[dict[str, Any]]:
    namespace = ref.namespace if resource.namespaced else None
    if not ref.name:
        try:
            return await _chosen(ref, resource, reader, namespace or None)
        except KubeError as error:
            raise _lookup_failed(f"list {_gvr(resource)} in {ref.namespace}", error) from error
    what = f"get {_gvr(resource)}/{ref.namespace}/{ref.name}"
    if resource.namespaced and not namespace:
        raise ManifestLookupError(f"{what}: namespace is required, because {resource.plural} are namespaced")
    try:
        return [await reader.get(resource, ref.name, namespace=namespace)]
    except KubeError as error:
        raise _lookup_failed(what, error) from error


async def _chosen(ref: ManifestRef, resource: Resource, reader: Reader, namespace: str | None) -> list[dict[str, Any]]:
    """Return the one of all that match which is to be taken; the rest is not kept."""
    kept: list[dict[str, Any]] = []
    seen = 0
    pages = reader.pages(resource, namespace=namespace, label_selector=ref.label_selector or None)
    async with aclosing(pages) as found:
        async for page in found:
            seen += len(page)
            kept = _best(ref.select, [*kept, *page])
            if seen > MOST_CANDIDATES:
                raise ManifestLookupError(
                    f"list {_gvr(resource)} in {ref.namespace}: more than {MOST_CANDIDATES} objects match "
                    f"(selector={quote(ref.label_selector)}); name the object, or select fewer"
                )
            if kept and ref.select is Select.ANY:
                break
    if ref.select is Select.SINGLE and seen > 1:
        raise ManifestLookupError(f"expected single match, got {seen}")
    return kept


def _best(select: Select, candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the one of several candidates that is to be taken."""
    if select in (Select.SINGLE, Select.ANY) or not candidates:
        return candidates[:1]
    return [(max if select is Select.LAST else min)(candidates, key=_age)]


def _lookup_failed(what: str, error: KubeError) -> Exception:
    return error if is_transient(error) else ManifestLookupError(f"{what}: {read_error_text(error)}")


def _selected(ref: ManifestRef, resource: Resource, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    if not candidates:
        where = f"{_gvr(resource)}/{ref.namespace}/{ref.name}"
        raise ManifestLookupError(f"no resource found for {where} (selector={quote(ref.label_selector)})")
    return candidates[0]


def _age(obj: dict[str, Any]) -> tuple[str, str, str]:
    metadata = obj["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _gvr(resource: Resource) -> str:
    """Return a resource type as Go prints it."""
    return f"{resource.group}/{resource.version}, Resource={resource.plural}"


class ParameterError(ValueError):
    """Parameters cannot be resolved; the text has all problems."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


async def read_secrets(refs: Mapping[str, ManifestRef], reader: Reader) -> dict[str, str]:
    """Return the values of secret parameters, as of now. Raises ParameterError, or KubeError when it may pass."""
    values, problems = {}, []
    for name, ref in refs.items():
        try:
            values[name] = (await read_value(ref, reader)).text
        except ManifestLookupError as error:
            problems.append(f'resolving param "{name}": {error}')
    if problems:
        raise ParameterError(problems)
    return values
