"""From a field path to the line and column where the field is written."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from app.lint.result import Position
from app.rules.manifests.trees import MAX_DEPTH

_INDEX = re.compile(r"\[(\d+)\]")


def locate(file: str, root: yaml.Node, path: str) -> Position:
    """Where the member at `path` begins: its key, or the item of a list.

    For a member that is not written, the place of the innermost object around it that is.
    """
    node = mark_of = root
    while path:
        step = _item(node, path) or _member(node, path)
        if step is None:
            break
        mark_of, node, path = step
    return position_of(file, mark_of)


def position_of(file: str, node: yaml.Node) -> Position:
    """The place where a node begins."""
    return Position(file, node.start_mark.line + 1, node.start_mark.column + 1)


Step = tuple[yaml.Node, yaml.Node, str]
"""The node whose place counts, the node to go on from, and the rest of the path."""


def _item(node: yaml.Node, path: str) -> Step | None:
    match = _INDEX.match(path)
    if match is None or not isinstance(node, yaml.SequenceNode) or int(match[1]) >= len(node.value):
        return None
    item = node.value[int(match[1])]
    return item, item, path[match.end() :].removeprefix(".")


def _member(node: yaml.Node, path: str) -> Step | None:
    """The member whose key the path begins with: the longest one, because keys of maps may contain dots."""
    if not isinstance(node, yaml.MappingNode):
        return None
    found: tuple[int, Step] | None = None
    for key, value in _members(node):
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        rest = path[len(name) :]
        fits = name and path.startswith(name) and (not rest or rest[0] in ".[")
        if fits and (found is None or len(name) >= found[0]):
            found = len(name), (key, value, rest.removeprefix("."))
    return found[1] if found else None


def _members(node: yaml.MappingNode, depth: int = 0) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """The members of an object, those first that it merges (`<<`)."""
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == "<<" and depth < MAX_DEPTH:
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(source, yaml.MappingNode):
                    yield from _members(source, depth + 1)
    yield from node.value
