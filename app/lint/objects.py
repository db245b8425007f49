"""From documents to the objects of this API in them; lists are taken apart, other kinds are skipped with a note."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from app.engine.graph import closest
from app.lint.inputs import Source
from app.lint.positions import locate, position_of
from app.lint.result import Issue, Notification, Position
from app.models.base import API_VERSION, GROUP
from app.models.stored import members
from app.rules.catalogue import Severity
from app.rules.findings import Finding

JsonObject = dict[str, Any]

KINDS: Final = ("DRWorkflow", "DRPlan", "DRPlanExecution")
_SEVERAL: Final = "List"


@dataclass(frozen=True, slots=True)
class Written:
    """An object of this API as it is written in a file."""

    kind: str
    namespace: str
    name: str
    """Empty when it has none, or none that is text."""
    value: JsonObject
    file: str
    node: yaml.Node

    @property
    def key(self) -> str:
        """`namespace/name`; of an object that the API server names, what the name begins with and `*`."""
        metadata = self.value.get("metadata")
        begin = _text(metadata, "generateName") if isinstance(metadata, dict) and not self.name else ""
        return f"{self.namespace}/{self.name or begin + '*' * bool(begin)}"

    @property
    def position(self) -> Position:
        """Where it begins."""
        return position_of(self.file, self.node)

    def issue(self, severity: Severity, finding: Finding) -> Issue:
        """The finding, at the place it is about."""
        place = locate(self.file, self.node, finding.path)
        return Issue(place, severity, finding.rule, f"{self.kind} {self.key}", finding.path, finding.message)


def objects_of(source: Source, namespace: str) -> Iterator[Written | Issue | Notification]:
    """The objects of one file; `namespace` is that of objects that name none."""
    for document in source.documents:
        found = list(_objects(source.name, document.value, document.node, namespace))
        yield from found
        if all(isinstance(each, Notification) for each in found):
            continue
        for key in document.repeated:
            text = f"key '{key.value}' is repeated, only its last value counts"
            yield Issue(position_of(source.name, key), Severity.WARNING, "S3", "", key.value, text)


def _objects(file: str, value: object, node: yaml.Node, namespace: str) -> Iterator[Written | Issue | Notification]:
    position = position_of(file, node)
    if not isinstance(value, dict):
        yield Notification(position, "skipped: not an object")
        return
    items = _items(value, node)
    if items is not None:
        for item, item_node in items:
            yield from _objects(file, item, item_node, namespace)
        return
    kind, version = _text(value, "kind"), _text(value, "apiVersion")
    metadata = value.get("metadata")
    meta = members(metadata)
    name = _text(meta, "name")
    if kind in KINDS and version == API_VERSION:
        yield Written(kind, _text(meta, "namespace") or namespace, name, value, file, node)
    elif kind in KINDS:
        found = f"found '{version}'" if version else "found none"
        text = f"apiVersion of a {kind} must be {API_VERSION}, {found}"
        yield Issue(locate(file, node, "apiVersion"), Severity.ERROR, "S4", f"{kind} {name}", "apiVersion", text)
    elif version.partition("/")[0] == GROUP:
        hint = closest(kind, KINDS)
        text = f"kind '{kind}' is not known in {API_VERSION}" + (f"; did you mean '{hint}'?" if hint else "")
        yield Issue(locate(file, node, "kind"), Severity.ERROR, "S4", f"{kind} {name}", "kind", text)
    else:
        what = f"{kind} {name}".strip() if kind and version else "an object without apiVersion and kind"
        yield Notification(position, f"skipped: {what} is none of {', '.join(KINDS)}")


def _items(value: JsonObject, node: yaml.Node) -> list[tuple[object, yaml.Node]] | None:
    """The items of a `List` as `kubectl get -o yaml` prints it; None when it is none."""
    items = value.get("items")
    kind = _text(value, "kind")
    ours = kind.removesuffix(_SEVERAL) in KINDS and _text(value, "apiVersion").startswith(f"{GROUP}/")
    several = kind == _SEVERAL and _text(value, "apiVersion") == "v1"
    if not (ours or several) or not kind.endswith(_SEVERAL) or not isinstance(items, list):
        return None
    assert isinstance(node, yaml.MappingNode)
    nodes = [member for key, member in node.value if key.value == "items"][-1]
    return list(zip(items, nodes.value, strict=True))


def _text(value: JsonObject, member: str) -> str:
    found = value.get(member)
    return found if isinstance(found, str) else ""
