"""YAML manifests of KubernetesResource actions as JSON objects (contract: actions, section 5; decision A3)."""

from __future__ import annotations

import re
from typing import Any

import yaml

MAX_NODES = 200_000
"""Most values in one manifest, aliases expanded: a small text can name the same part many times over."""


class ManifestError(ValueError):
    """The text is no usable manifest; the message says where and why."""


class _Loader(yaml.CSafeLoader):
    """YAML as kubectl reads it: dates and numbers with colons are text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int", ":float"))]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0b[01_]+|0[xX][0-9a-fA-F_]+|0o?[0-7_]+|[1-9][0-9_]*|0)\Z"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z|[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z"
    ),
    list("-+0123456789."),
)


def parse_manifest(text: str) -> tuple[dict[str, Any], ...]:
    """Return the objects of all YAML documents, Lists opened up, empty documents left out. Raises ManifestError."""
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except (yaml.YAMLError, ValueError) as error:
        raise ManifestError(_one_line(error)) from error
    objects: list[dict[str, Any]] = []
    budget = _Budget()
    for index, document in enumerate(documents):
        if document is None:
            continue
        where = f"document {index + 1}"
        if not isinstance(document, dict):
            raise ManifestError(
                f"{where} is {_kind_of(document)}, expected an object with apiVersion, kind and metadata"
            )
        plain = _plain(document, budget)
        items = plain.get("items") if plain.get("kind") == "List" else None
        found = items if isinstance(items, list) else [plain]
        objects += [_checked(obj, where) for obj in found]
    if not objects:
        raise ManifestError("no object found: the manifest is empty")
    return tuple(objects)


def _checked(obj: Any, where: str) -> dict[str, Any]:  # noqa: ANN401 - decoded JSON
    if not isinstance(obj, dict):
        raise ManifestError(f"{where} is {_kind_of(obj)}, expected an object with apiVersion, kind and metadata")
    if not isinstance(obj.get("kind"), str) or not obj["kind"]:
        raise ManifestError("Object 'Kind' is missing in 'unstructured object has no kind'")
    kind = obj["kind"]
    if not isinstance(obj.get("apiVersion"), str) or not obj["apiVersion"]:
        raise ManifestError(f"{where} ({kind}): apiVersion is required")
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        raise ManifestError(f"{where} ({kind}): metadata is required")
    for field in ("name", "generateName", "namespace"):
        if not isinstance(metadata.get(field, ""), str):
            raise ManifestError(
                f"{where} ({kind}): metadata.{field} is {_kind_of(metadata[field])}, expected text; put it in quotes"
            )
    if not metadata.get("name") and not metadata.get("generateName"):
        raise ManifestError(f"{where} ({kind}): metadata.name is required")
    return obj


class _Budget:
    """Counts the values of a manifest."""

    def __init__(self) -> None:
        self.left = MAX_NODES

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ManifestError(f"it has more than {MAX_NODES} values; use fewer YAML aliases or split it up")


def _plain(value: Any, budget: _Budget) -> Any:  # noqa: ANN401 - decoded YAML
    """Return `value` as JSON knows it: text as keys, no sets, no bytes."""
    budget.spend()
    if isinstance(value, dict):
        return {_key(key): _plain(member, budget) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, budget) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ManifestError(f"{_kind_of(value)} has no counterpart in JSON")


def _key(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if key is None:
        return "null"
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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
