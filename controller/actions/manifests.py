"""YAML manifests of KubernetesResource actions as JSON objects (contract: actions, section 5; decision A3)."""

from __future__ import annotations

import math
from typing import Any

from app.engine.amounts import objects_of, too_many
from app.rules.manifests import ManifestError, load_documents


def parse_manifest(text: str) -> tuple[dict[str, Any], ...]:
    """Return the objects of all YAML documents, Lists opened up, empty documents left out.

    Raises ManifestError, also when they are more than can be recorded.
    """
    documents = load_documents(text)
    if problem := too_many(objects_of(documents)):
        raise ManifestError(problem)
    objects: list[dict[str, Any]] = []
    for index, document in enumerate(documents):
        where = f"document {index + 1}"
        plain = _plain(document)
        items = plain.get("items") if isinstance(plain, dict) and plain.get("kind") == "List" else None
        objects += [_checked(obj, where) for obj in (items if isinstance(items, list) else [plain])]
    if not objects:
        raise ManifestError("the manifest contains no object")
    return tuple(objects)


def _checked(obj: Any, where: str) -> dict[str, Any]:  # noqa: ANN401 - decoded JSON
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


def _plain(value: Any) -> Any:  # noqa: ANN401 - decoded YAML
    """Return `value` as JSON knows it: text as keys, no sets, no bytes."""
    if isinstance(value, dict):
        return {_key(key): _plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ManifestError(f"the number {value} has no counterpart in JSON")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ManifestError(f"{_kind_of(value)} has no counterpart in JSON")


def _key(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, (str, int, float)):
        return str(key)
    raise ManifestError(f"{_kind_of(key)} cannot be a key")


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    names = {str: "text", dict: "an object", list: "a list", type(None): "null"}
    return names.get(type(value), f"a YAML {type(value).__name__}")
