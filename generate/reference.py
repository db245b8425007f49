"""Writes docs/api.md: every field of the three kinds with type, default and meaning."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from app.models import API_VERSION
from app.models.reasons import NodeReason
from app.schema.crds import CATEGORY, KINDS, KindInfo, kind_schema
from app.schema.structural import MODEL, Schema, model_summaries

SHARED: Final = (
    "Parameter",
    "ManifestRef",
    "ObjectReference",
    "LocalizationSpec",
    "GlobalizationSpec",
    "HelmChartSpec",
    "SubscriptionSpec",
    "Override",
    "Feed",
    "LabelSelector",
    "LabelSelectorRequirement",
    "StageStatus",
    "WorkflowExecutionStatus",
    "ActionStatus",
    "ActionOutputs",
    "ClusterActionStatus",
    "CoreReference",
    "ResolvedParam",
    "ExecutionSummary",
    "Condition",
)
"""Models that get a table of their own, in this order; all others are written out where they are used."""

_OUTSIDE: Final = {"JobSpec": "batch/v1 `JobSpec` of Kubernetes"}
"""Models that are described elsewhere."""

COLUMNS: Final = 100
_CODE: Final = re.compile(r"`[^`]+`")

_INTRODUCTION: Final = f"""\
<!-- Generated from app/models by `python -m generate.crds --write crds`; do not edit. -->
# API reference: `{API_VERSION}`

All kinds are namespaced and have a `status` subresource that only the controller writes.
`kubectl get {CATEGORY}` lists all three.

"Default" is what the API server fills in when the object around the member is given and the member
is not; a dash means that nothing is filled in, and the description then says what absence means.
Zero values (`0`, `false`, empty text and empty lists) are omitted from a status. "Templated"
members may contain placeholders such as `$(params.name)`. Times are RFC 3339 in UTC and whole
seconds; durations are Go's (`1h30m`, `90s`, `850ms`). Unknown members are dropped, except below
`spec.actions[].rollback`.

`Canceled` in an enumeration of phases is what the Go operator wrote; it is read as `Cancelled`.
"""

_REASONS: Final = """\
## Reasons

Stages, workflows and actions that failed, were skipped or were cut short say why in `reason`, one
of these words. `message` tells the same to people and may change its words; nothing is decided by
them. What succeeded or has not ended has no reason. That of an execution is the reason of its
condition `Failed` or `Suspended`, or `Cancelled`.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    path: str
    type: str
    default: str
    description: str

    def line(self) -> str:
        """Return the Markdown of the row."""
        cells = (f"`{self.path}`", self.type, self.default, self.description)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


Found = dict[str, Schema]
"""Schemas of shared models that were met on the way, by name."""


def api_reference() -> str:
    """Return the text of docs/api.md."""
    found: Found = {}
    parts = [_INTRODUCTION, *(_kind_section(info, found) for info in KINDS)]
    summaries = {name: text for info in KINDS for name, text in model_summaries(info.model).items()}
    tables: dict[str, str] = {}
    while pending := found.keys() - tables.keys():
        tables.update({name: _table(found[name], "", found) for name in pending})
    parts.append("## Shared types\n")
    parts.extend(f"### {name}\n\n{_wrapped(summaries[name])}\n\n{tables[name]}" for name in SHARED)
    parts.append(f"{_REASONS}\n{_reasons()}")
    return "\n".join(parts)


def _reasons() -> str:
    rows = [f"| `{name}` | {text} |" for name, text in member_docs(NodeReason).items()]
    return "\n".join(["| Reason | Meaning |", "|---|---|", *rows]) + "\n"


