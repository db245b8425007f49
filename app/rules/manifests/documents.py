"""Manifests as kubectl reads them: YAML or JSON texts with one document or several, as values that JSON knows.

The one reader of manifests for admission, the controller and `drplan lint`. A text whose first sign is a brace is read
as a row of JSON objects, as kubectl does, and as YAML when it is none. A line that begins with `---` parts documents of
YAML.

It is safe against deep nesting, which makes libyaml's composer overflow the stack of the whole process, and against
aliases, which make much of little: levels are counted while the text is composed, values while they are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from app.engine.gotext import quote
from app.engine.text import short
from app.rules.manifests.json_text import JsonNumberError, JsonTextError, json_objects
from app.rules.manifests.scalars import MERGE, TEXT, Scalar, ScalarError, as_json, as_key, scalar
from app.rules.manifests.trees import MAX_DEPTH, PLAIN, UNREADABLE, Budget, ManifestError, TooManyError, composed

MAX_TAG_DIRECTIVES = 100
"""Times that `%TAG` may occur in a text. libyaml compares each directive with all before it."""

_SEPARATOR: Final = "---"
_MARK_IN_LINE: Final = "\n\ufeff"
_MOST_DOUBLED: Final = 5
_LIST: Final = "List"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a text, with where everything in it stands."""

    value: Any
    node: yaml.Node
    """The tree that `value` was made from; its marks count lines and columns from 0."""
    repeated: tuple[yaml.ScalarNode, ...] = ()
    """Keys that stand in the same mapping for the second time or more; the last one counts."""


def load_documents(text: str, budget: Budget | None = None) -> list[Any]:
    """Every document of a text, empty ones left out. Raises ManifestError, also when the budget is used up."""
    budget = budget or Budget()
    _refuse_directives(text)
    found, rest = _json(text, budget)
    _refuse_marks(rest)
    documents = [value for value, _, _ in found]
    for chunk, first_line in _chunks(rest):
        value, _ = _document(chunk, first_line, budget)
        documents.append(value)
    return [document for document in documents if document is not None]


def load_with_positions(text: str) -> list[Document]:
    """Every document of a text, empty ones left out, with positions. Raises ManifestError."""
    budget = Budget()
    _refuse_directives(text)
    found, rest = _json(text, budget)
    _refuse_marks(rest)
    documents = [_placed(value, text, start, end) for value, start, end in found]
    for chunk, first_line in _chunks(rest):
        value, node = _document(chunk, first_line, budget)
        if value is not None and node is not None:
            documents.append(_positioned(value, node, first_line))
    return documents


def doubled_problem(doubled: Sequence[str]) -> str:
    """What the strict reading of an API server says against keys that stand more than once; empty without any."""
    if not doubled:
        return ""
    return f"duplicate field {quote(short(doubled[0]))}: leave one of them out, or set fieldValidation: Ignore"


def objects_in(document: object) -> Iterator[object]:
    """The objects of a document: itself, or the items of a List, with Lists in it opened as well."""
    pending = [document]
    while pending:
        value = pending.pop()
        items = value.get("items") if isinstance(value, dict) and _is_list(value) else None
        if isinstance(items, list):
            pending += reversed(items)
        else:
            yield value


def _is_list(value: dict[str, Any]) -> bool:
    kind = value.get("kind")
    return isinstance(kind, str) and kind.endswith(_LIST)


def _refuse_directives(text: str) -> None:
    if text.count("%TAG") > MAX_TAG_DIRECTIVES:
        raise ManifestError(f"more than {MAX_TAG_DIRECTIVES} %TAG directives")


def _refuse_marks(text: str) -> None:
    """Refuse byte-order marks that begin a line, which libyaml skips and kubectl takes for a part of a key.

    Behind the line that ends an earlier document kubectl skips them, too.
    """
    place = text.find(_MARK_IN_LINE)
    while place >= 0:
        before = text[:place]
        if not (before.rpartition("\n")[2].startswith(_SEPARATOR) and before.partition(_SEPARATOR)[0].strip()):
            line = before.count("\n") + 2
            raise ManifestError(f"line {line}, column 1: a byte-order mark (U+FEFF): remove it", line, 1)
        place = text.find(_MARK_IN_LINE, place + 1)


def _json(text: str, budget: Budget) -> tuple[list[tuple[Any, int, int]], str]:
    """The JSON objects at the beginning of a text with where they start and end, and the rest, which is YAML."""
    if not text.lstrip().startswith("{"):
        return [], text
    found: list[tuple[Any, int, int]] = []
    end = 0
    try:
        for value, start, after in json_objects(text, budget.doubled):
            budget.left -= _counted(value)
            if budget.left < 0:
                raise ManifestError("more values than a manifest may have")
            found.append((value, start, after))
            end = after
    except JsonNumberError as error:
        raise ManifestError(str(error)) from error
    except JsonTextError as error:
        between = text[end:].partition("\n")[0].strip()
        if found and (len(found) > 1 or (between and not between.startswith(_SEPARATOR))):
            raise ManifestError(
                f"line {error.line}, column {error.column}: {error}", error.line, error.column
            ) from error
    else:
        return found, ""
    return found, "\n" * text.count("\n", 0, end) + text[end:].lstrip(" \t\r") if found else text


def _counted(value: object) -> int:
    """The number of values in JSON. Raises ManifestError for one that is nested too deeply."""
    pending, count = [(value, 1)], 0
    while pending:
        part, level = pending.pop()
        count += 1
        if isinstance(part, (dict, list)):
            if level >= MAX_DEPTH:
                raise ManifestError(f"nested deeper than {MAX_DEPTH} levels")
            if isinstance(part, dict):
                count += len(part)
            pending += [(inner, level + 1) for inner in (part.values() if isinstance(part, dict) else part)]
    return count


