"""Manifests that are surely complete, found out without making values of them, in a tenth of the time.

Most manifests are plain: mappings and lists of words, numbers and short texts. Whether such a text is YAML at all is
asked of libyaml, which is quick as long as it need not show what it read. What stands where is told by the look of the
lines. That can be relied upon because only lines are accepted that close what they open, and that have no anchor,
alias, tag, or number that may be unreadable. About all other texts nothing is said.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import NamedTuple

import orjson

from app.rules.manifests import MAX_DEPTH, can_be_parsed

LONGEST = 64 * 1024
"""Characters of the texts that are looked at; shorter ones cannot hold too many values."""

_DEEPEST = 40
"""Spaces in front of a line. Every level but that of a list takes at least one more, so nothing nests too deeply."""

_KEY = r"[A-Za-z][A-Za-z0-9_./-]*+"
_QUOTED = r""""[^"\\]*"|'[^']*'"""
_PLAIN = r"-{0,2}[A-Za-z/](?:[^#:]|:(?=\S))*+|[-+]?[0-9](?:[^#:_]|:(?=\S)){0,200}+"
_ITEM = rf"(?:{_KEY}: +)?(?:{_QUOTED}|-{{0,2}}[A-Za-z0-9/][A-Za-z0-9 ./-]{{0,200}}+)"
_ITEMS = rf" *(?:{_ITEM} *(?:, *{_ITEM} *)*+)?"
_VALUE = rf"{_QUOTED}|\[{_ITEMS}\]|\{{{_ITEMS}\}}|{_PLAIN}|[|>][-+]?"
_LINE = re.compile(rf"( {{0,{_DEEPEST}}})(- +)?(?:({_KEY}):(?: +({_VALUE}))?|({_VALUE}))")
_NO_CONTENT = re.compile(r" *(?:#.*)?")
_OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029]")
_TEXT = re.compile(rf"""(?!(?i:true|false|yes|no|on|off|null)$){_KEY}|"[^"]+"|'[^']+'""")
_NAME_WITHIN = re.compile(r"""\{(?:[^"']*,)? *name: +([^,}"']*)[,}][^"']*""")


class _Line(NamedTuple):
    """One line with content; those of block texts (`|`, `>`) are left out."""

    indent: int
    dash: bool
    key: str
    value: str


def is_surely_complete(text: str) -> bool:
    """True when `text` is one object with apiVersion, kind and metadata.name; False says nothing."""
    if len(text) > LONGEST:
        return False
    complete = _is_complete_json(text) if text.startswith("{") else _is_complete_yaml(text)
    return complete and can_be_parsed(text)


def _is_complete_json(text: str) -> bool:
    """JSON is YAML, too."""
    if text.count("{") + text.count("[") >= MAX_DEPTH:
        return False
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    metadata = found.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return all(isinstance(value, str) and value for value in (found.get("apiVersion"), found.get("kind"), name))


def _is_complete_yaml(text: str) -> bool:
    lines = [] if _OTHER_BREAKS.search(text) else _lines(text)
    if not lines or lines[0].indent:
        return False
    top = [line for line in lines if not line.indent]
    return _is_text(_value(top, "apiVersion")) and _is_text(_value(top, "kind")) and _is_named(lines)


def _is_named(lines: list[_Line]) -> bool:
    """True when `metadata` is there once and has one name, in its own lines or in braces."""
    places = [place for place, line in enumerate(lines) if line.key == "metadata" and not line.indent and not line.dash]
    if len(places) != 1:
        return False
    line = lines[places[0]]
    if line.value:
        match = _NAME_WITHIN.fullmatch(line.value)
        return match is not None and line.value.count("name:") == 1 and _is_text(match[1])
    members = list(takewhile(lambda line: line.indent, lines[places[0] + 1 :]))
    return bool(members) and _is_text(_value([line for line in members if line.indent == members[0].indent], "name"))


def _value(lines: list[_Line], key: str) -> str:
    """The value of a key that is there once and without a dash; else empty."""
    values = [line.value for line in lines if line.key == key and not line.dash]
    return values[0] if len(values) == 1 else ""


def _is_text(value: str) -> bool:
    return _TEXT.fullmatch(value.rstrip()) is not None


def _lines(text: str) -> list[_Line]:
    """The lines with content; none when there is one whose look does not tell what it means."""
    lines: list[_Line] = []
    block_text = ""
    for written in text.split("\n"):
        if block_text and (written.startswith(block_text) or not written.strip(" ")):
            continue
        block_text = ""
        match = _LINE.fullmatch(written.rstrip(" "))
        if match is not None:
            indent, dash, key, value, item = match.groups("")
            if not key and not dash:
                return []
            lines.append(_Line(len(indent), bool(dash), key, value))
            if (value or item).startswith(("|", ">")):
                block_text = " " * (len(indent) + (len(dash) if key else 0) + 1)
        elif _NO_CONTENT.fullmatch(written) is None:
            return []
    return lines
