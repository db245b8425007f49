"""Parser of jsonPath templates in the dialect of kubectl (client-go `util/jsonpath`).

A template is literal text with actions in braces; an action is a row of nodes, each working on what the one before
found. The parser keeps the dialect's oddities, because users try their expressions with kubectl: `['a.b']` is the
same as `.a.b`, a dot or blank in a key needs a backslash, `$` and `@` are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SLICE = re.compile(r"(-?[0-9]*)(:-?[0-9]*)?(:-?[0-9]*)?")
_FILTER = re.compile(r"([^!<>=]+)([!<>=]+)(.+)")
_QUOTED_KEY = re.compile(r"'([^']*)'")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(['\"]))")
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_TERMINATORS = frozenset(" \t\r\n.,[]$@{}")


class JsonPathSyntaxError(ValueError):
    """A template that cannot be parsed."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: text outside braces, a quoted text, a number or a boolean."""

    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Field:
    """`.name`: the member of an object."""

    name: str


@dataclass(frozen=True, slots=True)
class Keyword:
    """`range` or `end`; any other word is an error when it is evaluated."""

    name: str


@dataclass(frozen=True, slots=True)
class Slice:
    """`[start:end:step]` of a list; a single index has an end of its own."""

    start: int | None
    end: int | None
    step: int | None
    single: bool
    """Whether `end` was derived from `start`, that is, one element is meant."""


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`.*`: every member or item."""


@dataclass(frozen=True, slots=True)
class Recursive:
    """`..`: everything below that has members or items, the value itself included."""


@dataclass(frozen=True, slots=True)
class Union:
    """`[a,b]`: what each alternative finds, one after the other."""

    alternatives: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(left operator right)]`: the items of a list for which it holds; the operator `exists` has no right."""

    left: Action
    operator: str
    right: Action


@dataclass(frozen=True, slots=True)
class Action:
    """The nodes between one pair of braces."""

    nodes: tuple[Node, ...]


Node = Literal | Field | Keyword | Slice | Wildcard | Recursive | Union | Filter
Template = tuple[Literal | Action, ...]


def parse_template(text: str) -> Template:
    """Return the parts of a template in order; raises `JsonPathSyntaxError`."""
    parts: list[Literal | Action] = []
    position = 0
    while (brace := text.find("{", position)) >= 0:
        if brace > position:
            parts.append(Literal(text[position:brace]))
        action = _ActionParser(text, brace + 1)
        parts.append(action.parse())
        position = action.position
    if position < len(text):
        parts.append(Literal(text[position:]))
    return tuple(parts)


def _parse_action(inner: str) -> Action:
    """`inner` as if it stood between braces."""
    return _ActionParser(inner + "}", 0).parse()


