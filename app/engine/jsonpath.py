"""jsonPath as kubectl understands it, for parameters that are read from objects.

The dialect, its oddities, the printed form of results and the error texts are those of client-go `util/jsonpath`,
because users try their expressions with kubectl; the tests compare with it. Three things differ on purpose. Members
are visited in the order of their names; there it is random. A filter on something that is no list names its type, not
its whole content, which may be secret. And the work that one expression may cause is bounded.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from app.engine.gotext import compact_json, quote, scalar
from app.engine.jsonpath_parser import (
    Action,
    Field,
    Filter,
    JsonPathSyntaxError,
    Keyword,
    Literal,
    Node,
    Recursive,
    Slice,
    Template,
    Union,
    Wildcard,
    parse_template,
)
from app.engine.text import short

LONGEST = 4096
"""Characters of an expression at most."""
MAX_CHARACTERS = 1024 * 1024
"""How long a result may be: no object holds more, but an expression may print the same object again and again."""
MAX_VALUES = 200_000
"""How many values all steps of an expression may yield together."""
MAX_RANGES = 32
"""How deep `{range}` blocks may be nested."""

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TYPE_NAMES = {
    dict: "map[string]interface {}",
    list: "[]interface {}",
    str: "string",
    bool: "bool",
    int: "int64",
    float: "float64",
    type(None): "<nil>",
}


class JsonPathError(ValueError):
    """An expression that cannot be parsed, finds nothing or cannot be applied to the document."""


class _FieldNotFoundError(JsonPathError):
    """No value has the member asked for."""


class _TooMuchError(JsonPathError):
    """The expression causes more work than is allowed."""


def check_syntax(expression: str) -> None:
    """Raise `JsonPathError` with the API's text when `expression` cannot be parsed."""
    _parse(expression)


def evaluate(expression: str, document: object) -> str:
    """Return what `expression` finds in a JSON document, as trimmed text that is not empty.

    Several results are joined by blanks, objects and lists are compact JSON. Raises `JsonPathError` with the API's
    texts, for example `jsonPath execution failed for "{.a}": a is not found`.
    """
    template = _parse(expression)
    try:
        text = _print(_Evaluation(template).results([document]))
    except JsonPathError as error:
        raise JsonPathError(f"jsonPath execution failed for {quote(expression)}: {error}") from error
    except RecursionError as error:
        raise JsonPathError(
            f"jsonPath execution failed for {quote(expression)}: the result is nested too deeply"
        ) from error
    if not text.strip():
        raise JsonPathError(f"jsonPath {quote(expression)} returned empty value")
    return text.strip()


def _parse(expression: str) -> Template:
    if len(expression) > LONGEST:
        told = f"it has {len(expression)} characters, more than {LONGEST}"
        raise JsonPathError(f"invalid jsonPath expression {quote(short(expression))}: {told}")
    try:
        return parse_template(expression)
    except JsonPathSyntaxError as error:
        raise JsonPathError(f"invalid jsonPath expression {quote(expression)}: {error}") from error


def _print(parts: Iterable[Iterable[object]]) -> str:
    """Return the results of all parts as one text, which is given up as soon as it is too long."""
    pieces: list[str] = []
    length = 0
    for results in parts:
        for index, one in enumerate(results):
            piece = compact_json(one) if isinstance(one, dict | list) else scalar(one)
            pieces += [" ", piece] if index else [piece]
            length += len(piece) + 1
            if length > MAX_CHARACTERS:
                raise _TooMuchError(f"the result has more than {MAX_CHARACTERS} characters, use a narrower expression")
    return "".join(pieces)


