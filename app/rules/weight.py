"""Whether judging objects may take longer than an event loop may be held up, from their JSON text."""

from __future__ import annotations

import re

from app.engine.when import names_modes_only

SMALL = 32 * 1024
"""Bytes of JSON that are judged within 50 ms whatever they are."""
MOST_CONDITIONS = 1024
"""Characters of conditions among them: compiling takes 10 µs each."""

_ANCHOR, _ALIAS = re.compile(rb"&[^\s&]"), re.compile(rb"\*[^\s*/.]")
"""What may be one in YAML, where little stands for much."""
_WHEN = re.compile(rb'"(?:when|readyWhen)":\s*"((?:[^"\\]|\\.)*)"')


def takes_long(*texts: bytes) -> bool:
    """Tell whether judging these objects together may take long."""
    if sum(map(len, texts)) > SMALL:
        return True
    conditions = 0
    for text in texts:
        if _ANCHOR.search(text) and _ALIAS.search(text):
            return True
        written = (match[1] for match in _WHEN.finditer(text))
        conditions += sum(len(each) for each in written if not names_modes_only(each.decode("utf-8", "replace")))
    return conditions > MOST_CONDITIONS