def member_docs(enum: type[StrEnum]) -> dict[str, str]:
    """Return the values of an enum with the docstrings that stand behind them."""
    [definition] = ast.parse(inspect.getsource(enum)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for member, behind in pairwise(definition.body):
        match member, behind:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                found[enum[name].value] = " ".join(text.split())
    return found


def _wrapped(text: str) -> str:
    """Return a paragraph in lines of at most COLUMNS; code stays in one piece."""
    kept = _CODE.sub(lambda code: code[0].replace(" ", "\0"), text)
    return textwrap.fill(kept, COLUMNS, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def _kind_section(info: KindInfo, found: Found) -> str:
    schema = kind_schema(info)
    columns = ", ".join(column.name for column in info.columns if not column.wide)
    facts = [f"Resource `{info.plural}`, short name `{info.short_name}`. `kubectl get` prints Name, {columns}."]
    if wide := ", ".join(column.name for column in info.columns if column.wide):
        facts.append(f"With `-o wide` also {wide}.")
    if info.selectable:
        fields = " and ".join(f"`{path.lstrip('.')}`" for path in info.selectable)
        facts.append(f"Field selectors: {fields}.")
    sections = [f"## {info.kind}\n\n{_wrapped(schema['description'])}\n\n{_wrapped(' '.join(facts))}\n"]
    for part in ("spec", "status"):
        node = schema["properties"][part]
        sections.append(f"### {info.kind} {part}\n\n{_wrapped(node['description'])}\n\n{_table(node, part, found)}")
    return "\n".join(sections)


def _table(node: Schema, path: str, found: Found) -> str:
    rows = [row.line() for row in _rows(node, path, found)]
    return "\n".join(["| Path | Type | Default | Description |", "|---|---|---|---|", *rows]) + "\n"


def _rows(node: Schema, path: str, found: Found) -> Iterator[Row]:
    """Yield the members of a node, required ones first, and of objects inside it; remember shared models."""
    required = node.get("required", ())
    for name, member in sorted(node.get("properties", {}).items(), key=lambda item: item[0] not in required):
        place = f"{path}.{name}" if path else name
        yield Row(place, _type(member), _default(member, name in required), member.get("description", ""))
        inner, inner_place = (member["items"], f"{place}[]") if member.get("type") == "array" else (member, place)
        model = inner.get(MODEL)
        if model in SHARED:
            found.setdefault(model, inner)
        elif model not in _OUTSIDE:
            yield from _rows(inner, inner_place, found)


def _default(member: Schema, required: bool) -> str:
    if "default" in member:
        value = member["default"]
        return f"`{str(value).lower()}`" if isinstance(value, bool) else f'`"{value}"`' if value == "" else f"`{value}`"
    return "required" if required else "-"


def _type(node: Schema) -> str:
    """Return the type of a node with its constraints, such as `integer (int32), at least 0`."""
    model = node.get(MODEL)
    if "type" not in node:
        return "one of " + ", ".join(
            f"`{value if isinstance(value, str) else json.dumps(value)}`" for value in node["enum"]
        )
    if node["type"] == "array":
        return f"list of {_type(node['items'])}" + _bounds(node)
    if model in _OUTSIDE:
        return _OUTSIDE[model]
    if model in SHARED:
        return f"[{model}](#{model.lower()})"
    if "additionalProperties" in node:
        return f"map of string to {_type(node['additionalProperties'])}"
    if "enum" in node:
        return "one of " + ", ".join(f'`"{value}"`' if value == "" else f"`{value}`" for value in node["enum"])
    kind = f"{node['type']} ({node['format']})" if "format" in node else node["type"]
    return kind + _bounds(node)


def _bounds(node: Schema) -> str:
    texts = []
    for low, high, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " members"),
    ):
        match node.get(low), node.get(high):
            case None, None:
                continue
            case 1, None if unit:
                texts.append("not empty")
            case lowest, None:
                texts.append(f"at least {lowest}{unit}")
            case None, highest:
                texts.append(f"at most {highest}{unit}")
            case lowest, highest:
                texts.append(f"{lowest} to {highest}{unit}")
    if "pattern" in node:
        texts.append(f"pattern `{node['pattern']}`")
    return "".join(f", {text}" for text in texts)
