"""What docstrings and comments cite: decisions, invariants, the contract, parts of the design, rules, pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BREAK = re.compile(r"\s+(?:#\s+)?")
"""A break of a line, also within a comment of several lines."""
_JOIN = r"(?:, and |, | and | to |-)"
_FORMS = (
    ("decision", re.compile(rf"\b[Dd]ecisions? (?P<list>(?:[A-Z]\d+a?\b{_JOIN}?)+)")),
    ("invariant", re.compile(rf"\b[Ii]nvariants? (?P<list>(?:\d+\b{_JOIN}?)+)")),
    ("contract", re.compile(rf"\bcontract: (?P<book>[a-z]+) (?P<list>(?:\d+(?:\.\d+)*\b{_JOIN}?)+)")),
    ("rule", re.compile(rf"\b[Rr]ules? (?P<list>(?:[A-Z]{{1,2}}\d+\b{_JOIN}?)+)")),
    ("design", re.compile(r"\bdesign: (?:the )?(?P<list>[a-z]+)")),
    ("page", re.compile(r"(?P<list>[\w/.-]*\w\.md(?:#[a-z0-9][\w-]*)?)(?![\w#])")),
)
_LOOSE = re.compile(
    r"\bcontract: (?:lifecycle|admission|clusternet|actions|api)\b(?! \d)"  # the contract without a number
    r"|\bdesign: [a-z]+ \d+"  # an invariant or the like in another form
    r"|\((?:see )?(?:[DPARWO]\d+a?(?:, |; | and | to )?)+\)|\b(?:see|of|by|per) [DPARWO]\d+a?\b"  # of whom?
)
_RANGE = re.compile(r"(?<![.\d])([A-Z]?)(\d+) to \1(\d+)(?![.\d])")


@dataclass(frozen=True, slots=True)
class Citation:
    """One place that is cited; `kind` is decision, invariant, contract, rule, design, page, or loose: none of them."""

    kind: str
    name: str


def citations_of(module: Path) -> list[Citation]:
    """What one module cites."""
    return list(citations(_BREAK.sub(" ", module.read_text(encoding="utf-8"))))


def citations(text: str) -> Iterator[Citation]:
    """Yield what a text cites, lists and ranges taken apart."""
    for kind, form in _FORMS:
        for found in form.finditer(text):
            book = f"{found['book']} " if kind == "contract" else ""
            yield from (Citation(kind, book + name) for name in _names(found["list"]))
    yield from (Citation("loose", found.group(0)) for found in _LOOSE.finditer(text))


def _names(listed: str) -> list[str]:
    """The names in a list such as `D7, P3 to P5`: D7, P3, P4, P5."""
    spelled = _RANGE.sub(_between, listed)
    return [name for name in re.split(r", and |, | and | to |(?<=\d)-", spelled) if name]


def _between(found: re.Match[str]) -> str:
    letter, first, last = found.groups()
    return ", ".join(f"{letter}{number}" for number in range(int(first), int(last) + 1))
