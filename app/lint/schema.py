"""What the API server checks before admission: the structural schema of each kind, and object metadata.

The schemas are those of the CRDs, so nothing is judged here that the API server would judge otherwise.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from app.engine.graph import closest
from app.models.stored import members
from app.rules.decode import in_quotes, shown
from app.rules.findings import did_you_mean
from app.schema.crds import KINDS, kind_schema
from app.schema.structural import Schema

_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"type": "object", "additionalProperties": _TEXT}
_TIME: Final[Schema] = {"type": "string", "nullable": True}
_ANYTHING: Final[Schema] = {"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": True}}
METADATA: Final[Schema] = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "generateName": _TEXT,
        "namespace": _TEXT,
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "finalizers": {"type": "array", "items": _TEXT},
        "ownerReferences": _ANYTHING,
        "managedFields": _ANYTHING,
        "uid": _TEXT,
        "resourceVersion": _TEXT,
        "selfLink": _TEXT,
        "generation": {"type": "integer"},
        "creationTimestamp": _TIME,
        "deletionTimestamp": _TIME,
        "deletionGracePeriodSeconds": {"type": "integer"},
    },
}
"""Members of `metadata` that Kubernetes knows."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_LENGTH: Final = 253
_WORDS: Final = {
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "an object",
}
_DROPPED: Final = "unknown field, the API server drops it"


class Problem(NamedTuple):
    """Something that the schema does not allow."""

    rule: str
    path: str
    text: str
    hint: str = ""
    """What was probably meant."""

    @property
    def message(self) -> str:
        """The text with the hint."""
        return self.text + did_you_mean(self.hint)


@cache
def schema_of(kind: str) -> Schema:
    """The schema of a kind without its status, which no user writes."""
    schema = kind_schema(next(info for info in KINDS if info.kind == kind))
    del schema["properties"]["status"]
    schema["properties"]["metadata"] = METADATA
    return schema


def check_schema(schema: Schema, value: Any, path: str = "") -> Iterator[Problem]:  # noqa: ANN401  (any JSON value)
    """Everything that the schema does not allow, in the order of the object."""
    wrong = _wrong_type(schema, value)
    if wrong or value is None:
        if wrong:
            hint = in_quotes(value) if schema.get("type") == "string" else ""
            yield Problem("S1", path, f"{wrong}, found {shown(value)}{hint}")
        return
    yield from _bounds(schema, value, path)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from check_schema(schema.get("items", {}), item, f"{path}[{index}]")
    elif isinstance(value, dict):
        yield from _members(schema, value, path)


def check_name(metadata: object) -> Iterator[Problem]:
    """Rule S5: the name is there and one that the API server accepts."""
    meta = members(metadata)
    name, prefix = meta.get("name"), meta.get("generateName")
    if not name and not prefix:
        yield Problem("S5", "metadata.name", "name is required")
    elif isinstance(name, str) and name and not (_NAME.fullmatch(name) and len(name) <= _NAME_LENGTH):
        text = (
            f"name {shown(name)} must consist of lower case letters, digits, '-' and '.', begin and end with a letter "
            f"or digit, and have at most {_NAME_LENGTH} characters"
        )
        yield Problem("S5", "metadata.name", text)


def pruned(schema: Schema, value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """The value as the API server hands it to admission: without unknown fields and without nulls of defaulted ones."""
    if isinstance(value, list):
        return [pruned(schema.get("items", {}), item) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    known = schema["properties"]
    return {
        name: pruned(known[name], member)
        for name, member in value.items()
        if name in known and not (member is None and "default" in known[name])
    }


def _members(schema: Schema, value: dict[str, Any], path: str) -> Iterator[Problem]:
    known: Schema = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value and "default" not in known[name]:
            yield Problem("S1", _join(path, name), "is required")
    for name, member in value.items():
        where = _join(path, name)
        if name in known:
            yield from check_schema(known[name], member, where)
        elif "additionalProperties" in schema:
            yield from check_schema(schema["additionalProperties"], member, where)
        elif known:
            yield Problem("S2", where, _DROPPED, _meant(name, known))


def _wrong_type(schema: Schema, value: object) -> str:
    """What the value must be; empty when it is, or when the schema lets anything pass."""
    if value is None:
        allowed = "default" in schema or schema.get("nullable") or "x-kubernetes-preserve-unknown-fields" in schema
        return "" if allowed else f"must be {_WORDS.get(schema.get('type', ''), 'a value')}"
    if schema.get("x-kubernetes-int-or-string"):
        return "" if isinstance(value, str) or _is_integer(value) else "must be a whole number or text"
    match schema.get("type"):
        case "string":
            fits = isinstance(value, str)
        case "boolean":
            fits = isinstance(value, bool)
        case "integer":
            fits = _is_integer(value)
        case "number":
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        case "array":
            fits = isinstance(value, list)
        case "object":
            fits = isinstance(value, dict)
        case _:
            return ""
    return "" if fits else f"must be {_WORDS[schema['type']]}"


def _is_integer(value: object) -> bool:
    """True also for 3.0, which kubectl sends as 3."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def _bounds(schema: Schema, value: Any, path: str) -> Iterator[Problem]:  # noqa: ANN401  (any JSON value)
    if "enum" in schema and (type(value), value) not in [(type(choice), choice) for choice in schema["enum"]]:
        accepted = ", ".join(json.dumps(choice) for choice in schema["enum"])
        words = [choice for choice in schema["enum"] if isinstance(choice, str)]
        hint = _meant(value, words) if isinstance(value, str) else ""
        yield Problem("S1", path, f"must be one of {accepted}, found {shown(value)}", hint)
    if isinstance(value, str):
        yield from _length(schema, len(value), ("minLength", "maxLength", "characters"), path)
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield Problem("S1", path, f"must match {schema['pattern']}, found {shown(value)}")
    elif isinstance(value, list):
        yield from _length(schema, len(value), ("minItems", "maxItems", "items"), path)
    elif isinstance(value, int | float):
        least, most = _range(schema)
        if value < least:
            yield Problem("S1", path, f"must be at least {least}, found {value}")
        if value > most:
            yield Problem("S1", path, f"must be at most {most}, found {value}")


def _length(schema: Schema, found: int, words: tuple[str, str, str], path: str) -> Iterator[Problem]:
    low, high, items = words
    if not found and schema.get(low):
        yield Problem("S1", path, "must not be empty")
    elif found < schema.get(low, 0):
        yield Problem("S1", path, f"must have at least {schema[low]} {items}, found {found}")
    elif high in schema and found > schema[high]:
        yield Problem("S1", path, f"must have at most {schema[high]} {items}, found {found}")


def _range(schema: Schema) -> tuple[float, float]:
    """The smallest and the largest number; those of the format where the schema has none."""
    bits = {"int32": 31, "int64": 63}.get(schema.get("format", ""))
    least, most = (-math.inf, math.inf) if bits is None else (-(2**bits), 2**bits - 1)
    return schema.get("minimum", least), schema.get("maximum", most)


def _meant(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, whatever its case; empty when there is none."""
    plain = {each.lower(): each for each in known}
    return plain.get(name.lower()) or plain.get(closest(name.lower(), plain) or "", "")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
