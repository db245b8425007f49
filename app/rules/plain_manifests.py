"""Manifests that are surely complete, found out without making values of them, in a tenth of the time.

Most manifests are plain: mappings and lists of words, numbers and short texts. Whether such a text is YAML at all is
asked of libyaml, which is quick as long as it need not show what it read. What stands where is told by the look of the
lines. That can be relied upon because only lines are accepted that close what they open, and that have no anchor,
alias, tag, or number that may be unreadable. About all other texts nothing is said.
"""

from __future__ import annotations

import re
from itertools import takewhile
from operator import itemgetter

import orjson

from app.rules.manifests import MAX_DEPTH, can_be_parsed

LONGEST = 64 * 1024
"""Characters of the texts that are looked at; shorter ones cannot hold too many values."""

_DEEPEST = 40
"""Spaces in front of a line. Every level but that of a list takes at least one more, so nothing nests too deeply."""

_KEY = r"[A-Za-z][A-Za-z0-9_./-]*+"
_QUOTED = r""""[^"\\]*"|'[^']*'"""
_PLAIN = r"-{0,2}[A-Za-z/$](?:[^#:]|:(?=\S))*+|[-+]?[0-9](?:[^#:_]|:(?=\S)){0,200}+"
_WORDS = r"-{0,2}(?:[A-Za-z/$][A-Za-z0-9_ ./$()-]{0,200}+|[0-9][A-Za-z0-9 ./-]{0,200}+)"
_ITEM = rf"(?:{_KEY}: +)?(?:{_QUOTED}|{_WORDS})"
_ITEMS = rf" *(?:{_ITEM} *(?:, *{_ITEM} *)*+)?"
_VALUE = rf"{_QUOTED}|\[{_ITEMS}\]|\{{{_ITEMS}\}}|{_PLAIN}|[|>][-+]?"
_LINE = re.compile(rf"( {{0,{_DEEPEST}}})(- +)?(?:({_KEY}):(?: +({_VALUE}))?|({_VALUE})) *+")
_NO_CONTENT = re.compile(r" *(?:#.*)?")
_LONG_NUMBER = re.compile("[0-9]{200}")
_OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029]")
_TEXT = re.compile(r"""(?!(?i:true|false|yes|no|on|off|null) *$)[A-Za-z$][A-Za-z0-9_./$()-]*+ *|"[^"]+"|'[^']+'""")
_NAME_WITHIN = re.compile(r"""\{(?:[^"']*,)? *name: +([^,}"']*)[,}][^"']*""")


_Line = tuple[int, str, str, str]
"""Spaces, dash, key and value (or the item after the dash) of a line with content."""


def is_surely_complete(text: str) -> bool:
    """True when `text` is one object with apiVersion, kind and metadata.name; False says nothing."""
    if len(text) > LONGEST:
        return False
    complete = _is_complete_json(text) if text.startswith("{") else _is_complete_yaml(text)
    return complete and can_be_parsed(text)


def _is_complete_json(text: str) -> bool:
    """JSON is YAML, too."""
    if text.count("{") + text.count("[") >= MAX_DEPTH or _LONG_NUMBER.search(text):
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
    if not lines or lines[0][0]:
        return False
    places = [place for place, (indent, _, key, _) in enumerate(lines) if key == "metadata" and not indent]
    return (
        len(places) == 1
        and _has_text(lines, 0, "apiVersion")
        and _has_text(lines, 0, "kind")
        and _is_named(lines[places[0] :])
    )


def _is_named(lines: list[_Line]) -> bool:
    """True when what begins with `metadata` has one name there, in lines of its own or in braces."""
    _, dash, _, value = lines[0]
    if value or dash:
        match = _NAME_WITHIN.fullmatch(value)
        return match is not None and value.count("name:") == 1 and _TEXT.fullmatch(match[1]) is not None
    members = list(takewhile(itemgetter(0), lines[1:]))
    return bool(members) and _has_text(members, members[0][0], "name")


def _has_text(lines: list[_Line], indent: int, key: str) -> bool:
    """True when one of the lines with so many spaces has the key, and text behind it."""
    found = [(line[1], line[3]) for line in lines if line[2] == key and line[0] == indent]
    return len(found) == 1 and not found[0][0] and _TEXT.fullmatch(found[0][1]) is not None


def _lines(text: str) -> list[_Line]:
    """The lines with content; none when there is one whose look does not tell what it means."""
    lines: list[_Line] = []
    block_text = ""
    for written in text.split("\n"):
        if block_text and (written.startswith(block_text) or not written.strip(" ")):
            continue
        block_text = ""
        match = _LINE.fullmatch(written)
        if match is not None:
            indent, dash, key, value, item = match.groups("")
            if not key and not dash:
                return []
            lines.append((len(indent), dash, key, value or item))
            if (value or item)[:1] in ("|", ">"):
                block_text = " " * (len(indent) + (len(dash) if key else 0) + 1)
        elif _NO_CONTENT.fullmatch(written) is None:
            return []
    return lines