def _chunks(text: str) -> Iterator[tuple[str, int]]:
    """The documents of a YAML text and the lines they begin on, empty ones left out."""
    if _SEPARATOR not in text:
        yield text, 0
        return
    lines: list[str] = []
    first = 0
    for number, line in enumerate(text.split("\n")):
        if not line.startswith(_SEPARATOR):
            lines.append(line)
            continue
        after = line[len(_SEPARATOR) :].strip()
        if after and not after.startswith("#"):
            why = f"a document begins behind a line with {_SEPARATOR} alone, found {_SEPARATOR}{line[3:40]}"
            raise ManifestError(f"line {number + 1}, column 1: {why}", number + 1, 1)
        yield "\n".join(lines), first
        lines, first = [], number + 1
    yield "\n".join(lines), first


def _document(text: str, first_line: int, budget: Budget) -> tuple[Any, yaml.Node | None]:
    """The value and the tree of one document; None for both when there is none."""
    most = budget.left
    try:
        node = composed(text, budget) if text.strip() else None
        if node is not None:
            return _Maker(budget).value(node, 1), node
        budget.left -= 1
        if budget.left < 0:
            raise TooManyError("")
        return None, None
    except TooManyError:
        budget.left = -1
        raise ManifestError(f"more than {most} values when its aliases are expanded") from None
    except _MarkedError as error:
        raise _at(str(error), error.mark, first_line) from error
    except ManifestError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _at(error.problem or error.context or "unreadable", mark, first_line) from error
    except UNREADABLE as error:
        raise ManifestError(" ".join(str(error).split())) from error


class _MarkedError(ManifestError):
    """Something is wrong with one value."""

    def __init__(self, message: str, mark: yaml.Mark) -> None:
        super().__init__(message)
        self.mark = mark


class _Maker:
    """Makes values out of a tree. Aliases are followed anew each time, so that what they make of little is counted."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._open: set[int] = set()

    def value(self, node: yaml.Node, level: int) -> Any:  # noqa: ANN401 - any value of JSON
        """The value of a node."""
        self._count()
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.tag == TEXT else self._scalar(node)
        if level >= MAX_DEPTH:
            raise _MarkedError(f"nested deeper than {MAX_DEPTH} levels", node.start_mark)
        if id(node) in self._open:
            raise _MarkedError("an anchor contains itself", node.start_mark)
        self._open.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            made: Any = [self.value(item, level + 1) for item in node.value]
        else:
            made = {}
            self._fill(made, node, level)
        self._open.discard(id(node))
        return made

    def _count(self) -> None:
        self._budget.left -= 1
        if self._budget.left < 0:
            raise TooManyError("")

    def _scalar(self, node: yaml.ScalarNode) -> Scalar:
        try:
            return as_json(scalar(node.tag, node.value))
        except ScalarError as error:
            raise _MarkedError(str(error), node.start_mark) from None

    def _fill(self, into: dict[str, Any], node: yaml.Node, level: int) -> None:
        """Put the members of a mapping into `into`, merge keys where they stand, as go-yaml 2 does."""
        own: set[str] = set()
        for key, value in node.value:
            self._count()
            if _is_merge(key):
                self._merge(into, value, level)
                continue
            name = self._key(key)
            if name in own and len(self._budget.doubled) < _MOST_DOUBLED:
                self._budget.doubled.append(name)
            own.add(name)
            into[name] = self.value(value, level + 1)

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise _MarkedError("a list or an object cannot be a key", node.start_mark)
        try:
            return as_key(scalar(node.tag, node.value))
        except ScalarError as error:
            raise _MarkedError(str(error), node.start_mark) from None

    def _merge(self, into: dict[str, Any], node: yaml.Node, level: int) -> None:
        """Merge an object, or a list of which the first ones count most."""
        sources = reversed(node.value) if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise _MarkedError("<< takes an object or a list of objects", source.start_mark)
            self._count()
            if id(source) in self._open or level >= MAX_DEPTH:
                raise _MarkedError("an anchor contains itself", source.start_mark)
            self._open.add(id(source))
            self._fill(into, source, level + 1)
            self._open.discard(id(source))


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and key.tag in (PLAIN, MERGE)


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
                if isinstance(key, yaml.ScalarNode) and not _is_merge(key):
                    if (key.tag, key.value) in keys:
                        yield key
                    keys.add((key.tag, key.value))


def _placed(value: object, text: str, start: int, end: int) -> Document:
    """A JSON object with its positions. YAML knows them, unless the text has what only JSON may have."""
    first_line = text.count("\n", 0, start)
    try:
        node = composed(text[start:end], Budget())
    except (ManifestError, *UNREADABLE):
        node = None
    if not isinstance(node, yaml.MappingNode):
        node = yaml.MappingNode("", [], _mark(0, 0), _mark(0, 0))
    return _positioned(value, node, first_line)


def _positioned(value: object, root: yaml.Node, first_line: int) -> Document:
    """A document whose tree was composed of a part of the text; from now on it counts lines as the text does."""
    repeated = tuple(_repeated(root))
    pending, seen = [root], set[int]()
    while first_line and pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        node.start_mark = _mark(node.start_mark.line + first_line, node.start_mark.column)
        if isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.MappingNode):
            pending += [part for member in node.value for part in member]
    return Document(value, root, repeated)


def _mark(line: int, column: int) -> yaml.Mark:
    return yaml.Mark("", 0, line, column, None, 0)


def _at(problem: str, mark: yaml.Mark | None, first_line: int) -> ManifestError:
    if mark is None:
        return ManifestError(problem)
    line, column = mark.line + 1 + first_line, mark.column + 1
    return ManifestError(f"line {line}, column {column}: {problem}", line, column)
