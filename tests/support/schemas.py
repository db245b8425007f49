"""Objects made from a CRD's schema: one with every member, and each way to break a rule of it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

TEXTS = ("Ready", "https://charts.example.com/stable", "100Mi")
"""Tried in this order where a pattern is demanded."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An object that breaks one rule: where, which, and the object."""

    path: str
    rule: str
    document: Any

    @property
    def field(self) -> str:
        """The path as the API server names it, with the index of the only item of each list."""
        return self.path.replace("[]", "[0]")


def sample(schema: Schema) -> Any:
    """A value with every member that the schema has; lists and maps have one item."""
    if "enum" in schema:
        return schema["enum"][-1]
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {name: sample(node) for name, node in schema["properties"].items()}
        case "object" if "additionalProperties" in schema:
            return {"key": sample(schema["additionalProperties"])}
        case "object":
            return {"anything": {"nested": [1, "two"]}} if schema.get("x-kubernetes-preserve-unknown-fields") else {}
        case "array":
            return [sample(schema["items"])]
        case "boolean":
            return True
        case "integer":
            return max(1, int(schema.get("minimum", 1)))
        case "string" if schema.get("format") == "date-time":
            return "2026-02-03T10:00:00Z"
    pattern = schema.get("pattern", "")
    return next(text for text in TEXTS if re.search(pattern, text))


def with_unknown_members(schema: Schema, value: Any) -> Any:
    """A copy of a value with the member ``unknown`` in every object whose members the schema lists."""
    if isinstance(value, list):
        return [with_unknown_members(schema["items"], item) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return copy.deepcopy(value)
    members = {name: with_unknown_members(schema["properties"][name], item) for name, item in value.items()}
    return {**members, "unknown": {"deep": True}}


def broken(schema: Schema, value: Any, path: str = "", skip: tuple[str, ...] = ()) -> Iterator[Broken]:
    """Every way to break one rule of the schema, starting from a valid value with every member.

    Args:
        schema: the schema of the value.
        value: what is broken.
        path: where the value is, for the result.
        skip: paths below which nothing is broken.
    """
    if path in skip:
        return
    for rule, bad in _replacements(schema):
        yield Broken(path, rule, bad)
    for name in schema.get("required", ()):
        if "default" not in schema["properties"][name]:
            less = {key: item for key, item in value.items() if key != name}
            yield Broken(f"{path}.{name}".lstrip("."), "required", less)
    for name, node in schema.get("properties", {}).items():
        for found in broken(node, value[name], f"{path}.{name}".lstrip("."), skip):
            if found.rule == "required" and found.path == f"{path}.{name}".lstrip("."):
                continue
            yield Broken(found.path, found.rule, {**value, name: found.document})
    if schema.get("type") == "array":
        for found in broken(schema["items"], value[0], f"{path}[]", skip):
            yield Broken(found.path, found.rule, [found.document])


def _replacements(schema: Schema) -> Iterator[tuple[str, Any]]:
    """Values that break what the schema says about the value itself, by the keyword."""
    wrong = {"string": 7, "integer": "seven", "boolean": "yes", "array": "text", "object": "text"}
    if schema.get("type") in wrong:
        yield "type", wrong[schema["type"]]
    if "enum" in schema:
        yield "enum", "NoSuchValue"
    if "pattern" in schema and "type" in schema:
        yield "pattern", "$(params.x) $"
    if "minimum" in schema:
        yield "minimum", schema["minimum"] - 1
    if "maximum" in schema:
        yield "maximum", schema["maximum"] + 1
    if schema.get("minLength"):
        yield "minLength", ""
    if "maxLength" in schema:
        yield "maxLength", "x" * (schema["maxLength"] + 1)
    if schema.get("minItems"):
        yield "minItems", []
    if "maxItems" in schema:
        yield "maxItems", [sample(schema["items"])] * (schema["maxItems"] + 1)