class _Evaluation:
    """One run through a template; the counters follow the nesting of its `{range}` blocks."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._begun = 0
        self._inside = 0
        self._ended = 0
        self._last_end = -1
        self._yielded = 0

    def results(self, current: list[object], first: int = 0) -> list[list[object]]:
        """Return what each part from number `first` on yields for `current`, up to the end of the enclosing range."""
        found: list[list[object]] = []
        position = first
        while position < len(self._template):
            values = self._part(current, self._template[position])
            if 0 < self._ended <= self._inside:
                self._ended -= 1
                self._last_end = position
                break
            if self._begun:
                found += self._loop(values, position + 1)
                position = max(position, self._last_end)
            else:
                found.append(values)
            position += 1
        return found

    def _loop(self, values: list[object], body: int) -> list[list[object]]:
        """Return the body of a range, once for each value.

        Without a value it is still run, on nothing, so that its end is found; this fails where the body asks for a
        field, as in client-go.
        """
        self._begun -= 1
        self._inside += 1
        if self._inside > MAX_RANGES:
            raise _TooMuchError(f"more than {MAX_RANGES} ranges inside each other")
        found: list[list[object]] = []
        for value in values:
            found += self.results([_NOTHING if value is None else value], body)
        if not values:
            self.results([_NOTHING], body)
        self._inside -= 1
        return found

    def _part(self, current: list[object], part: Literal | Action) -> list[object]:
        return [part.value] if isinstance(part, Literal) else self._action(current, part)

    def _action(self, values: list[object], action: Action) -> list[object]:
        self._spend(1)
        for node in action.nodes:
            values = self._node(values, node)
            self._spend(len(values))
        return values

    def _spend(self, count: int) -> None:
        self._yielded += count
        if self._yielded > MAX_VALUES:
            raise _TooMuchError(f"more than {MAX_VALUES} values to look at, use a narrower expression")

    def _node(self, values: list[object], node: Node) -> list[object]:
        match node:
            case Literal(value):
                return [value] if isinstance(value, str) else [value] * len(values)
            case Field(name):
                return _field(values, name)
            case Keyword(name):
                return self._keyword(values, name)
            case Slice():
                return self._slices(values, node)
            case Wildcard():
                return self._of_each(values, _children)
            case Recursive():
                return self._of_each(values, _descend)
            case Union():
                return self._union(values, node)
            case Filter():
                return self._of_each(values, lambda value: [i for i in _items(value) if self._holds(i, node)])

    def _of_each(self, values: list[object], find: Callable[[object], Sequence[object]]) -> list[object]:
        found: list[object] = []
        for value in values:
            part = find(value)
            self._spend(len(part))
            found += part
        return found

    def _slices(self, values: list[object], node: Slice) -> list[object]:
        """Return the slice of each list; the first empty one ends the search, as in client-go."""
        found: list[object] = []
        for value in values:
            part = None if value is None else _slice(value, node)
            if part is not None and not part:
                break
            found += part or ()
        return found

    def _union(self, values: list[object], node: Union) -> list[object]:
        try:
            return [found for one in node.alternatives for found in self._action(values, one)]
        except _FieldNotFoundError as error:
            raise JsonPathError(str(error)) from error

    def _keyword(self, values: list[object], name: str) -> list[object]:
        if name == "range":
            self._begun += 1
            return values
        if name != "end":
            raise JsonPathError(f"unrecognized identifier {name}")
        if not self._inside:
            raise JsonPathError("not in range, nothing to end")
        self._ended += 1
        return []

    def _holds(self, item: object, node: Filter) -> bool:
        if node.operator == "exists":
            return self._exists(item, node.left)
        left, right = self._action([item], node.left), self._action([item], node.right)
        if not left or not right:
            return False
        if len(left) > 1 or len(right) > 1:
            raise JsonPathError("can only compare one element at a time")
        return _compare(left[0], node.operator, right[0])

    def _exists(self, item: object, path: Action) -> bool:
        """Whether `path` finds something; in client-go whatever fails otherwise than by a missing field counts too."""
        try:
            return bool(self._action([item], path))
        except _FieldNotFoundError:
            return False
        except _TooMuchError:
            raise
        except JsonPathError:
            return True


class _Nothing:
    """Stands for what the body of a range works on when the range is empty, or its value null."""

    def __str__(self) -> str:
        return "<no value>"


_NOTHING = _Nothing()


def _field(values: list[object], name: str) -> list[object]:
    found = [value[name] for value in values if isinstance(value, dict) and name in value]
    if values and not found:
        raise _FieldNotFoundError(f"{name} is not found")
    return found


def _children(value: object) -> Sequence[object]:
    """Members in the order of their names, items, or the bytes of a text."""
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    if isinstance(value, list):
        return value
    return value.encode("utf-8", "replace") if isinstance(value, str) else ()


def _descend(value: object) -> list[object]:
    """`value` and everything below it, parents first, leaving out what has no children; no more than is allowed."""
    found: list[object] = []
    pending = [value]
    while pending and len(found) <= MAX_VALUES:
        one = pending.pop()
        children = _children(one)
        if children:
            found.append(one)
        if not isinstance(one, str):
            pending.extend(reversed(children))
    return found


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise JsonPathError(f"{_type_name(value)} is not array or slice and cannot be filtered")
    return value


def _slice(value: object, node: Slice) -> list[object]:
    if not isinstance(value, list):
        raise JsonPathError(f"{_type_name(value)} is not array or slice")
    length = len(value)
    start = node.start or 0
    start += length if start < 0 else 0
    end = length if node.end is None else node.end
    end += length if end < 0 or (end == 0 and node.single) else 0
    if start == end:
        return []
    for index, beyond in ((start, not 0 <= start < length), (end - 1, not 0 <= end <= length)):
        if beyond:
            raise JsonPathError(f"array index out of bounds: index {index}, length {length}")
    if start > end:
        raise JsonPathError(f"starting index {start} is greater than ending index {end}")
    if node.step is not None and node.step <= 0:
        raise JsonPathError("step must be > 0")
    return value[start : end : node.step or 1]


def _compare(left: object, sign: str, right: object) -> bool:
    """Compare two scalars of one type; whole numbers and floats are different types, as in client-go."""
    if sign not in _COMPARISONS:
        raise JsonPathError(f"unrecognized filter operator {sign}")
    kinds = {_type_name(left), _type_name(right)}
    if not kinds <= {"string", "bool", "int64", "float64"}:
        raise JsonPathError("invalid type for comparison")
    if len(kinds) > 1:
        raise JsonPathError("incompatible types for comparison")
    if kinds == {"bool"} and sign not in ("==", "!="):
        raise JsonPathError("invalid type for comparison")
    return _COMPARISONS[sign](left, right)


def _type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value), "<nil>")
