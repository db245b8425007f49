"""Manifests of KubernetesResource actions as JSON objects (contract: actions 5; decision A3)."""

from __future__ import annotations

from typing import Any, cast

from app.engine.amounts import too_many
from app.rules.manifests.documents import doubled_problem, load_documents, objects_in
from app.rules.manifests.trees import Budget, ManifestError
from app.rules.weight import takes_long
from app.runtime.worker import Ask
from app.runtime.workers import Workers

SHORT = 4096
"""Bytes of a manifest that is read in the event loop: a value takes some 10 µs, and each byte may begin one."""
SECONDS = 20.0
"""How long reading one may take."""

Objects = tuple[dict[str, Any], ...]
_NEEDED_FIRST = ("CustomResourceDefinition", "Namespace")


async def read_manifest(text: str, workers: Workers | None, *, strict: bool = False) -> Objects:
    """Return what `parse_manifest` does; what may take long is read by a worker.

    A worker is waited for as long as the action has time: how many others there are is no fault of this one. Raises
    ManifestError, and WorkFailedError when a worker could not read it.
    """
    data = text.encode("utf-8", "replace")
    if workers is None or (len(data) <= SHORT and not takes_long(data)):
        return parse_manifest(text, strict=strict)
    found = await workers.call(f"{__name__}:parse_here", (text, strict), seconds=SECONDS, patience=None)
    if isinstance(found, str):
        raise ManifestError(found)
    return cast(Objects, found)


def parse_here(ask: Ask, request: tuple[str, bool]) -> Objects | str:
    """Read a manifest, in a worker; a text says why it cannot be read."""
    del ask
    text, strict = request
    try:
        return parse_manifest(text, strict=strict)
    except ManifestError as error:
        return str(error)


def parse_manifest(text: str, *, strict: bool = False) -> Objects:
    """Return the objects of all documents, Lists opened up, empty documents left out.

    `strict` refuses keys that stand more than once in one object, as an API server does that is sent such a text.
    Raises ManifestError, also when they are more than can be recorded.
    """
    budget = Budget()
    documents = enumerate(load_documents(text, budget), start=1)
    if strict and (problem := doubled_problem(budget.doubled)):
        raise ManifestError(f"strict decoding error: {problem}")
    found = [(obj, f"document {number}") for number, document in documents for obj in objects_in(document)]
    if problem := too_many(len(found)):
        raise ManifestError(problem)
    objects = [_checked(obj, where) for obj, where in found]
    if not objects:
        raise ManifestError("the manifest contains no object")
    return tuple(objects)


def needed_first(documents: Objects) -> Objects:
    """Return the documents in an order in which they can be made.

    A CustomResourceDefinition or Namespace that stands behind what needs it comes first; kubectl takes such manifests
    at the second try. All others keep their order.
    """
    return tuple(sorted(documents, key=lambda document: document["kind"] not in _NEEDED_FIRST))


def _checked(obj: object, where: str) -> dict[str, Any]:
    if not isinstance(obj, dict):
        raise ManifestError(f"{where} is {_kind_of(obj)}, expected an object with apiVersion, kind and metadata")
    kind, metadata = obj.get("kind"), obj.get("metadata")
    if not isinstance(kind, str) or not kind:
        raise ManifestError("Object 'Kind' is missing in 'unstructured object has no kind'")
    if not isinstance(obj.get("apiVersion"), str) or not obj["apiVersion"]:
        raise ManifestError(f"{where} ({kind}): apiVersion is required")
    if not isinstance(metadata, dict):
        raise ManifestError(f"{where} ({kind}): metadata is required")
    for member in ("name", "namespace"):
        value = metadata.get(member)
        if value is not None and not isinstance(value, str):
            raise ManifestError(
                f"{where} ({kind}): metadata.{member} is {_kind_of(value)}, expected text; put it in quotes"
            )
    if not metadata.get("name"):
        raise ManifestError(f"{where} ({kind}): metadata.name is required")
    return obj


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    names: dict[type, str] = {str: "text", dict: "an object", list: "a list"}
    return names.get(type(value), "null")
