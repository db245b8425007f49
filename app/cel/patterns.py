"""How large the program is that a regular expression becomes, from its text.

RE2 takes time by the length of the text times the size of this program, whatever the pattern; and a counted
repetition, `(a{1,30}){1,30}`, is written out. What is counted here is at least what RE2 makes, and often more.
"""

from __future__ import annotations

import re

_REPEAT = re.compile(r"\{(\d*)(?:(,)(\d*))?\}")
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w*:\]|\\.|[^\]\\])*\]?", re.DOTALL)
_PROPERTY = re.compile(r"\\[pP](?:\{[^}]*\}?|.)?", re.DOTALL)

_CHARACTER = 4
"""A character, in both letter cases."""
_ANY = 16
"""A character class such as `.`, `[^a]` or `\\w`, in UTF-8."""
_UNICODE = 2_000
"""A class of Unicode such as `\\pL`."""
LARGEST = 10**9
"""More than any pattern may have."""


def program_size(pattern: str) -> int:
    """Return how many instructions the program of a pattern has at most; LARGEST when it is more."""
    groups: list[int] = [0]
    last, position = 0, 0
    while position < len(pattern) and max(groups) < LARGEST:
        letter = pattern[position]
        if letter == "(":
            groups[-1] += last
            groups.append(0)
            last, position = 0, position + 1
        elif letter == ")" and len(groups) > 1:
            last, position = groups.pop() + last + 2, position + 1
        elif repeat := _REPEAT.match(pattern, position):
            last, position = (last + 1) * _times(repeat), repeat.end()
        else:
            groups[-1] += last
            last, position = _atom(pattern, position)
    return min(sum(groups) + last + 1, LARGEST)


def _times(repeat: re.Match[str]) -> int:
    """How often a counted repetition is written out. RE2 refuses more than 1000."""
    return max(1, *(min(int(number[:6] or 0), 1_000) for number in (repeat[1], repeat[3] or "")))


def _atom(pattern: str, position: int) -> tuple[int, int]:
    """Return the size of the smallest part at a position, and where the next begins."""
    if found := _PROPERTY.match(pattern, position):
        return _UNICODE, found.end()
    if found := _CLASS.match(pattern, position):
        properties = found[0].count("\\p") + found[0].count("\\P")
        return _ANY + _CHARACTER * len(found[0]) + _UNICODE * properties, found.end()
    if pattern[position] == "\\":
        return _ANY, position + 2
    return (_ANY if pattern[position] == "." else _CHARACTER), position + 1