class _ActionParser:
    """Reads one action from `text`, starting behind its opening brace."""

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position
        self.nodes: list[Node] = []

    def parse(self) -> Action:
        """Read up to and including the closing brace."""
        while not self._ahead("}"):
            self._node()
        self.position += 1
        return Action(tuple(self.nodes))

    def _ahead(self, prefix: str) -> bool:
        return self.text.startswith(prefix, self.position)

    def _next(self) -> str:
        """Return the next character, consumed; empty at the end of the text."""
        character = self.text[self.position : self.position + 1]
        self.position += len(character)
        return character

    def _node(self) -> None:
        if self._ahead("[?("):
            return self._filter()
        if self._ahead(".."):
            return self._recursive()
        start = self.position
        character = self._next()
        if character in ("", "\r", "\n"):
            raise JsonPathSyntaxError("unclosed action")
        if character in " @$":
            return None
        if character == "[":
            return self._brackets()
        if character in "\"'":
            return self._quoted(character)
        if character == ".":
            return self._field()
        self.position = start
        if character in "+-" or character.isdecimal():
            return self._number()
        if character == "_" or character.isalpha():
            return self._word()
        raise JsonPathSyntaxError(f"unrecognized character in action: U+{ord(character):04X} '{character}'")

    def _word(self) -> None:
        start = self.position
        while self.text[self.position : self.position + 1] not in _TERMINATORS | {""}:
            self.position += 1
        word = self.text[start : self.position]
        self.nodes.append(Literal(word == "true") if word in ("true", "false") else Keyword(word))

    def _recursive(self) -> None:
        if self.nodes and isinstance(self.nodes[-1], Recursive):
            raise JsonPathSyntaxError("invalid multiple recursive descent")
        self.position += len("..")
        self.nodes.append(Recursive())
        following = self.text[self.position : self.position + 1]
        if following == "_" or following.isalpha() or following.isdecimal():
            self._field()

    def _field(self) -> None:
        start = self.position
        while self.text[self.position : self.position + 1] not in _TERMINATORS | {""}:
            self.position += 2 if self._ahead("\\") else 1
        self.position = min(self.position, len(self.text))
        name = self.text[start : self.position]
        self.nodes.append(Wildcard() if name == "*" else Field(name.replace("\\", "")))

    def _number(self) -> None:
        start = self.position
        if self.text[start] in "+-":
            self.position += 1
        while (character := self._next()) == "." or character.isdecimal():
            pass
        self.position -= len(character)
        text = self.text[start : self.position]
        whole = _int64(text)
        if whole is not None:
            self.nodes.append(Literal(whole))
        elif _FLOAT.fullmatch(text):
            self.nodes.append(Literal(float(text)))
        else:
            raise JsonPathSyntaxError(f"cannot parse number {text}")

    def _quoted(self, mark: str) -> None:
        start = self.position
        while True:
            character = self._next()
            if character in ("", "\n"):
                raise JsonPathSyntaxError("unterminated quoted string")
            if character == mark and self.text[self.position - 2] != "\\":
                break
        self.nodes.append(Literal(_unquoted(self.text[start : self.position - 1], mark)))

    def _brackets(self) -> None:
        start = self.position
        while (character := self._next()) != "]":
            if character in ("", "\n"):
                raise JsonPathSyntaxError("unterminated array")
        inner = self.text[start : self.position - 1]
        alternatives = inner.split(",")
        key = _QUOTED_KEY.fullmatch(inner)
        if len(alternatives) > 1:
            self.nodes.append(Union(tuple(_parse_action(f"[{one.strip(' ')}]") for one in alternatives)))
        elif key:
            self.nodes += _parse_action("." + key[1]).nodes
        else:
            self.nodes.append(_slice(":" if inner == "*" else inner))

    def _filter(self) -> None:
        self.position += len("[?(")
        start = self.position
        opened = closed = ""
        while True:
            character = self._next()
            if character in ("", "\n"):
                raise JsonPathSyntaxError("unterminated filter")
            if character in "\"'" and not opened:
                opened = character
            elif character == opened and self.text[self.position - 2] != "\\":
                closed = character
            elif character == ")" and opened == closed:
                break
        inner = self.text[start : self.position - 1]
        if self._next() != "]":
            raise JsonPathSyntaxError("unclosed array expect ]")
        comparison = _FILTER.fullmatch(inner)
        if comparison:
            left, right = _parse_action(comparison[1]), _parse_action(comparison[3])
            self.nodes.append(Filter(left, comparison[2], right))
        else:
            self.nodes.append(Filter(_parse_action(inner), "exists", Action(())))


def _slice(text: str) -> Slice:
    match = _SLICE.fullmatch(text)
    if match is None:
        raise JsonPathSyntaxError(f"invalid array index {text}")
    start, end, step = (None if part is None else part.removeprefix(":") for part in match.groups())
    first = _index(start)
    if end is None:
        return Slice(first, (first or 0) + 1, _index(step), single=True)
    return Slice(first, _index(end), _index(step), single=False)


def _index(text: str | None) -> int | None:
    if not text:
        return None
    index = _int64(text)
    if index is None:
        raise JsonPathSyntaxError(f"array index {text} is not a number")
    return index


def _int64(text: str) -> int | None:
    """Return the 64-bit number that `text` is; None for any other text."""
    if not _INTEGER.fullmatch(text) or len(text.lstrip("+-0")) > len(str(2**63)):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def _unquoted(text: str, mark: str) -> str:
    """Return the content of a quoted text with its escapes resolved; a hexadecimal or octal escape is one byte."""
    if "\\" not in text:
        return text
    content = bytearray()
    position = 0
    while position < len(text):
        if text[position] != "\\":
            content += text[position].encode("utf-8", "replace")
            position += 1
            continue
        match = _ESCAPE.match(text, position)
        if match is None:
            raise _bad_quote(text, mark)
        content += _escaped(match, text, mark)
        position = match.end()
    return content.decode("utf-8", "replace")


def _escaped(match: re.Match[str], text: str, mark: str) -> bytes:
    short, byte, rune, long_rune, octal, quote_mark = match.groups()
    if short:
        return _ESCAPED[short].encode()
    if quote_mark == mark:
        return mark.encode()
    number = int(byte or rune or long_rune or "0", 16) if octal is None else int(octal, 8)
    one_byte = byte is not None or octal is not None
    if quote_mark or number > (0xFF if one_byte else 0x10FFFF) or (not one_byte and 0xD800 <= number < 0xE000):
        raise _bad_quote(text, mark)
    return bytes([number]) if one_byte else chr(number).encode("utf-8")


def _bad_quote(text: str, mark: str) -> JsonPathSyntaxError:
    return JsonPathSyntaxError(f"unquote string {mark}{text}{mark} error invalid syntax")
