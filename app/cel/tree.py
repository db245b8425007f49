"""The syntax tree of a compiled expression, read from the form that the CEL runtime serialises.

The runtime shows its trees in no other way than as a protobuf message (`cel.expr.CheckedExpr`). Only what is needed to
tell what an expression names is read: kinds of nodes, names, texts; no types and no positions.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}

_PACKED = 2
"""`Any.value`, around the whole."""
_ROOT = 4
"""`CheckedExpr.expr`."""
_CONST, _IDENT, _SELECT, _CALL, _LIST, _STRUCT, _LOOP = range(3, 10)
"""Members of `Expr`, one of which a node has."""
_STRING = 6
"""`Constant.string_value`."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text literal."""

    value: str


@dataclass(frozen=True, slots=True)
class Value:
    """A literal that is no text."""


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`operand.field`; `asked` for `has(operand.field)`."""

    operand: Node
    field: str
    asked: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator, the object of a method first."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """What `all`, `exists`, `map` and `filter` become: `items` are gone through, `parts` see the `variables`."""

    variables: tuple[str, ...]
    items: Node
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A list or a map: nothing but its children matters."""

    children: tuple[Node, ...] = ()


Node = Text | Value | Name | Member | Call | Loop | Group


def tree_of(checked: bytes) -> Node:
    """Return the tree in a serialised expression. Raises ValueError when it is none."""
    return _node(_message(_message(checked, _PACKED), _ROOT))


def _node(data: bytes) -> Node:
    for number, value in _messages(data, range(_CONST, _LOOP + 1)):
        return _READERS[number](value)
    return Value()


def _literal(data: bytes) -> Node:
    return next((Text(value.decode()) for _, value in _messages(data, (_STRING,))), Value())


def _name(data: bytes) -> Node:
    return Name(_message(data, 1).decode())


def _select(data: bytes) -> Node:
    asked = any(number == 3 for number, _ in _members(data))
    return Member(_node(_message(data, 1)), _message(data, 2).decode(), asked)


def _call(data: bytes) -> Node:
    return Call(_message(data, 2).decode(), _nodes(data, (1, 3)))


def _list(data: bytes) -> Node:
    return Group(_nodes(data, (1,)))


def _struct(data: bytes) -> Node:
    return Group(tuple(child for _, entry in _messages(data, (2,)) for child in _nodes(entry, (3, 4))))


def _loop(data: bytes) -> Node:
    variables = tuple(name.decode() for _, name in _messages(data, (1, 3, 8)))
    return Loop(variables, _node(_message(data, 2)), _nodes(data, (4, 5, 6, 7)))


_READERS = {
    _CONST: _literal,
    _IDENT: _name,
    _SELECT: _select,
    _CALL: _call,
    _LIST: _list,
    _STRUCT: _struct,
    _LOOP: _loop,
}


def _nodes(data: bytes, wanted: Container[int]) -> tuple[Node, ...]:
    return tuple(_node(value) for _, value in _messages(data, wanted))


def _message(data: bytes, wanted: int) -> bytes:
    return next((value for _, value in _messages(data, (wanted,))), b"")


def _messages(data: bytes, wanted: Container[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the members that are messages or texts and whose number is `wanted`."""
    for number, value in _members(data):
        if number in wanted and isinstance(value, bytes):
            yield number, value


def _members(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each member of a protobuf message, in the order stored."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, position = _varint(data, position)
        elif kind in _WIDTH:
            size = _WIDTH[kind]
        else:
            raise ValueError(f"protobuf wire type {kind} is not known")
        yield tag >> 3, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("protobuf message ends inside a number")
