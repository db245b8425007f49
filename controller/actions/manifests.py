"""Manifests of KubernetesResource actions as JSON objects (contract: actions, section 5; decision A3)."""

from __future__ import annotations

from typing import Any

from app.engine.amounts import too_many
from app.rules.manifests import ManifestError, load_documents, objects_in


def parse_manifest(text: str) -> tuple[dict[str, Any], ...]:
    """Return the objects of all documents, Lists opened up, empty documents left out.

    Raises ManifestError, also when they are more than can be recorded.
    """
    documents = enumerate(load_documents(text), start=1)
    found = [(obj, f"document {number}") for number, document in documents for obj in objects_in(document)]
    if problem := too_many(len(found)):
        raise ManifestError(problem)
    objects = [_checked(obj, where) for obj, where in found]
    if not objects:
        raise ManifestError("the manifest contains no object")
    return tuple(objects)


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
