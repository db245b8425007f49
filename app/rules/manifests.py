"""YAML manifests of KubernetesResource actions: reading them safely.

The reader is safe against deep nesting, which makes libyaml's composer overflow the stack of the whole process, and
against aliases, which make much of little. It leaves timestamps and sexagesimal numbers as the text that kubectl sees.

A text without anchors is parsed once: its levels and values are counted while it is composed. Any other one, and one
with which something is wrong, is walked first, event by event, which tells exactly what is refused and why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MAX_DEPTH = 100
"""Levels of nesting that a manifest may have."""

MAX_NODES = 200_000
"""Values that a manifest may have, aliases expanded."""

MAX_TAG_DIRECTIVES = 100
"""Times that `%TAG` may occur in a text. libyaml compares each directive with all before it."""


class ManifestError(ValueError):
    """The text is no YAML that can be read; the message says where.

    `line` and `column` count from 1; 0 when the problem has no single place.
    """

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 as kubectl reads it: no timestamps, no sexagesimal numbers."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401  (any YAML value)
        """The value of a node. Most are texts, which hold nothing that the base class would have to watch."""
        if node.tag == _TEXT and isinstance(node, yaml.ScalarNode):
            return node.value
        return super().construct_object(node, deep)


_TEXT = "tag:yaml.org,2002:str"
_UNREADABLE = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError)
"""What reading a text may raise; the last two come from values that do not fit their explicit tag (`!!bool maybe`)."""

_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int", ":float"))]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)"
        r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def _without_base_60(
    construct: Callable[[_Loader, yaml.ScalarNode], float],
) -> Callable[[_Loader, yaml.ScalarNode], float]:
    """A constructor of numbers that refuses `!!int 12:30:45`, as kubectl does: a long one would take minutes."""

    def number(loader: _Loader, node: yaml.ScalarNode) -> float:
        if ":" in str(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a number has no colon", node.start_mark)
        return construct(loader, node)

    return number


_Loader.add_constructor("tag:yaml.org,2002:int", _without_base_60(_Loader.construct_yaml_int))
_Loader.add_constructor("tag:yaml.org,2002:float", _without_base_60(_Loader.construct_yaml_float))


@dataclass(slots=True)
class Budget:
    """How many values may be read; several texts can share one."""

    left: int = MAX_NODES
    """Values that may still be read, aliases expanded and each scalar one however long; negative: there were more."""


_NEEDS_A_WALK = re.compile(r"[&*][0-9A-Za-z_-]|%TAG")
"""What every anchor, alias and `%TAG` has in it. The composer does not tell of aliases, nor does it read directives."""


class _Counting(_Loader):
    """Stops composing at the first value too many or too deep; the composer tells where it is for the resolver's sake.

    It stops one level early where only the walk can tell a scalar, which is allowed there, from what goes on.
    """

    def __init__(self, text: str, left: int) -> None:
        super().__init__(text)
        self.left = left
        self.level = 0

    def descend_resolver(self, *_: object) -> None:
        """Count a value that begins."""
        self.level += 1
        self.left -= 1
        if self.level >= MAX_DEPTH or self.left < 0:
            raise ManifestError("")

    def ascend_resolver(self) -> None:
        """Leave the value."""
        self.level -= 1


def load_documents(text: str, budget: Budget | None = None) -> list[Any]:
    """Every document of a YAML text, empty ones left out. Raises ManifestError, also when the budget is used up."""
    budget = budget or Budget()
    documents = _read_once(text, budget)
    if documents is not None:
        return documents
    try:
        _bound(text, budget)
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except _UNREADABLE as error:
        raise _told(error) from error


def _read_once(text: str, budget: Budget) -> list[Any] | None:
    """Every document that is not empty; None, and no budget used, when the text must be walked first."""
    if _NEEDS_A_WALK.search(text):
        return None
    try:
        loader = _Counting(text, budget.left)
        documents = [loader.construct_document(node) for node in _nodes(loader)]
    except _UNREADABLE:
        return None
    budget.left = loader.left
    return [document for document in documents if document is not None]


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a YAML text, with where everything in it stands."""

    value: Any
    node: yaml.Node
    """The tree that `value` was made from; its marks count lines and columns from 0. Merge keys (`<<`) are resolved."""
    repeated: tuple[yaml.ScalarNode, ...]
    """Keys that stand in the same mapping for the second time or more; the last one counts."""


def load_with_positions(text: str) -> list[Document]:
    """Every document of a YAML text, empty ones left out, with positions. Raises ManifestError."""
    try:
        _bound(text, Budget())
        return [document for document in _compose(text) if document.value is not None]
    except _UNREADABLE as error:
        raise _told(error) from error


def _compose(text: str) -> Iterator[Document]:
    loader = _Loader(text)
    for node in _nodes(loader):
        repeated = tuple(_repeated(node))
        yield Document(loader.construct_document(node), node, repeated)


def _nodes(loader: _Loader) -> Iterator[yaml.Node]:
    """The tree of each document."""
    try:
        while loader.check_node() and (node := loader.get_node()) is not None:
            yield node
    finally:
        loader.dispose()


def _repeated(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    pending, seen = [root], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.MappingNode):
            pending += [value for _, value in node.value]
            keys: set[tuple[str, str]] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if (key.tag, key.value) in keys:
                        yield key
                    keys.add((key.tag, key.value))


def _bound(text: str, budget: Budget) -> None:
    """Refuse a text that is nested too deeply, contains itself, or has more values than the budget.

    It stops at the first of these, so that what it takes is bounded as well.
    """
    if text.count("%TAG") > MAX_TAG_DIRECTIVES:
        raise ManifestError(f"more than {MAX_TAG_DIRECTIVES} %TAG directives")
    most = budget.left
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=_Loader):
        anchor, size = getattr(event, "anchor", None), 1
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((anchor, budget.left))
            if len(open_nodes) >= MAX_DEPTH:
                raise ManifestError(f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            size = 0
            if anchor is not None:
                sizes[anchor] = before - budget.left
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == opened for opened, _ in open_nodes):
                raise ManifestError(f"anchor '{anchor}' contains itself")
            size = sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            if anchor is not None:
                sizes[anchor] = 1
        else:
            continue
        budget.left -= size
        if budget.left < 0:
            raise ManifestError(f"more than {most} values when its aliases are expanded")


def _told(error: Exception) -> ManifestError:
    if not isinstance(error, yaml.MarkedYAMLError):
        plain = isinstance(error, yaml.YAMLError | ValueError | TypeError)
        return ManifestError(
            " ".join(str(error).split()) if plain else "a value does not fit the tag (!!) in front of it"
        )
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "unreadable"
    if mark is None:
        return ManifestError(problem)
    line, column = mark.line + 1, mark.column + 1
    return ManifestError(f"line {line}, column {column}: {problem}", line, column)
