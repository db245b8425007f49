"""Label selectors as texts, the way the API server reads the parameter `labelSelector` of a list.

Source: apimachinery `pkg/labels/selector.go`; a test compares with the API server.
"""

from __future__ import annotations

import re

from app.engine.gotext import quote
from app.engine.text import short

_WORD = r"[^\s=!(),<>]+"
_REQUIREMENT = re.compile(
    rf"\s*+(?:!\s*+(?P<absent>{_WORD})|(?P<key>{_WORD})(?:"
    rf"\s*+(?:==|=|!=)\s*+(?P<value>{_WORD})?"
    rf"|\s*+[<>]\s*+(?P<number>{_WORD})"
    r"|\s++(?:in|notin)\s*+\((?P<values>[^()=!<>]*)\))?)\s*+(?P<end>,|$)"
)
_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:(?=[^/]{{1,253}}/)[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_INTEGER = re.compile(r"[0-9]{1,19}")


def selector_problem(text: str) -> str:
    """What keeps a text from being a label selector; empty when nothing does. An empty one selects everything."""
    at = 0
    while text.strip():
        found = _REQUIREMENT.match(text, at)
        if found is None:
            return f"{quote(short(text[at:].strip()))} is no requirement such as a=b, a!=b, a, !a or a in (b,c)"
        problem = _problem(found)
        if problem:
            return problem
        at = found.end()
        if not found["end"]:
            break
    return ""


def _problem(found: re.Match[str]) -> str:
    key = found["absent"] or found["key"]
    if not _KEY.fullmatch(key):
        return f"{quote(short(key))} is no key of a label"
    if found["number"] is not None:
        return "" if _INTEGER.fullmatch(found["number"]) else f"{quote(short(found['number']))} is no whole number"
    values = (found["values"] or found["value"] or "").split(",")
    wrong = next((value.strip() for value in values if not _VALUE.fullmatch(value.strip())), None)
    return "" if wrong is None else f"{quote(short(wrong))} is no value of a label"
