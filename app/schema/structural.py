"""From a pydantic JSON schema to a structural one, as the API server demands of a CRD.

The API server refuses `$ref`, `anyOf` with null, `type: null` and `additionalProperties: true` beside
`properties`, and silently drops constraints it does not know. So every keyword is either translated here or an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from app.models import ApiModel

Schema = dict[str, Any]

MODEL: Final = "$model"
"""Keyword that names the model a node came from. Only inside this package; see `without_markers`."""

_ANY_TYPE: Final = "x-kubernetes-preserve-unknown-fields"
"""What the API server demands of a node without a type; its `enum` says then what it may be."""
_COPIED: Final = (
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "pattern",
    "required",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    _ANY_TYPE,
)
_HANDLED: Final = frozenset(
    {*_COPIED, "$ref", "anyOf", "title", "default", "description", "properties", "additionalProperties", "items"}
)
_SPECIFICATION: Final = re.compile(r"\s*\((?:decisions?|contract|design)\b[^)]*\)")


class NotStructuralError(Exception):
    """A model says something that a structural schema cannot; the message names the path and the keyword."""


def model_schema(model: type[ApiModel]) -> Schema:
    """Return the structural schema of a model, without any default.

    Objects carry `MODEL`, the name of their model. Raises `NotStructuralError`.
    """
    document = model.model_json_schema(by_alias=True)
    definitions = document.pop("$defs", {})
    return _translate(document, definitions, "")


def model_summaries(model: type[ApiModel]) -> dict[str, str]:
    """Return what each model inside this one says about itself, by its name."""
    definitions = model.model_json_schema(by_alias=True).get("$defs", {})
    return {name: _prose(node["description"]) for name, node in definitions.items() if "description" in node}


def without_markers(schema: Schema) -> Schema:
    """Return the schema without `MODEL`, as a copy that shares nothing with it."""
    result: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            result[key] = {name: without_markers(node) for name, node in value.items()}
        elif isinstance(value, dict):
            result[key] = without_markers(value)
        elif isinstance(value, list):
            result[key] = [without_markers(item) if isinstance(item, dict) else item for item in value]
        elif key != MODEL:
            result[key] = value
    return result


def node_at(schema: Schema, path: str) -> Schema:
    """Return the node at a path such as `spec.actions[].http.url`. Raises `KeyError` with the path."""
    node = schema
    for step in path.split("."):
        name = step.removesuffix("[]")
        try:
            node = node["properties"][name]
            node = node["items"] if step.endswith("[]") else node
        except KeyError:
            raise KeyError(f"{path}: there is no {step}") from None
    return node


def _translate(node: Mapping[str, Any], definitions: Mapping[str, Any], path: str) -> Schema:
    merged = _resolve(node, definitions)
    unknown = merged.keys() - _HANDLED - {MODEL}
    if unknown:
        raise NotStructuralError(f"{path or 'root'}: a structural schema has no {', '.join(sorted(unknown))}")
    if "type" not in merged and not (_ANY_TYPE in merged and "enum" in merged):
        raise NotStructuralError(f"{path or 'root'}: the schema has no type; give the field one type, or null and one")
    result: Schema = {}
    if description := merged.get("description"):
        result["description"] = _prose(description)
    result.update((key, merged[key]) for key in _COPIED if key in merged)
    if MODEL in merged and merged.get("type") == "object":
        result[MODEL] = merged[MODEL]
    if "properties" in merged:
        result["properties"] = {
            name: _translate(child, definitions, f"{path}.{name}".lstrip("."))
            for name, child in merged["properties"].items()
        }
    additional = merged.get("additionalProperties")
    if additional is True:
        result["x-kubernetes-preserve-unknown-fields"] = True
    elif additional is not None:
        result["additionalProperties"] = _translate(additional, definitions, f"{path}{{}}")
    if "items" in merged:
        result.setdefault("x-kubernetes-list-type", "atomic")
        result["items"] = _translate(merged["items"], definitions, f"{path}[]")
    return result


def _prose(docstring: str) -> str:
    """Return a docstring as one line, without references to the specification, which only maintainers need."""
    return _SPECIFICATION.sub("", " ".join(docstring.split()))


def _resolve(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a node with what it refers to, null alternatives dropped. What the node itself says wins."""
    own = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        return {**_resolve(definitions[name], definitions), MODEL: name, **own}
    if "anyOf" in node:
        alternatives = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
        if len(alternatives) != 1:
            return {**own, "anyOf": alternatives}
        return {**_resolve(alternatives[0], definitions), **own}
    return own
